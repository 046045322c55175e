"""Names, ownership, events and quotas of a snapshot run."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opskit.decisions.snapshot import (
    CACHE_SNAPSHOT_NAME,
    DATABASE_SNAPSHOT_NAME,
    Preflight,
    Quota,
    hour_of,
    hour_tagged,
    judge_event,
    not_ours,
    preflight,
    snapshot_name,
    snapshot_tags,
)
from opskit.errors import InvalidInputError
from opskit.verdict import Outcome

HOUR = datetime(2026, 11, 23, 9, tzinfo=UTC)
IDENTIFIER = st.from_regex(r"[a-z](-?[a-z0-9]){0,59}", fullmatch=True)


def test_a_name_says_what_and_when() -> None:
    name = snapshot_name("detection-api", "prod", "Orders", HOUR + timedelta(minutes=59), limit=DATABASE_SNAPSHOT_NAME)
    assert name == "detection-api-prod-orders-2026112309"


def test_a_name_that_is_too_long_keeps_its_hour_and_stays_its_own() -> None:
    names = {
        snapshot_name("detection-api", "prod", resource, hour, limit=CACHE_SNAPSHOT_NAME)
        for resource in ("a-cache-with-quite-a-long-name-1", "a-cache-with-quite-a-long-name-2")
        for hour in (HOUR, HOUR + timedelta(hours=1))
    }
    assert len(names) == 4
    assert all(len(name) <= 50 and name.startswith("detection-api-prod-a-cache-wit") for name in names)
    assert {name[-10:] for name in names} == {"2026112309", "2026112310"}


@given(IDENTIFIER, IDENTIFIER, IDENTIFIER, st.datetimes(timezones=st.just(UTC)), st.sampled_from([50, 255]))
def test_every_name_is_one_that_aws_takes(
    service: str, environment: str, resource: str, moment: datetime, limit: int
) -> None:
    name = snapshot_name(service, environment, resource, moment, limit=limit)
    assert 1 <= len(name) <= limit
    assert re.fullmatch(r"[a-z]([a-z0-9]|-(?!-))*[a-z0-9]", name)
    again = snapshot_name(service, environment, resource, hour_of(moment) + timedelta(minutes=3), limit=limit)
    assert name == again


@pytest.mark.parametrize("part", ["", "a_b", "a--b", "-a", "a-", "é", "1a"])
def test_refuses_what_no_name_can_have(part: str) -> None:
    with pytest.raises(InvalidInputError, match="cannot begin a snapshot's name"):
        snapshot_name(part, "prod", "db", HOUR, limit=255)


def test_an_hour_is_an_hour_of_utc() -> None:
    india = timezone(timedelta(hours=5, minutes=30))
    assert hour_of(datetime(2026, 11, 23, 14, 45, 59, tzinfo=india)) == HOUR
    with pytest.raises(ValueError, match="no time zone"):
        hour_of(datetime(2026, 11, 23, 9))  # noqa: DTZ001 - what is refused


@pytest.mark.parametrize(
    ("late", "outcome"),
    [(-61, Outcome.FAIL), (-60, Outcome.PASS), (0, Outcome.PASS), (900, Outcome.PASS), (901, Outcome.FAIL)],
)
def test_an_event_counts_for_its_own_hour_and_for_a_while_only(late: int, outcome: Outcome) -> None:
    verdict = judge_event(HOUR, HOUR + timedelta(seconds=late), maximum_age_seconds=900)
    assert verdict.outcome is outcome
    assert verdict.facts["hour"] == "2026-11-23T09:00:00.000000Z"


def test_late_across_the_turn_of_the_hour_is_still_of_the_hour_before() -> None:
    verdict = judge_event(HOUR + timedelta(minutes=55), HOUR + timedelta(minutes=65), maximum_age_seconds=900)
    assert verdict.facts["hour"] == "2026-11-23T09:00:00.000000Z"


def test_ours_is_what_carries_our_tags_whichever_run_took_it() -> None:
    wanted = snapshot_tags("api", "prod", "db", HOUR, "run-2")
    assert not_ours(wanted, snapshot_tags("api", "prod", "db", HOUR, "run-1") | {"team": "x"}) is None
    assert not_ours(wanted, {}) == (
        "it has no tag ops:service; it has no tag ops:environment; it has no tag ops:resource; it has no tag ops:hour"
    )
    other = snapshot_tags("api", "prod", "other", HOUR, "run-2")
    assert not_ours(wanted, other) == "ops:resource is 'other', not 'db'"
    later = snapshot_tags("api", "prod", "db", HOUR + timedelta(hours=1), "run-2")
    assert "ops:hour is" in (not_ours(wanted, later) or "")


def test_tags_name_the_resource_and_the_hour() -> None:
    tags = snapshot_tags("api", "prod", "db", HOUR + timedelta(minutes=5), "run-1")
    assert hour_tagged(tags, "api", "prod") == ("db", HOUR)
    assert hour_tagged(tags, "api", "dev") is None
    assert hour_tagged(tags, "web", "prod") is None
    for damage in ({"ops:hour": "noon"}, {"ops:hour": "2026-11-23T09:30:00Z"}, {"ops:resource": ""}):
        assert hour_tagged(tags | damage, "api", "prod") is None
    del tags["ops:hour"]
    assert hour_tagged(tags, "api", "prod") is None


@pytest.mark.parametrize(
    ("used", "needed", "prunable", "decision", "prune"),
    [
        (90, 5, 0, Preflight.PROCEED, 0),  # room for this run and the next
        (91, 5, 0, Preflight.PROCEED, 0),  # for this one, and nothing to prune
        (91, 5, 3, Preflight.PRUNE_FIRST, 1),
        (95, 5, 50, Preflight.PRUNE_FIRST, 5),
        (97, 5, 2, Preflight.PRUNE_FIRST, 2),
        (97, 5, 1, Preflight.REFUSE, 0),
        (100, 1, 0, Preflight.REFUSE, 0),
        (120, 1, 20, Preflight.REFUSE, 0),  # the quota was lowered
        (120, 1, 21, Preflight.PRUNE_FIRST, 21),
        (100, 0, 0, Preflight.PROCEED, 0),
    ],
)
def test_preflight(used: int, needed: int, prunable: int, decision: Preflight, prune: int) -> None:
    plan = preflight(Quota(used, 100), needed, prunable)
    assert (plan.decision, plan.prune) == (decision, prune)
    assert f"{used} of 100 used, {needed} needed" in plan.reason
    assert plan.as_dict()["decision"] == decision.value


@given(st.integers(0, 200), st.integers(0, 100), st.integers(0, 50), st.integers(0, 100))
def test_whatever_is_not_refused_fits(used: int, maximum: int, needed: int, prunable: int) -> None:
    plan = preflight(Quota(used, maximum), needed, prunable)
    if plan.decision is not Preflight.REFUSE and needed:
        assert used - plan.prune + needed <= maximum
    assert 0 <= plan.prune <= prunable


def test_a_quota_never_has_less_than_none_free() -> None:
    assert Quota(120, 100).as_dict() == {"used": 120, "maximum": 100, "free": 0}
