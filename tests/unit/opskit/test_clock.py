from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opskit.clock import SystemClock, moment_of, timestamp

MOMENTS = st.datetimes(timezones=st.timezones()).filter(lambda moment: 1 < moment.year < 9999)


def test_the_system_clock_tells_utc() -> None:
    assert SystemClock().now().utcoffset() == timedelta(0)


@given(MOMENTS)
def test_a_timestamp_reads_back_as_the_same_moment(moment: datetime) -> None:
    assert moment_of(timestamp(moment)) == moment.astimezone(UTC)


@given(MOMENTS, MOMENTS)
def test_timestamps_sort_as_moments_do(one: datetime, other: datetime) -> None:
    one, other = one.astimezone(UTC), other.astimezone(UTC)
    assert (timestamp(one) < timestamp(other)) == (one < other)


def test_a_whole_second_is_written_as_wide_as_any_other() -> None:
    assert timestamp(datetime(2026, 1, 31, 9, 30, tzinfo=UTC)) == "2026-01-31T09:30:00.000000Z"


def test_another_zone_is_written_in_utc() -> None:
    zone = timezone(timedelta(hours=2))
    assert timestamp(datetime(2026, 1, 31, 11, 30, tzinfo=zone)) == "2026-01-31T09:30:00.000000Z"


@pytest.mark.parametrize(
    "text", ["2026-01-31T09:30:00.123Z", "2026-01-31T09:30:00.123+00:00", "2026-01-31T10:30:00.123+01:00"]
)
def test_forms_that_aws_writes_are_read(text: str) -> None:
    assert moment_of(text) == datetime(2026, 1, 31, 9, 30, 0, 123000, tzinfo=UTC)


def test_a_moment_without_a_zone_is_refused_both_ways() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        timestamp(datetime(2026, 1, 31, 9, 30))  # noqa: DTZ001 - what is refused
    with pytest.raises(ValueError, match="no time zone"):
        moment_of("2026-01-31T09:30:00")
