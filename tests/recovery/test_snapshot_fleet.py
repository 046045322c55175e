"""Five databases: what happens to one never concerns the others; and the quota that they share."""

from collections.abc import Iterator

import pytest

from opskit.decisions.manifest import Kind, Manifest, Status
from sandbox.operator import Execution, Operator
from tests.recovery.snapshots import HOURS, database_snapshots, manifest_of, part, record_of, settle, take
from tests.recovery.told import told

OTHERS = ("a", "b", "c", "d")
ONLY = {"components": ["database"]}


@pytest.fixture(scope="module")
def fleet(everyone: Operator) -> Iterator[tuple[str, ...]]:
    """The service's database and four more that carry the tag."""
    rds, name = everyone.clients["rds"], everyone.config.name
    settle(everyone)
    names = tuple(f"{name}-{letter}" for letter in OTHERS)
    for one in names:
        rds.create_db_instance(
            DBInstanceIdentifier=one,
            Engine="postgres",
            DBInstanceClass="db.t4g.micro",
            AllocatedStorage=20,
            MasterUsername="postgres",
            ManageMasterUserPassword=True,
            DBSubnetGroupName=name,
            Tags=[{"Key": "backup", "Value": "true"}],
        )
    settle(everyone)
    yield (name, *names)
    for one in names:
        rds.delete_db_instance(DBInstanceIdentifier=one, SkipFinalSnapshot=True, DeleteAutomatedBackups=True)


@pytest.fixture
def operator(everyone: Operator) -> Iterator[Operator]:
    settle(everyone)
    yield everyone
    settle(everyone)


def statuses(manifest: Manifest) -> dict[str, Status]:
    return {one.resource: one.status for one in manifest.components if one.kind is Kind.DATABASE}


def incomplete(operator: Operator, done: Execution, one: str, fleet: tuple[str, ...]) -> Manifest:
    """The run failed at its end for `one` alone; every other database is backed up."""
    assert (done.status, done.error) == ("FAILED", "SnapshotIncomplete")
    assert one in str(done.cause)
    manifest = manifest_of(operator, done)
    assert {name for name, status in statuses(manifest).items() if status is Status.VERIFIED} == set(fleet) - {one}
    assert {kind for kind in Kind if manifest.component(kind)} == set(Kind)
    assert any(one in why for why in manifest.missing)
    assert record_of(operator, done).outcome == "INCOMPLETE"
    return manifest


def test_all_five_are_taken_at_once(operator: Operator, fleet: tuple[str, ...]) -> None:
    hour, mark = HOURS.take(skip=2), operator.api_mark()
    done = take(operator, hour)
    assert done.output["outcome"] == "COMPLETE", done.cause
    assert statuses(manifest_of(operator, done)) == dict.fromkeys(fleet, Status.VERIFIED)
    assert len(database_snapshots(operator, hour)) == len(fleet)
    assert len(operator.api_calls("rds:CreateDBSnapshot", after=mark)) == len(fleet)
    assert operator.api_calls("rds:ListTagsForResource", after=mark) == []


def test_one_that_is_not_available_is_waited_for_then_skipped(operator: Operator, fleet: tuple[str, ...]) -> None:
    broken = fleet[2]
    operator.engine_fault("rds", broken, status="modifying")
    manifest = incomplete(operator, take(operator, HOURS.take()), broken, fleet)
    skipped = part(manifest, Kind.DATABASE, broken)
    assert (skipped.status, skipped.id) == (Status.SKIPPED, None)
    assert "was modifying and not available for" in str(skipped.reason)


def test_one_that_becomes_available_in_time_is_taken(operator: Operator, fleet: tuple[str, ...]) -> None:
    operator.engine_fault("rds", fleet[1], operation="CreateDBSnapshot", error="InvalidDBInstanceState", times=1)
    done = take(operator, HOURS.take())
    assert done.output["outcome"] == "COMPLETE", done.cause


def test_one_whose_snapshot_fails_is_taken_again_by_the_next_run_of_the_hour(
    operator: Operator, fleet: tuple[str, ...]
) -> None:
    broken, hour = fleet[3], HOURS.take()
    operator.engine_fault("rds", broken, operation="CreateDBSnapshot", end_status="failed", times=1)
    manifest = incomplete(operator, take(operator, hour), broken, fleet)
    assert "RDS could not take it" in str(part(manifest, Kind.DATABASE, broken).reason)
    mark = operator.api_mark()
    again = take(operator, hour)
    assert again.output["outcome"] == "COMPLETE", again.cause
    assert "PruneFirst" in again.states
    found = database_snapshots(operator, hour)
    assert {one["Status"] for one in found.values()} == {"available"}
    assert len(found) == len(fleet)
    # Of the others the first run's snapshots are found by their names.
    created = operator.api_calls("rds:CreateDBSnapshot", after=mark)
    assert sum("error" not in call or not call["error"] for call in created) <= len(fleet)


def test_an_api_that_throttles_for_a_while_delays_and_one_that_goes_on_costs_its_own_database_only(
    operator: Operator, fleet: tuple[str, ...]
) -> None:
    operator.engine_fault("rds", operation="CreateDBSnapshot", error="Throttling", times=6)
    done = take(operator, HOURS.take())
    assert done.output["outcome"] == "COMPLETE", done.cause
    operator.engine_fault("rds", fleet[4], operation="CreateDBSnapshot", error="Throttling")
    manifest = incomplete(operator, take(operator, HOURS.take()), fleet[4], fleet)
    assert "Throttl" in str(part(manifest, Kind.DATABASE, fleet[4]).reason)


def test_nothing_is_pruned_of_a_database_that_this_run_has_not_backed_up(
    operator: Operator, fleet: tuple[str, ...]
) -> None:
    """Of the others the oldest goes; three hours and a day are kept here."""
    for _ in range(3):
        assert take(operator, HOURS.take()).output["outcome"] == "COMPLETE"
    before = set(database_snapshots(operator))
    broken = fleet[1]
    operator.engine_fault("rds", broken, operation="CreateDBSnapshot", error="Throttling")
    incomplete(operator, take(operator, HOURS.take()), broken, fleet)
    gone = before - set(database_snapshots(operator))
    assert gone
    assert not any(f"-{broken}-" in name for name in gone)


def test_a_quota_that_is_nearly_used_up_is_met_by_pruning_first(operator: Operator, fleet: tuple[str, ...]) -> None:
    for _ in range(3):
        assert take(operator, HOURS.take(), prune=False).output["outcome"] == "COMPLETE"
    there = database_snapshots(operator)
    operator.engine_fault("rds", "*", quota={"ManualSnapshots": len(there) + 2})
    hour = HOURS.take()
    done = take(operator, hour)
    assert done.output["outcome"] == "COMPLETE", done.cause
    assert "PruneFirst" in done.states
    record = record_of(operator, done)
    assert record.facts["pruned_first"]["deleted"] > 0
    assert record.events[0].what == "to be pruned first"
    assert len(database_snapshots(operator, hour)) == len(fleet)


def test_a_quota_that_pruning_cannot_meet_refuses_the_run_and_deletes_nothing(
    operator: Operator, fleet: tuple[str, ...]
) -> None:
    assert take(operator, HOURS.take()).output["outcome"] == "COMPLETE"
    there = database_snapshots(operator)
    operator.engine_fault("rds", "*", quota={"ManualSnapshots": len(there)})
    with told(operator, "SNAPSHOT_REFUSED") as messages:
        done = take(operator, HOURS.take())
        assert (done.status, done.error) == ("FAILED", "SnapshotRefused")
        assert "raise the quota" in str(done.cause)
        assert [message["reason"] for message in messages()] == [done.cause]
    assert database_snapshots(operator).keys() == there.keys()


def test_what_no_tag_of_ours_is_on_is_never_deleted(operator: Operator, fleet: tuple[str, ...]) -> None:
    rds, name = operator.clients["rds"], operator.config.name
    by_hand = f"{name}-{name}-2020010100"
    rds.create_db_snapshot(DBInstanceIdentifier=fleet[0], DBSnapshotIdentifier=by_hand)
    settle(operator)
    try:
        for _ in range(2):
            take(operator, HOURS.take(), **ONLY)
        assert by_hand in database_snapshots(operator)
    finally:
        rds.delete_db_snapshot(DBSnapshotIdentifier=by_hand)
