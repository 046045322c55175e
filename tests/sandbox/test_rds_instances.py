"""The life of an instance through the API: names, changes, replicas, quotas, faults, and its processes' end."""

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest
import urllib3
from botocore.exceptions import ClientError
from pg8000.exceptions import DatabaseError, InterfaceError

from sandbox.platform.rds.records import TERMINAL
from tests.sandbox.fixtures.automation import eventually
from tests.sandbox.fixtures.databases import PASSWORD, Databases, databases_alone, ended, names_of


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    with databases_alone(tmp_path_factory.mktemp("instances")) as databases:
        yield databases


@pytest.fixture(scope="module")
def instance(databases: Databases) -> dict[str, Any]:
    return databases.create("one")


def refused(call: Callable[..., Any], **params: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**params)
    return str(caught.value.response["Error"]["Code"])


def test_a_new_instance_is_as_the_call_says(databases: Databases, instance: dict[str, Any]) -> None:
    assert instance["DBInstanceArn"] == "arn:aws:rds:us-east-1:000000000000:db:one"
    assert instance["DbiResourceId"].startswith("db-")
    assert instance["Endpoint"]["Port"] == databases.config.database_port
    assert instance["DBName"] == "app"
    assert instance["LatestRestorableTime"] > instance["InstanceCreateTime"]
    with databases.session(instance) as session:
        assert session.run("SHOW server_version") == [[instance["EngineVersion"]]]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"DBInstanceIdentifier": "one"}, "DBInstanceAlreadyExists"),
        ({"DBInstanceIdentifier": "1-one"}, "InvalidParameterValue"),
        ({"DBInstanceIdentifier": "a--b"}, "InvalidParameterValue"),
        ({"Engine": "mysql"}, "InvalidParameterValue"),
        ({"EngineVersion": "9.6"}, "InvalidParameterCombination"),
        ({"MasterUsername": "rdsadmin"}, "InvalidParameterValue"),
        ({"MasterUserPassword": "short"}, "InvalidParameterValue"),
        ({"ManageMasterUserPassword": True}, "InvalidParameterCombination"),
        ({"BackupRetentionPeriod": 36}, "InvalidParameterValue"),
        ({"DBParameterGroupName": "no-such"}, "DBParameterGroupNotFound"),
    ],
)
def test_what_cannot_be_is_not_created(
    databases: Databases, instance: dict[str, Any], change: dict[str, Any], code: str
) -> None:
    given = {
        "DBInstanceIdentifier": "other",
        "Engine": "postgres",
        "DBInstanceClass": "db.t4g.medium",
        "MasterUsername": "owner",
        "MasterUserPassword": PASSWORD,
        "AllocatedStorage": 20,
    }
    assert refused(databases.rds.create_db_instance, **{**given, **change}) == code
    assert [one["DBInstanceIdentifier"] for one in databases.rds.describe_db_instances()["DBInstances"]] == ["one"]


def test_a_rename_gives_the_name_its_endpoint(databases: Databases, instance: dict[str, Any]) -> None:
    old = databases.create("old")
    with databases.session(old) as session:
        session.run("INSERT INTO t (n) VALUES (1)")
    rds = databases.rds
    assert (
        refused(
            rds.modify_db_instance, DBInstanceIdentifier="old", NewDBInstanceIdentifier="one", ApplyImmediately=True
        )
        == "DBInstanceAlreadyExists"
    )
    rds.modify_db_instance(DBInstanceIdentifier="old", NewDBInstanceIdentifier="new", ApplyImmediately=True)
    databases.gone("old")
    new = databases.available("new")
    assert databases.numbers(new) == [1]
    assert new["DbiResourceId"] == old["DbiResourceId"]
    assert new["DBInstanceArn"].endswith(":db:new")
    assert new["Endpoint"]["Address"] != old["Endpoint"]["Address"]
    with pytest.raises((InterfaceError, OSError)), databases.session(old):
        pass
    # The name's next owner gets the name's address, as it would get its DNS name.
    assert databases.create("old")["Endpoint"] == old["Endpoint"]
    for name in ("old", "new"):
        databases.delete(name)


def test_protected_instances_are_not_deleted(databases: Databases) -> None:
    databases.create("guarded", DeletionProtection=True)
    rds = databases.rds
    delete = {"DBInstanceIdentifier": "guarded", "SkipFinalSnapshot": True}
    assert refused(rds.delete_db_instance, **delete) == "InvalidParameterCombination"
    rds.modify_db_instance(DBInstanceIdentifier="guarded", DeletionProtection=False)
    with databases.fault("guarded", operation="DeleteDBInstance", seconds=0.5):
        rds.delete_db_instance(**delete)
        assert databases.describe("guarded")["DBInstanceStatus"] == "deleting"
        assert refused(rds.delete_db_instance, **delete) == "InvalidDBInstanceState"
        databases.gone("guarded")
    assert refused(rds.delete_db_instance, **delete) == "DBInstanceNotFound"


def test_an_instance_can_be_deleted_while_it_is_created(databases: Databases) -> None:
    with databases.fault("brief", operation="CreateDBInstance", seconds=60):
        databases.rds.create_db_instance(
            DBInstanceIdentifier="brief",
            Engine="postgres",
            DBInstanceClass="db.t4g.medium",
            MasterUsername="owner",
            MasterUserPassword=PASSWORD,
            AllocatedStorage=20,
        )
        assert databases.describe("brief")["DBInstanceStatus"] == "creating"
        assert "Endpoint" not in databases.describe("brief")
        databases.delete("brief")


def test_changes_apply_now_or_wait_as_they_should(databases: Databases, instance: dict[str, Any]) -> None:
    rds = databases.rds
    rds.create_db_parameter_group(DBParameterGroupName="tuned", DBParameterGroupFamily="postgres16", Description="x")
    rds.modify_db_instance(
        DBInstanceIdentifier="one",
        DBInstanceClass="db.r6g.large",
        DBParameterGroupName="tuned",
        CopyTagsToSnapshot=True,
    )
    changed = databases.available("one")
    assert changed["CopyTagsToSnapshot"] is True
    assert changed["DBInstanceClass"] == "db.t4g.medium"
    assert changed["PendingModifiedValues"] == {"DBInstanceClass": "db.r6g.large"}
    assert changed["DBParameterGroups"][0]["ParameterApplyStatus"] == "pending-reboot"
    rds.reboot_db_instance(DBInstanceIdentifier="one")
    assert databases.available("one")["DBParameterGroups"][0]["ParameterApplyStatus"] == "in-sync"
    rds.modify_db_instance(DBInstanceIdentifier="one", MasterUserPassword="another-horse", ApplyImmediately=True)
    databases.available("one")
    with databases.session(changed, password="another-horse") as session:
        assert session.run("SELECT 1") == [[1]]
    with pytest.raises(DatabaseError), databases.session(changed):
        pass
    rds.modify_db_instance(DBInstanceIdentifier="one", MasterUserPassword=PASSWORD)
    databases.available("one")


def test_a_replica_follows_and_can_be_promoted(databases: Databases, instance: dict[str, Any]) -> None:
    rds = databases.rds
    rds.create_db_instance_read_replica(DBInstanceIdentifier="copy", SourceDBInstanceIdentifier="one")
    replica = databases.available("copy")
    assert replica["ReadReplicaSourceDBInstanceIdentifier"] == "one"
    assert databases.describe("one")["ReadReplicaDBInstanceIdentifiers"] == ["copy"]
    with databases.session(instance) as session:
        session.run("INSERT INTO t (n) VALUES (77)")
    eventually(lambda: 77 in databases.numbers(replica))
    with databases.session(replica) as session, pytest.raises(DatabaseError, match="read-only"):
        session.run("INSERT INTO t (n) VALUES (78)")
    rds.promote_read_replica(DBInstanceIdentifier="copy")
    promoted = databases.available("copy")
    assert "ReadReplicaSourceDBInstanceIdentifier" not in promoted
    assert promoted["LatestRestorableTime"]
    with databases.session(promoted) as session:
        session.run("INSERT INTO t (n) VALUES (79)")
    assert 79 not in databases.numbers(instance)
    databases.delete("copy")


def test_the_snapshot_quota_is_counted_and_enforced(databases: Databases, instance: dict[str, Any]) -> None:
    rds = databases.rds

    def quota() -> tuple[int, int]:
        quotas = rds.describe_account_attributes()["AccountQuotas"]
        return next((one["Used"], one["Max"]) for one in quotas if one["AccountQuotaName"] == "ManualSnapshots")

    used, limit = quota()
    assert limit == 100
    with databases.fault("*", quota={"ManualSnapshots": used + 1}):
        name = databases.snapshot("one")
        assert quota() == (used + 1, used + 1)
        create = {"DBInstanceIdentifier": "one", "DBSnapshotIdentifier": "too-many"}
        assert refused(rds.create_db_snapshot, **create) == "SnapshotQuotaExceeded"
        assert (
            refused(rds.delete_db_instance, DBInstanceIdentifier="one", FinalDBSnapshotIdentifier="final")
            == "SnapshotQuotaExceeded"
        ), "a full quota blocks a deletion that wants a final snapshot"
        rds.delete_db_snapshot(DBSnapshotIdentifier=name)
        rds.delete_db_snapshot(DBSnapshotIdentifier=databases.snapshot("one", "fits"))
    assert quota() == (used, 100)


def test_a_throttled_operation_is_throttled_as_often_as_told(databases: Databases, instance: dict[str, Any]) -> None:
    create = {"DBInstanceIdentifier": "one", "DBSnapshotIdentifier": "patient"}
    with databases.fault("*", operation="CreateDBSnapshot", error="Throttling", times=3):
        for _ in range(3):
            assert refused(databases.rds.create_db_snapshot, **create) == "Throttling"
        assert databases.describe("one")["DBInstanceStatus"] == "available"
        databases.snapshot("one", "patient")
        assert refused(databases.rds.create_db_snapshot, **create) == "DBSnapshotAlreadyExists"


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_a_restore_can_end_in_each_terminal_status(databases: Databases, instance: dict[str, Any], status: str) -> None:
    snapshots = databases.rds.describe_db_snapshots(SnapshotType="automated", DBInstanceIdentifier="one")
    name = snapshots["DBSnapshots"][0]["DBSnapshotIdentifier"]
    with databases.fault("bad", operation="RestoreDBInstanceFromDBSnapshot", end_status=status):
        databases.rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="bad", DBSnapshotIdentifier=name)
        found = databases.available("bad", status)
        assert "Endpoint" not in found
        delete = {"DBInstanceIdentifier": "bad", "FinalDBSnapshotIdentifier": "of-bad"}
        assert refused(databases.rds.delete_db_instance, **delete) == "InvalidDBInstanceState"
        databases.delete("bad")
    events = [event["detail"] for event in databases.platform.automation.events]
    assert any(one["SourceIdentifier"] == "bad" and "failure" in one["EventCategories"] for one in events)


def test_other_things_that_can_go_wrong(databases: Databases, instance: dict[str, Any]) -> None:
    rds = databases.rds
    with databases.fault("one", operation="CreateDBSnapshot", end_status="failed"):
        rds.create_db_snapshot(DBInstanceIdentifier="one", DBSnapshotIdentifier="failing")
        eventually(lambda: databases.described_snapshot("failing")["Status"] == "failed")
        databases.available("one")
        restore = {"DBInstanceIdentifier": "never", "DBSnapshotIdentifier": "failing"}
        assert refused(rds.restore_db_instance_from_db_snapshot, **restore) == "InvalidDBSnapshotState"
        rds.delete_db_snapshot(DBSnapshotIdentifier="failing")
    with databases.fault("one", status="backing-up"):
        assert databases.describe("one")["DBInstanceStatus"] == "backing-up"
        create = {"DBInstanceIdentifier": "one", "DBSnapshotIdentifier": "never"}
        assert refused(rds.create_db_snapshot, **create) == "InvalidDBInstanceState"
        assert databases.numbers(instance)
    with databases.fault("one", status="storage-full"), pytest.raises((InterfaceError, OSError)):
        databases.numbers(instance)
    eventually(lambda: answers(databases, instance))
    with databases.fault("*", operation="RestoreDBInstanceFromDBSnapshot", set={"EngineVersion": "16.99"}):
        name = databases.snapshot("one", "drifting")
        rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="drifted", DBSnapshotIdentifier=name)
        assert databases.available("drifted")["EngineVersion"] == "16.99"
        databases.delete("drifted")


def answers(databases: Databases, instance: dict[str, Any]) -> bool:
    try:
        return bool(databases.numbers(instance))
    except (InterfaceError, OSError):
        return False


def test_faults_are_checked_and_listed(databases: Databases) -> None:
    url = f"{databases.config.platform_url}/_sandbox/engines"
    assert urllib3.request("POST", url, json={"service": "rds"}).status == 400
    assert urllib3.request("POST", url, body=b"no").status == 400
    with databases.fault("x", operation="RebootDBInstance", error="Throttling", times=2):
        assert {
            "service": "rds",
            "target": "x",
            "fault": {"operation": "RebootDBInstance", "error": "Throttling", "times": 2},
        } in urllib3.request("GET", url).json()["faults"]


def test_a_port_that_is_taken_makes_the_network_incompatible(databases: Databases) -> None:
    from sandbox.addresses import ENDPOINTS, Address

    held = [Address(host, 15999) for host in ENDPOINTS]
    try:
        databases.rds.create_db_instance(
            DBInstanceIdentifier="nowhere",
            Engine="postgres",
            DBInstanceClass="db.t4g.medium",
            MasterUsername="owner",
            MasterUserPassword=PASSWORD,
            AllocatedStorage=20,
            Port=15999,
        )
        databases.available("nowhere", "incompatible-network")
        databases.delete("nowhere")
    finally:
        for address in held:
            address.close()


def test_lists_come_in_pages_and_filtered(databases: Databases, instance: dict[str, Any]) -> None:
    for number in range(21):
        databases.rds.copy_db_snapshot(
            SourceDBSnapshotIdentifier=automated(databases), TargetDBSnapshotIdentifier=f"page-{number:02d}"
        )
    pages = list(databases.rds.get_paginator("describe_db_snapshots").paginate(PaginationConfig={"PageSize": 20}))
    names = [one["DBSnapshotIdentifier"] for page in pages for one in page["DBSnapshots"]]
    assert len(pages) > 1
    assert len(set(names)) == len(names)
    assert {f"page-{number:02d}" for number in range(21)} <= set(names)
    manual = databases.rds.describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]
    assert {one["SnapshotType"] for one in manual} == {"manual"}
    (one,) = databases.rds.describe_db_snapshots(Filters=[{"Name": "db-snapshot-id", "Values": ["page-03"]}])[
        "DBSnapshots"
    ]
    assert one["DBSnapshotIdentifier"] == "page-03"
    with pytest.raises(ClientError, match="Unrecognized filter"):
        databases.rds.describe_db_instances(Filters=[{"Name": "colour", "Values": ["blue"]}])
    for number in range(21):
        name = f"page-{number:02d}"
        eventually(lambda name=name: databases.described_snapshot(name)["Status"] == "available")
        databases.rds.delete_db_snapshot(DBSnapshotIdentifier=name)


def automated(databases: Databases) -> str:
    found = databases.rds.describe_db_snapshots(SnapshotType="automated", DBInstanceIdentifier="one")["DBSnapshots"]
    return str(found[0]["DBSnapshotIdentifier"])


def test_tags_can_be_changed(databases: Databases, instance: dict[str, Any]) -> None:
    rds, arn = databases.rds, instance["DBInstanceArn"]
    rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    rds.remove_tags_from_resource(ResourceName=arn, TagKeys=["a"])
    assert rds.list_tags_for_resource(ResourceName=arn)["TagList"] == [{"Key": "b", "Value": "2"}]
    assert databases.describe("one")["TagList"] == [{"Key": "b", "Value": "2"}]


def command_of(process: psutil.Process) -> str:
    """Its command line; nothing of one that has ended since it was listed, as those of PostgreSQL do."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_every_process_ends_with_the_platform(tmp_path_factory: pytest.TempPathFactory, number: signal.Signals) -> None:
    with databases_alone(tmp_path_factory.mktemp("end")) as databases:
        databases.create()
        url = databases.config.platform_url
        (platform,) = [
            one
            for one in psutil.Process().children(recursive=True)
            if "sandbox.platform" in (line := command_of(one)) and str(databases.config.dir) in line
        ]
        children = platform.children(recursive=True)
        assert {"postgres", "pg_receivewal"} <= names_of(children)
        os.kill(platform.pid, number)
        eventually(lambda: ended(children), 5)
        with pytest.raises(urllib3.exceptions.HTTPError):
            urllib3.request("GET", url, retries=False)
