"""Drills that must fail: backups tampered with, restores that go wrong or take too long, and what is refused."""

from collections.abc import Callable

import pytest

from opskit.decisions.manifest import Component, Kind, Manifest
from opskit.decisions.status import CACHE, DATABASE
from sandbox.operator import Operator
from tests.recovery.backup_by_hand import take_backup
from tests.recovery.drills import backup, drill, evidence_of, failed, left_behind, operator, record_of, settle, taken

__all__ = ["backup", "operator", "taken"]


def part(manifest: Manifest, kind: Kind) -> Component:
    found = manifest.component(kind)
    assert found is not None
    return found


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def scribbled(content: bytes) -> bytes:
    """As long as before, with the middle overwritten."""
    third = len(content) // 3
    return content[:third] + b"\xa5" * third + content[2 * third :]


def test_rows_that_are_missing_in_the_snapshot(operator: Operator, backup: Manifest) -> None:
    """Someone puts a snapshot of less in the place of the verified one."""
    rds, name = operator.clients["rds"], str(part(backup, Kind.DATABASE).id)
    tags = rds.describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"][0]["TagList"]

    def replaced() -> None:
        rds.delete_db_snapshot(DBSnapshotIdentifier=name)
        rds.create_db_snapshot(DBInstanceIdentifier=operator.config.name, DBSnapshotIdentifier=name, Tags=tags)
        rds.get_waiter("db_snapshot_available").wait(DBSnapshotIdentifier=name, WaiterConfig={"Delay": 1})

    operator.sql("DELETE FROM drilled WHERE id <= 7")
    replaced()
    operator.sql("INSERT INTO drilled SELECT n, md5(n::text) FROM generate_series(1, 7) AS n")
    try:
        done = drill(operator, method="snapshot", components=["database"], recovery_point_seconds=86400)
        cause = failed(operator, done)
        assert "rows of public.drilled: " in cause
        assert "expected" in cause
        evidence = evidence_of(operator, done.name)
        assert evidence["recovery_point"]["outcome"] == "PASS"
        assert record_of(operator, done.name).facts["checks"]["not_passed"]
    finally:
        replaced()


def test_rows_that_were_changed_and_not_removed(operator: Operator, backup: Manifest) -> None:
    """The count is right, and the checksum is not: of a log that is not the source's, for one."""
    before = part(backup, Kind.DATABASE).contents
    wrong = {side: {**before[side], "checksums": {**before[side]["checksums"]}} for side in ("before", "after")}
    for side in wrong.values():
        side["checksums"]["public.drilled"] = "0" * 64
    take_backup(operator, database={"contents": wrong})
    done = drill(operator, method="snapshot", components=["database"], recovery_point_seconds=86400)
    assert "checksum of public.drilled: the rows are not those that were recorded" in failed(operator, done)


def test_a_manifest_that_was_edited(operator: Operator) -> None:
    manifest = take_backup(operator)
    original = operator.read(manifest.key)
    operator.tamper(manifest.key, lambda content: content.replace(b'"rows":500', b'"rows":501'))
    done = drill(operator)
    assert "the manifest was changed" in failed(operator, done)
    # Not passed over for an older one.
    assert manifest.key in str(done.cause)
    operator.write(manifest.key, original)
    assert drill(operator, components=["application_data"]).status == "SUCCEEDED"


def test_a_manifest_that_is_edited_while_the_drill_runs(operator: Operator) -> None:
    manifest = take_backup(operator)
    original = operator.read(manifest.key)
    arn = operator.start(workflow="drill", components=["database"])
    operator.wait_for_state(arn, "WaitForDatabase")
    operator.tamper(manifest.key, scribbled)
    assert "the manifest was changed" in failed(operator, operator.wait(arn))
    operator.write(manifest.key, original)


def test_a_cache_dump_that_was_cut_off_in_the_bucket(operator: Operator, backup: Manifest) -> None:
    manifest = take_backup(operator)
    bucket = operator.platform.cache_export_bucket
    operator.tamper(part(manifest, Kind.CACHE).contents["exports"][0]["key"], truncated, bucket)
    cause = failed(operator, drill(operator, components=["cache"]))
    assert "was recorded" in cause
    assert "cache" in cause


def test_a_cache_backup_that_was_cut_off_inside_elasticache(operator: Operator) -> None:
    manifest = take_backup(operator)
    dump = operator.config.dir / "engines" / "elasticache" / "snapshots" / f"{part(manifest, Kind.CACHE).id}.rdb"
    dump.write_bytes(truncated(dump.read_bytes()))
    cause = failed(operator, drill(operator, components=["cache"]))
    assert "cache: " in cause


@pytest.mark.parametrize("change", [truncated, scribbled])
def test_an_application_dump_that_is_damaged(operator: Operator, change: Callable[[bytes], bytes]) -> None:
    manifest = take_backup(operator)
    operator.tamper(str(part(manifest, Kind.DATA).id), change)
    done = drill(operator, components=["application_data"])
    cause = failed(operator, done)
    assert "its SHA-256 is" in cause
    assert "application_data queue is whole" in cause


def test_an_application_dump_with_other_rows_than_were_counted(operator: Operator) -> None:
    take_backup(operator, application_data={"counts": {"rows": 499}})
    assert "500 found, 499 expected" in failed(operator, drill(operator, components=["application_data"]))


@pytest.mark.parametrize("kind", [Kind.CLUSTER, Kind.STATE, Kind.DATA])
def test_an_object_that_is_gone(operator: Operator, kind: Kind) -> None:
    manifest = take_backup(operator)
    operator.remove(str(part(manifest, kind).id))
    assert "it is not there" in failed(operator, drill(operator, components=[kind.value]))


REACHED = sorted(set(DATABASE.terminal) - {"deleting", "deleted"})


@pytest.mark.parametrize("status", REACHED)
def test_a_database_restore_that_ends_in_a_terminal_status(operator: Operator, backup: Manifest, status: str) -> None:
    operator.engine_fault("rds", "drill-*", operation="RestoreDBInstanceToPointInTime", end_status=status)
    done = drill(operator, components=["database"])
    cause = failed(operator, done)
    assert f"is {status}: {DATABASE.terminal[status]}" in cause
    assert "no read and write were ever verified" in cause
    assert evidence_of(operator, done.name)["results"][0]["copy"]["status"] == status


@pytest.mark.parametrize("status", sorted(set(CACHE.terminal) - {"deleting", "deleted"}))
def test_a_cache_restore_that_ends_in_a_terminal_status(operator: Operator, backup: Manifest, status: str) -> None:
    operator.engine_fault("elasticache", "drill-*", operation="CreateReplicationGroup", end_status=status)
    assert f"is {status}: {CACHE.terminal[status]}" in failed(operator, drill(operator, components=["cache"]))


def test_one_component_s_failure_stops_no_other(operator: Operator, backup: Manifest) -> None:
    operator.engine_fault("rds", "drill-*", operation="RestoreDBInstanceToPointInTime", end_status="restore-error")
    done = drill(operator)
    failed(operator, done)
    outcomes = {one["component"]: one["outcome"] for one in evidence_of(operator, done.name)["results"]}
    assert outcomes == {"database": "FAIL", "cache": "PASS", "objects": "PASS"}


def test_a_restore_that_aws_refuses(operator: Operator, backup: Manifest) -> None:
    operator.engine_fault("rds", "*", operation="RestoreDBInstanceToPointInTime", error="InstanceQuotaExceeded")
    cause = failed(operator, drill(operator))
    assert "RestoreDatabase: restore detection-api-dev into drill-" in cause
    assert "InstanceQuotaExceeded" in cause


def test_a_restore_that_takes_longer_than_the_target(operator: Operator, backup: Manifest) -> None:
    done = drill(operator, components=["database"], recovery_time_seconds=1)
    assert "(target: below 1 s)" in failed(operator, done)
    evidence = evidence_of(operator, done.name)
    assert {check["outcome"] for one in evidence["results"] for check in one.get("checks", ())} == {"PASS"}
    assert evidence["recovery_time"]["facts"]["seconds"] > 1


def test_a_restore_that_never_ends(operator: Operator, backup: Manifest) -> None:
    operator.engine_fault("rds", "drill-*", operation="RestoreDBInstanceToPointInTime", seconds=300)
    assert "is still creating after" in failed(operator, drill(operator, components=["database"]))


def test_a_log_that_falls_behind(operator: Operator, backup: Manifest) -> None:
    operator.engine_fault("rds", operator.config.name, archive="held")
    operator.sql("SELECT pg_sleep(1.5)")
    operator.sql("INSERT INTO ops.heartbeat DEFAULT VALUES")
    done = drill(operator, components=["database"], recovery_point_seconds=1)
    assert "s of heartbeats were lost (target: below 1 s)" in failed(operator, done)


def test_a_copy_that_is_set_up_otherwise(operator: Operator, backup: Manifest) -> None:
    operator.engine_fault(
        "rds", "drill-*", operation="RestoreDBInstanceToPointInTime", set={"PubliclyAccessible": True}
    )
    cause = failed(operator, drill(operator, components=["database"]))
    assert "it may be reached from the Internet" in cause


def test_what_cannot_be_deleted_is_said_and_left_to_the_reaper(operator: Operator, backup: Manifest) -> None:
    operator.engine_fault("rds", "drill-*", operation="DeleteDBInstance", error="InvalidDBInstanceState")
    done = drill(operator, components=["database"])
    assert (done.status, done.error) == ("FAILED", "DrillFailed")
    assert "not torn down: drill-" in str(done.cause)
    assert record_of(operator, done.name).outcome == "FAIL"
    assert left_behind(operator) != []
    settle(operator)
    assert left_behind(operator) == []


def test_what_is_refused_fails_with_evidence(operator: Operator, backup: Manifest) -> None:
    for given, words in (
        ({"environment": "prod"}, "the input is for prod"),
        ({"component": ["database"]}, "unknown `component`"),
    ):
        done = drill(operator, **given)
        assert words in failed(operator, done)
        assert evidence_of(operator, done.name)["plan"] is None


def test_without_a_live_database_nothing_is_rehearsed(operator: Operator, backup: Manifest) -> None:
    name = f"/{operator.config.service}/{operator.config.environment}/endpoints/database"
    before = operator.endpoint("database")
    operator.clients["ssm"].put_parameter(Name=name, Value="nowhere.internal:5432", Overwrite=True)
    try:
        mark = operator.api_mark()
        assert "no DB instance is at the service's endpoint" in failed(operator, drill(operator))
        assert operator.api_calls("rds:Restore*", "elasticache:Create*", after=mark) == []
    finally:
        operator.clients["ssm"].put_parameter(Name=name, Value=before, Overwrite=True)
