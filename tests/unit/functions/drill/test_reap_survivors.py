"""The reaper: what is due is deleted, what is not is left, what is doubtful is told; interrupted drills are closed."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from functions.drill import reap_survivors
from opskit import clients
from opskit.adapters.executions import Ended
from opskit.adapters.left_behind import LeftBehind
from opskit.clock import timestamp
from opskit.decisions.drill import LOCK, WORKFLOW, drill_tags
from opskit.ledger import OperationRecord
from opskit.step import Run
from tests.unit.functions.conftest import ARN, START, FixedClock
from tests.unit.functions.drill.conftest import call, left, make_group, make_instance

DRILL = "abcdef012345"
NAMES = (f"drill-{DRILL}-db", f"drill-{DRILL}-cache")


class Executions:
    """Those that have ended; all others run."""

    def __init__(self) -> None:
        self.ended: dict[str, Ended] = {}
        self.slept: list[float] = []

    def stop(self, name: str, cause: str | None = None, status: str = "ABORTED") -> None:
        self.ended[f"{ARN}:{name}"] = Ended(f"{ARN}:{name}", name, status, cause, START)

    def look(self, arn: str) -> Ended | None:
        if arn.endswith(":unknown"):
            raise RuntimeError("ExecutionDoesNotExist")
        return self.ended.get(arn)


@pytest.fixture
def executions(monkeypatch: pytest.MonkeyPatch) -> Executions:
    double = Executions()
    monkeypatch.setattr(reap_survivors, "ended_execution", double.look)
    monkeypatch.setattr(reap_survivors.time, "sleep", double.slept.append)
    return double


def tags(drill: str = DRILL, *, hours: float = 1, service: str = "detection-api", environment: str = "dev") -> Any:
    return drill_tags(drill, START + timedelta(hours=hours), service=service, environment=environment)


def began(run: Run, name: str = "r1", drill: str = DRILL, *events: str) -> None:
    """A drill that has the lock, a record, and copies."""
    run.ledger.acquire(f"{ARN}:{name}", f"drill {drill}", 60, LOCK)
    record = OperationRecord(WORKFLOW, f"{ARN}:{name}", name, START, facts={"drill_id": drill})
    run.ledger.open_operation(record)
    for what in events:
        run.ledger.note(record.key, what)
    make_instance(NAMES[0], tags(drill))
    make_group(NAMES[1], tags(drill))


def reap(run: Run) -> dict[str, Any]:
    return call(reap_survivors, {}, run)


def outcome(run: Run, name: str = "r1") -> tuple[str | None, str | None]:
    found = run.ledger.operation_of(WORKFLOW, name)
    assert found is not None
    return found.outcome, found.outcome_reason


def test_a_drill_that_runs_keeps_what_it_made(run: Run, executions: Executions) -> None:
    began(run)
    assert reap(run) == {"survivors": [], "interrupted": [], "evidence": None}
    assert left() == sorted(NAMES)
    assert outcome(run) == (None, None)
    assert run.ledger.holder(LOCK) is not None


def test_an_ended_one_leaves_nothing(run: Run, executions: Executions) -> None:
    began(run)
    executions.stop("r1", "someone stopped it")
    done = reap(run)
    assert [one["identifier"] for one in done["survivors"]] == list(NAMES)
    assert left() == []
    assert done["interrupted"] == ["r1"]
    assert run.ledger.holder(LOCK) is None
    closed, reason = outcome(run)
    assert closed == "INTERRUPTED"
    assert str(reason).startswith("aborted: someone stopped it; deleted: ")
    record = run.ledger.operation_of(WORKFLOW, "r1")
    assert record is not None
    body = json.loads(clients.client("s3").get_object(Bucket="evidence", Key=record.evidence)["Body"].read())
    assert body["kind"] == "reap"
    assert body["body"]["interrupted"][0]["outcome"] == "INTERRUPTED"
    assert [one["decision"] for one in body["body"]["survivors"]] == ["DELETE", "DELETE"]


def test_reaping_again_finds_nothing(run: Run, executions: Executions) -> None:
    began(run)
    executions.stop("r1")
    reap(run)
    assert reap(run) == {"survivors": [], "interrupted": [], "evidence": None}
    assert run.evidence.verify().records == 1


def test_after_its_time_it_goes_even_if_the_drill_runs(run: Run, executions: Executions, clock: FixedClock) -> None:
    began(run)
    clock.advance(3600)
    assert len(reap(run)["survivors"]) == 2
    assert left() == []
    assert outcome(run) == (None, None)  # it runs, and will close itself


def test_without_any_record_it_is_nobody_s(run: Run, executions: Executions) -> None:
    make_instance(NAMES[0], tags())
    assert next(one["reason"] for one in reap(run)["survivors"]).startswith("its drill no longer runs")
    assert left() == []


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("drill-by-hand", {}),
        ("drill-by-hand", {"owner": "me"}),
        ("production", tags()),
        (f"drill-{DRILL}-db", tags("another00000")),
    ],
)
def test_what_is_doubtful_is_told_and_never_deleted(
    run: Run, executions: Executions, name: str, given: dict[str, str]
) -> None:
    make_instance(name, given)
    done = reap(run)
    assert [(one["identifier"], one["decision"]) for one in done["survivors"]] == [(name, "ALARM")]
    assert left() == [name]
    assert done["evidence"] is not None


@pytest.mark.parametrize("other", [{"service": "orders"}, {"environment": "prod"}])
def test_another_stack_s_drills_are_its_own_business(
    run: Run, executions: Executions, clock: FixedClock, other: dict[str, str]
) -> None:
    make_instance(NAMES[0], tags(**other))
    clock.advance(86400)
    assert reap(run)["survivors"] == []
    assert left() == [NAMES[0]]


def test_production_is_not_even_noticed(run: Run, executions: Executions) -> None:
    make_instance("detection-api-dev", {"backup": "true"})
    make_group("detection-api-dev", {"backup": "true"})
    assert reap(run)["survivors"] == []
    assert left() == ["detection-api-dev", "detection-api-dev"]


def test_what_cannot_be_deleted_stops_none_of_the_others(
    run: Run, executions: Executions, monkeypatch: pytest.MonkeyPatch
) -> None:
    began(run)
    executions.stop("r1")
    real: Callable[..., Any] = LeftBehind.delete

    def refusing(self: LeftBehind, found: Any, drill: str) -> Any:
        if found.identifier == NAMES[0]:
            raise PermissionError("not allowed")
        return real(self, found, drill)

    monkeypatch.setattr(LeftBehind, "delete", refusing)
    done = reap(run)
    assert [one["decision"] for one in done["survivors"]] == ["ALARM", "DELETE"]
    assert "not deleted: not allowed" in done["survivors"][0]["reason"]
    assert left() == [NAMES[0]]


def test_a_half_listing_is_no_listing(run: Run, executions: Executions, monkeypatch: pytest.MonkeyPatch) -> None:
    began(run)
    executions.stop("r1")
    monkeypatch.setattr(LeftBehind, "listed", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        reap(run)
    assert outcome(run) == (None, None)  # not closed before it was cleared up


def test_a_lock_without_a_record_is_freed_too(run: Run, executions: Executions) -> None:
    run.ledger.acquire(f"{ARN}:r1", "drill", 60, LOCK)
    executions.stop("r1")
    assert reap(run)["interrupted"] == []
    assert run.ledger.holder(LOCK) is None


def test_a_lock_that_a_reaper_died_with_is_freed_by_the_next(run: Run, executions: Executions) -> None:
    run.ledger.acquire(f"{ARN}:r1", "drill", 60, LOCK)
    executions.stop("r1")
    run.ledger.seize(f"{ARN}:r1", f"{ARN}:r1#reaper", "repair", 60, LOCK)
    reap(run)
    assert run.ledger.holder(LOCK) is None


def test_one_that_closed_itself_meanwhile_is_not_interrupted(run: Run, executions: Executions) -> None:
    began(run)
    executions.stop("r1", status="FAILED")
    record = run.ledger.operation_of(WORKFLOW, "r1")
    assert record is not None
    run.ledger.close_operation(record.key, "FAIL", "rows are missing")
    assert reap(run)["interrupted"] == []
    assert outcome(run) == ("FAIL", "rows are missing")


def test_one_that_cannot_be_looked_up_is_left_until_its_time_is_over(
    run: Run, executions: Executions, clock: FixedClock
) -> None:
    began(run, "unknown")
    assert reap(run)["survivors"] == []
    clock.advance(3600)
    assert len(reap(run)["survivors"]) == 2


def test_a_call_that_was_under_way_is_waited_out(run: Run, executions: Executions) -> None:
    began(run, "r1", DRILL, "restoring", "restore begun", "restoring")
    executions.stop("r1")
    reap(run)
    assert executions.slept == [reap_survivors.CALL_SECONDS]


@pytest.mark.parametrize("events", [(), ("restoring", "restore begun")])
def test_nothing_under_way_is_not_waited_for(run: Run, executions: Executions, events: tuple[str, ...]) -> None:
    began(run, "r1", DRILL, *events)
    executions.stop("r1")
    reap(run)
    assert executions.slept == []


def test_snapshots_of_a_drill_go_as_well(run: Run, executions: Executions) -> None:
    make_instance("detection-api-dev", {})
    name = f"drill-{DRILL}-db-final"
    given = [{"Key": key, "Value": value} for key, value in tags().items()]
    rds = clients.client("rds")
    rds.create_db_snapshot(DBInstanceIdentifier="detection-api-dev", DBSnapshotIdentifier=name, Tags=given)
    rds.create_db_snapshot(DBInstanceIdentifier="detection-api-dev", DBSnapshotIdentifier="hourly")
    assert [one["identifier"] for one in reap(run)["survivors"]] == [name]
    names = [one["DBSnapshotIdentifier"] for one in rds.describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]]
    assert names == ["hourly"]


def test_the_metric_counts_what_there_was_to_do_and_is_not_published_for_nothing(
    run: Run, executions: Executions
) -> None:
    run.metrics.clear_metrics()
    reap(run)
    assert "DrillSurvivors" not in run.metrics.metric_set
    make_instance("drill-by-hand", {})
    reap(run)
    assert run.metrics.metric_set["DrillSurvivors"]["Value"][-1] == 1
    run.metrics.clear_metrics()


def test_a_copy_is_deleted_by_its_own_expiry(run: Run, executions: Executions) -> None:
    began(run)
    for name, hours in (("drill-abcdef012345-early", -1), ("drill-abcdef012345-late", 5)):
        make_instance(name, tags(hours=hours))
    done = reap(run)
    assert [one["identifier"] for one in done["survivors"]] == ["drill-abcdef012345-early"]
    assert timestamp(START - timedelta(hours=1)) in done["survivors"][0]["reason"]
