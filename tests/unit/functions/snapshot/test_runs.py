"""Whole runs against moto, step by step: what is taken, what is found again, what is kept."""

from collections.abc import Callable
from typing import Any

import pytest

from functions.snapshot import plan_snapshots
from opskit import clients
from opskit.adapters.databases import Databases
from opskit.adapters.executions import Ended
from opskit.adapters.manifests import Manifests
from opskit.decisions.manifest import Kind, Status
from opskit.errors import InvalidInputError, LockHeldError, LockLostError, NotReadyError, ThrottledError
from opskit.ledger import Lock

from .conftest import Machine

Begin = Callable[..., Machine]

# None of these runs has a cache, so that none is COMPLETE; what counts here are the databases.
WITHOUT_CACHE = ["database", "cluster_configuration", "terraform_state", "application_data"]


def snapshots() -> dict[str, dict[str, Any]]:
    found = clients.client("rds").describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]
    return {one["DBSnapshotIdentifier"]: one for one in found}


def verified(machine: Machine) -> set[str]:
    manifest = Manifests(machine.run.platform.backup_bucket, machine.run.ledger).read(
        machine.seen["manifest"]["key"], sha256=machine.seen["manifest"]["sha256"]
    )
    return {part.resource for part in manifest.components if part.status is Status.VERIFIED and part.kind == "database"}


def test_a_run_takes_verifies_and_records_what_carries_the_tag(begin: Begin, create: Callable[..., None]) -> None:
    create("untagged", Tags=[])
    machine = begin(components=WITHOUT_CACHE)
    closed = machine.all()
    assert set(snapshots()) == {f"detection-api-dev-{name}-2026112301" for name in ("orders", "billing")}
    assert verified(machine) == {"orders", "billing"}
    assert closed["missing"] == ["cache: nothing of it was backed up"]
    record = machine.record()
    assert (record.outcome, record.facts["manifest"]["key"]) == ("INCOMPLETE", machine.seen["manifest"]["key"])
    assert record.facts["hour"] == "2026-11-23T01:00:00.000000Z"
    assert machine.run.ledger.holder("snapshot") is None


def test_a_run_with_a_cache_that_nothing_backs_up_says_so(begin: Begin) -> None:
    machine = begin()
    machine.all()
    assert machine.seen["manifest"]["missing"] == [
        "cache live: FAILED, nothing that is there has the service's endpoint nowhere:6379"
    ]


def test_a_database_of_the_service_without_the_tag_is_missed(begin: Begin) -> None:
    rds = clients.client("rds")
    arn = rds.describe_db_instances(DBInstanceIdentifier="orders")["DBInstances"][0]["DBInstanceArn"]
    rds.remove_tags_from_resource(ResourceName=arn, TagKeys=["backup"])
    machine = begin(components=WITHOUT_CACHE)
    machine.all()
    assert any("orders: SKIPPED, the service uses it" in why for why in machine.seen["manifest"]["missing"])


def test_a_listing_is_shared_and_no_tag_is_asked_for_apart(begin: Begin) -> None:
    made: list[str] = []
    clients.client("rds").meta.events.register("before-call.rds.*", lambda model, **_: made.append(model.name))
    machine = begin(components=["database"])
    machine.plan()
    assert made == ["DescribeDBInstances", "DescribeDBSnapshots"]
    machine.take_all()
    assert made[2:] == ["CreateDBSnapshot"] * 2 + ["DescribeDBSnapshots"]


def test_an_hour_that_is_complete_is_not_taken_again(begin: Begin) -> None:
    first = begin(components=["database"])
    first.all()
    # Without a cache none is; this one is said to be.
    again = begin("again", hours_later=0)
    again.run.metrics.clear_metrics()
    key = first.record().key
    first.run.ledger._table.update(key, {"sk": key}, changes={"outcome": "COMPLETE"})
    plan = again.plan()
    assert (plan["decision"], "run-1" in plan["reason"]) == ("DUPLICATE", True)
    closed = again.close("DUPLICATE", plan["reason"])
    assert "manifest" not in closed
    assert again.run.ledger.holder("snapshot") is None
    assert again.run.metrics.metric_set == {}


def test_an_hour_that_is_not_complete_is_run_again_and_finds_its_snapshots(begin: Begin) -> None:
    begin(components=["database"]).all()
    before = snapshots()
    again = begin("again", hours_later=0, components=["database"])
    again.all()
    assert snapshots() == before
    assert verified(again) == {"orders", "billing"}


def test_two_deliveries_at_once_are_one_run(begin: Begin) -> None:
    begin().plan()
    plan = begin("second", hours_later=0).plan()
    assert (plan["decision"], plan["reason"]) == ("DUPLICATE", "run-1 is taking this hour's snapshots")


def test_another_hours_run_is_not_interrupted(begin: Begin) -> None:
    begin(settings={"lease_seconds": 9000}).plan()
    later = begin()
    with pytest.raises(LockHeldError, match="run-1"):
        later.plan()


def test_the_lease_of_a_run_that_died_ends_by_itself_and_its_record_is_closed(begin: Begin) -> None:
    died = begin(components=["database"])
    died.plan()
    died.take(first=True)
    later = begin("later", components=["database"])
    assert later.plan()["decision"] == "PROCEED"
    assert died.record().outcome == "ABORTED"
    assert later.run.execution.name in str(died.record().outcome_reason)


def test_a_run_whose_execution_has_ended_is_taken_over_at_once(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    died = begin(components=["database"])
    died.plan()
    arn = died.run.execution.id
    monkeypatch.setattr(plan_snapshots, "ended_execution", lambda _: Ended(arn, "run-1", "ABORTED", None, None))
    again = begin("again", hours_later=0, components=["database"])
    assert again.plan()["decision"] == "PROCEED"
    assert died.record().outcome == "ABORTED"


def test_a_dry_run_takes_no_lock_and_writes_nothing(begin: Begin) -> None:
    machine = begin(dry_run=True)
    plan = machine.plan()
    assert {one["resource"] for one in plan["take"]} == {"orders", "billing"}
    assert machine.run.ledger.holder("snapshot") is None
    assert machine.run.ledger.operations("snapshot") == []
    bucket = machine.run.platform.backup_bucket
    assert clients.client("s3").list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"environment": "prod"}, "the environment dev, not prod"),
        ({"resources": ["typo"]}, "called typo"),
        ({"colour": "blue"}, "unknown `colour`"),
    ],
)
def test_an_input_that_cannot_be_meant_is_refused(begin: Begin, given: dict[str, Any], why: str) -> None:
    machine = begin(**given)
    with pytest.raises(InvalidInputError, match=why):
        machine.plan()
    closed = machine.close("REFUSED", why)
    assert (closed["outcome"], machine.record().outcome) == ("REFUSED", "REFUSED")
    assert machine.run.ledger.holder("snapshot") is None


def test_an_event_that_is_too_old_is_refused(begin: Begin) -> None:
    machine = begin(scheduled_at="2026-11-22T00:00:00Z")
    plan = machine.plan()
    assert (plan["decision"], plan["lock"]) == ("REFUSE", None)


def test_a_run_that_was_asked_for_some_is_not_taken_for_whole(begin: Begin) -> None:
    machine = begin(resources=["orders"], components=["database"])
    machine.all()
    assert verified(machine) == {"orders"}
    assert set(snapshots()) == {"detection-api-dev-orders-2026112301"}
    assert any("billing: SKIPPED" in why for why in machine.seen["manifest"]["missing"])


class Refusing:
    """Snapshots of one database are refused; those of the others are taken."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: Exception, times: int = 99) -> None:
        real = Databases.take_snapshot
        self.left = times

        def take(databases: Databases, database: str, *rest: Any) -> Any:
            if database == "billing" and self.left:
                self.left -= 1
                raise error
            return real(databases, database, *rest)

        monkeypatch.setattr(Databases, "take_snapshot", take)


@pytest.mark.parametrize("error", [ThrottledError("slow down"), NotReadyError("modifying")])
def test_what_is_refused_for_a_while_is_taken_later(
    begin: Begin, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    Refusing(monkeypatch, error, times=2)
    machine = begin(components=["database"])
    machine.plan()
    done = machine.take_all()
    assert (done["pending"], done["phases"]) == (0, {"VERIFIED": 2})


def test_what_is_refused_for_good_stops_no_other_and_nothing_of_it_is_pruned(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        begin(components=["database"]).all()
    before = set(snapshots())
    Refusing(monkeypatch, ValueError("a defect"))
    machine = begin(components=["database"])
    machine.all()
    assert verified(machine) == {"orders"}
    assert any("ValueError: a defect" in why for why in machine.seen["manifest"]["missing"])
    gone = before - set(snapshots())
    assert {name.split("-")[3] for name in gone} <= {"orders"}


def test_a_source_that_is_not_available_is_skipped_after_its_time(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Databases, "statuses", lambda self, names: dict.fromkeys(names, "modifying"))
    Refusing(monkeypatch, NotReadyError("modifying"))
    machine = begin(components=["database"])
    machine.plan()
    done = machine.take_all(looks=40)
    assert done["phases"] == {"VERIFIED": 1, "SKIPPED": 1}


def test_a_step_that_has_lost_the_lock_changes_nothing(begin: Begin) -> None:
    machine = begin(components=["database"])
    plan = machine.plan()
    machine.run.ledger.release(Lock.from_dict(plan["lock"]))
    with pytest.raises(LockLostError):
        machine.take(first=True)
    assert snapshots() == {}


def test_what_failed_as_a_whole_is_told_in_the_manifest(begin: Begin) -> None:
    machine = begin()
    machine.plan()
    machine.take_all()
    done = machine.write(
        before={"problem": "it timed out"}, cluster={"problem": "no answer"}, objects={"problem": "it broke"}
    )
    missing = " ".join(done["missing"])
    assert "orders: FAILED, its contents before the backup are not known: nobody looked" in missing
    for kind, why in ((Kind.CLUSTER, "no answer"), (Kind.STATE, "it broke"), (Kind.DATA, "it broke")):
        assert f"{kind} {kind}: FAILED, {why}" in missing


def test_a_manifest_that_is_written_again_is_the_same(begin: Begin) -> None:
    machine = begin(components=["database"])
    machine.plan()
    machine.take_all()
    first = machine.write()
    assert machine.write() == first
