from datetime import UTC, datetime, timedelta

import pytest

from cli.moments import parse_moment
from cli.workflows import Workflow, is_ours, named_by_us, workflow_of

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "before"),
    [
        ("-90s", timedelta(seconds=90)),
        ("-15m", timedelta(minutes=15)),
        ("-2h", timedelta(hours=2)),
        (" -3d ", timedelta(days=3)),
        ("2026-03-01T11:00:00Z", timedelta(hours=1)),
        ("2026-03-01T11:00:00.250+00:00", timedelta(minutes=59, seconds=59, milliseconds=750)),
        ("2026-03-01 12:30:00+01:00", timedelta(minutes=30)),
    ],
)
def test_moments_that_are_understood(text: str, before: timedelta) -> None:
    moment = parse_moment(text, NOW)
    assert moment == NOW - before
    assert moment.tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2026-03-01T11:00:00", "no time zone: add Z"),
        ("yesterday", "is not a moment: ISO 8601"),
        ("15m", "is not a moment"),
        ("-15", "is not a moment"),
        ("-1w", "is not a moment"),
        ("", "is not a moment"),
    ],
)
def test_moments_that_are_not_say_what_is(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_moment(text, NOW)


def test_the_workflow_of_an_arn_also_where_the_service_is_called_like_one() -> None:
    assert workflow_of("arn:aws:states:eu-west-1:123456789012:execution:drill-release-restore:one") == "restore"
    assert workflow_of("arn:aws-cn:states:cn-north-1:123456789012:stateMachine:shop-test-snapshot") == "snapshot"


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:states:eu-west-1:123456789012:execution:shop-test-billing:one",
        "arn:aws:states:eu-west-1:123456789012:execution:release:one",
        "arn:aws:lambda:eu-west-1:123456789012:function:shop-test-release",
        "arn:x",
    ],
)
def test_other_arns_are_none_of_ours(arn: str) -> None:
    assert not is_ours(arn)
    with pytest.raises(ValueError, match="is not the ARN"):
        workflow_of(arn)


def test_a_name_that_ops_generated_tells_its_workflow() -> None:
    assert named_by_us("snapshot-20260301T120000-0123abcd") is Workflow.SNAPSHOT
    assert named_by_us("rollback-20260301T120000-0123abcd") is Workflow.RELEASE
    assert named_by_us("billing-20260301T120000-0123abcd") is None
    assert named_by_us("snapshot-of-monday") is None
