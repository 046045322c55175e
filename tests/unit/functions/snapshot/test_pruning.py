"""What a run deletes: by plan, on record first, and never what is in doubt."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from functions.snapshot import prune_snapshots
from opskit import clients
from opskit.adapters.databases import Databases
from opskit.adapters.snapshot_documents import documents_of
from opskit.decisions import holdings
from opskit.decisions.snapshot import Quota
from opskit.errors import NotReadyError
from opskit.ledger import OperationRecord

from .conftest import Machine
from .test_runs import snapshots

Begin = Callable[..., Machine]
ONLY = {"components": ["database"]}


def hours_of(resource: str) -> list[int]:
    return sorted(int(name[-2:]) for name in snapshots() if f"-{resource}-" in name)


def test_the_policy_is_kept_hour_by_hour(begin: Begin) -> None:
    for _ in range(6):
        begin(**ONLY).all()
    # Three hours and a day; hour 6 serves both.
    assert hours_of("orders") == hours_of("billing") == [4, 5, 6]


def test_the_plan_is_on_record_before_anything_is_deleted(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        begin(**ONLY).all()
    machine = begin(**ONLY)
    machine.plan()
    machine.take_all()
    machine.write()
    planned: list[dict[str, Any]] = []

    def delete(_: Databases, name: str) -> bool:
        planned.extend(event.as_dict() for event in machine.record().events)
        raise NotReadyError(f"{name} is in use")

    monkeypatch.setattr(Databases, "delete_snapshot", delete)
    pruned = machine.prune()
    assert planned[0]["what"] == "to be pruned"
    documents = documents_of(machine.run.platform.backup_bucket, machine.seen["plan"]["hour"], "run-4")
    plan = documents.take(planned[0]["facts"]["plan"])
    assert {one["name"][-2:] for one in plan["databases"]["delete"]} == {"01"}
    # One that is refused stops no other, and is told.
    assert (pruned["deleted"], pruned["left"]) == (0, 2)
    assert all("in use" in problem["reason"] for problem in pruned["problems"])
    assert machine.close()["pruned"]["left"] == 2


def test_a_run_may_leave_pruning_out(begin: Begin) -> None:
    for _ in range(6):
        begin(**ONLY, prune=False).all()
    assert len(hours_of("orders")) == 6


def test_a_snapshot_that_is_no_longer_what_the_plan_took_it_for_stays(begin: Begin) -> None:
    for _ in range(3):
        begin(**ONLY).all()
    machine = begin(**ONLY)
    machine.plan()
    machine.take_all()
    machine.write()
    oldest = snapshots()["detection-api-dev-orders-2026112301"]
    clients.client("rds").remove_tags_from_resource(ResourceName=oldest["DBSnapshotArn"], TagKeys=["ops:service"])
    pruned = machine.prune()
    assert (pruned["deleted"], pruned["left"]) == (1, 1)
    assert "tags" in pruned["problems"][0]["reason"]
    assert 1 in hours_of("orders")


def test_what_a_running_drill_or_restore_names_stays(begin: Begin) -> None:
    first = begin(**ONLY)
    first.all()
    facts = {"source": {"snapshot": "detection-api-dev-orders-2026112301"}}
    drill = OperationRecord("drill", "arn:d", "d", first.run.execution.started_at, facts=facts)
    first.run.ledger.open_operation(drill)
    for _ in range(4):
        begin(**ONLY).all()
    assert hours_of("orders") == [1, 3, 4, 5]
    assert hours_of("billing") == [3, 4, 5]
    first.run.ledger.close_operation(drill.key, "PASS", "over")
    begin(**ONLY).all()
    assert hours_of("orders") == [4, 5, 6]


def test_what_a_last_complete_manifest_names_stays_and_one_that_is_unreadable_stops_all_pruning(begin: Begin) -> None:
    first = begin(**ONLY)
    first.all()
    key = first.record().key
    complete = {name: first.seen["manifest"][name] for name in ("key", "sha256")}
    facts = first.record().facts | {"last_complete": complete}
    first.run.ledger._table.update(key, {"sk": key}, changes={"facts": facts})
    for _ in range(4):
        begin(**ONLY).all()
    assert hours_of("orders") == [1, 3, 4, 5]
    bucket = first.run.platform.backup_bucket
    clients.client("s3").put_object(Bucket=bucket, Key=complete["key"], Body=b"{}")
    before = snapshots().keys()
    begin(**ONLY).all()
    assert before <= snapshots().keys()


def test_nothing_is_deleted_by_a_run_that_verified_nothing(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(4):
        begin(**ONLY, prune=False).all()
    before = snapshots()

    def take(*_: Any) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr(Databases, "take_snapshot", take)
    machine = begin(**ONLY)
    machine.all()
    assert snapshots() == before


def test_a_quota_that_is_short_is_met_by_what_the_policy_would_delete_anyhow(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        begin(**ONLY, prune=False).all()
    monkeypatch.setattr(Databases, "snapshot_quota", lambda _: Quota(used=len(snapshots()), maximum=11))
    machine = begin(**ONLY)
    plan = machine.plan()
    assert plan["decision"] == "PRUNE_FIRST"
    assert machine.record().events[0].what == "to be pruned first"
    assert len(snapshots()) == 10
    pruned = machine.prune("first")
    assert pruned["deleted"] == 3
    machine.take_all()
    machine.write()
    machine.prune()
    closed = machine.close()
    assert closed["pruned_first"]["deleted"] == 3
    assert hours_of("orders") == [4, 5, 6]


def test_a_quota_that_the_policy_cannot_meet_refuses_the_run_and_nothing_is_deleted(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        begin(**ONLY).all()
    before = snapshots()
    monkeypatch.setattr(Databases, "snapshot_quota", lambda _: Quota(used=len(before), maximum=len(before) + 1))
    machine = begin(**ONLY)
    plan = machine.plan()
    assert (plan["decision"], "raise the quota" in plan["reason"]) == ("REFUSE", True)
    machine.close("REFUSED", plan["reason"])
    assert snapshots() == before
    assert machine.record().outcome == "REFUSED"


def test_a_policy_that_the_quota_has_no_room_for_is_warned_of(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Databases, "snapshot_quota", lambda _: Quota(used=0, maximum=11))
    (warning,) = begin(**ONLY).plan()["warnings"]
    assert "need 12 snapshots; the quota is 11" in warning


def test_a_snapshot_that_failed_is_cleared_away_for_the_next_run_of_the_hour(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(**ONLY).all()
    real = Databases.snapshots

    def listed(databases: Databases) -> Any:
        name = "detection-api-dev-billing-2026112301"
        return tuple(replace(one, status="failed") if one.name == name else one for one in real(databases))

    again = begin("again", hours_later=0, **ONLY)
    with monkeypatch.context() as patched:
        patched.setattr(Databases, "snapshots", listed)
        assert again.plan()["decision"] == "PRUNE_FIRST"
    assert again.prune("first")["deleted"] == 1
    assert set(snapshots()) == {"detection-api-dev-orders-2026112301"}
    again.take_all()
    assert set(snapshots()) == {f"detection-api-dev-{name}-2026112301" for name in ("orders", "billing")}


def test_a_large_fleet_is_listed_once_a_day_and_pruned_by_what_the_last_run_left(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (holdings, prune_snapshots):
        monkeypatch.setattr(module, "FEW", 1)
    made: list[str] = []
    real = Databases.snapshots
    monkeypatch.setattr(Databases, "snapshots", lambda databases: made.append("all") or real(databases))
    for _ in range(5):
        begin(**ONLY).all()
    assert made == ["all"]
    assert hours_of("orders") == [3, 4, 5]
    # A run that left nothing behind is not relied on.
    died = begin(**ONLY)
    died.plan()
    begin(**ONLY).all()
    assert made == ["all", "all"]
    assert hours_of("orders") == [4, 5, 7]
