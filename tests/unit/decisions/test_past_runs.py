"""What earlier runs mean for the one that begins."""

from datetime import UTC, datetime, timedelta
from typing import Any

from opskit.clock import timestamp
from opskit.decisions.past_runs import PastRuns, names_in_use
from opskit.ledger import OperationRecord

HOUR = datetime(2026, 11, 23, 9, tzinfo=UTC)
RECENT = timedelta(hours=2)


def record(hours_ago: int, outcome: str | None = "COMPLETE", name: str | None = None, **facts: Any) -> OperationRecord:
    hour = HOUR - timedelta(hours=hours_ago)
    name = name or f"run-{hours_ago}-{outcome}"
    return OperationRecord(
        "snapshot", f"arn:{name}", name, hour, outcome=outcome, facts={"hour": timestamp(hour), **facts}
    )


def past(*records: OperationRecord) -> PastRuns:
    return PastRuns.of(records, HOUR, "me", recent=RECENT)


def test_the_first_run_of_all_knows_nothing() -> None:
    assert past() == PastRuns()
    assert past(record(0, None, "me")) == PastRuns()


def test_an_hour_is_done_only_if_another_run_completed_it() -> None:
    assert past(record(1)).done is None
    done = past(record(0, "DUPLICATE"), record(0, "COMPLETE", "first")).done
    assert done is not None
    assert done.execution_name == "first"


def test_an_hour_that_was_tried_has_snapshots() -> None:
    assert past(record(0, "INCOMPLETE")).tried
    assert past(record(0, "ABORTED")).tried
    assert past(record(0, None, "dead")).tried
    assert not past(record(0, "REFUSED"), record(1, "INCOMPLETE")).tried


def test_what_is_held_is_known_only_from_the_very_run_before() -> None:
    left = record(2, holdings={"key": "k"})
    assert past(record(1, "REFUSED"), left).holdings == {"key": "k"}
    assert past(record(1, "ABORTED"), left).holdings is None
    assert past(record(1, None, "running"), left).holdings is None


def test_the_newest_known_facts_count() -> None:
    found = past(
        record(1, "ABORTED"),
        record(2, last_complete={"key": "new"}, newest_cache={"id": "c2"}),
        record(3, last_complete={"key": "old"}, newest_cache={"id": "c3"}),
    )
    assert (found.last_complete, found.newest_cache) == ({"key": "new"}, {"id": "c2"})


def test_manifests_of_this_hour_and_the_two_before_are_near() -> None:
    found = past(
        record(0, "INCOMPLETE", manifest={"key": "0"}),
        record(2, manifest={"key": "2"}),
        record(3, manifest={"key": "3"}),
        OperationRecord("snapshot", "arn:x", "x", HOUR, outcome="INCOMPLETE", facts={"manifest": {"key": "no hour"}}),
    )
    assert found.manifests == ({"key": "0"}, {"key": "2"})


def test_whatever_a_running_operation_names_is_in_use() -> None:
    running = OperationRecord(
        "drill", "arn:d", "d", HOUR, facts={"names": ["a", {"deep": "b"}], "count": 3, "source": "c"}
    )
    over = OperationRecord("restore", "arn:r", "r", HOUR, outcome="ISOLATED", facts={"snapshot": "z"})
    assert names_in_use([running, over]) == dict.fromkeys("abc", "the drill d uses it")
