"""Snapshots, restores and recovery to a moment, through the API, on real databases."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.fixtures.automation import eventually
from tests.sandbox.fixtures.databases import PASSWORD, Databases, databases_alone, moment_between


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    with databases_alone(tmp_path_factory.mktemp("backups")) as databases:
        yield databases


@pytest.fixture(scope="module")
def source(databases: Databases) -> dict[str, Any]:
    return databases.create(
        "source",
        Tags=[{"Key": "backup", "Value": "true"}],
        CopyTagsToSnapshot=True,
        EnableIAMDatabaseAuthentication=True,
        DeletionProtection=True,
        MultiAZ=True,
    )


def code(caught: pytest.ExceptionInfo[ClientError]) -> str:
    return str(caught.value.response["Error"]["Code"])


def test_a_snapshot_holds_what_was_there_and_its_source_is_backing_up_meanwhile(
    databases: Databases, source: dict[str, Any]
) -> None:
    with databases.session(source) as session:
        session.run("INSERT INTO t (n) VALUES (1)")
    with databases.fault("source", operation="CreateDBSnapshot", seconds=1):
        begun = databases.rds.create_db_snapshot(
            DBInstanceIdentifier="source", DBSnapshotIdentifier="First", Tags=[{"Key": "run", "Value": "7"}]
        )["DBSnapshot"]
        assert (begun["Status"], begun["DBSnapshotIdentifier"], begun["SnapshotType"]) == (
            "creating",
            "first",
            "manual",
        )
        assert databases.describe("source")["DBInstanceStatus"] == "backing-up"
        with pytest.raises(ClientError) as caught:
            databases.rds.create_db_snapshot(DBInstanceIdentifier="source", DBSnapshotIdentifier="second")
        assert code(caught) == "InvalidDBInstanceState"
        with pytest.raises(ClientError) as caught:
            databases.rds.delete_db_snapshot(DBSnapshotIdentifier="first")
        assert code(caught) == "InvalidDBSnapshotState"
        # Reading and writing goes on.
        assert databases.numbers(source) == [1]
    eventually(lambda: databases.described_snapshot("first")["Status"] == "available")
    databases.available("source")
    done = databases.described_snapshot("first")
    assert {tag["Key"]: tag["Value"] for tag in done["TagList"]} == {"run": "7", "backup": "true"}
    assert done["SnapshotCreateTime"] > begun["InstanceCreateTime"]
    with databases.session(source) as session:
        session.run("INSERT INTO t (n) VALUES (2)")
    databases.rds.restore_db_instance_from_db_snapshot(
        DBInstanceIdentifier="from-first", DBSnapshotIdentifier="first", BackupRetentionPeriod=0, Tags=[]
    )
    restored = databases.available("from-first")
    assert databases.numbers(restored) == [1]
    assert databases.numbers(source) == [1, 2]
    assert restored["Endpoint"]["Address"] != source["Endpoint"]["Address"]
    assert restored["Endpoint"]["Port"] == source["Endpoint"]["Port"]
    assert "LatestRestorableTime" not in restored
    databases.delete("from-first")


def test_a_restore_that_says_nothing_gets_the_defaults_of_aws(databases: Databases, source: dict[str, Any]) -> None:
    name = databases.snapshot("source")
    databases.rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="careless", DBSnapshotIdentifier=name)
    careless = databases.available("careless")
    assert careless["TagList"] == [{"Key": "backup", "Value": "true"}], "a clone like this is backed up from now on"
    assert careless["MultiAZ"] is False
    assert careless["DeletionProtection"] is False
    assert careless["IAMDatabaseAuthenticationEnabled"] is False
    assert careless["PubliclyAccessible"] is True
    assert careless["DBParameterGroups"][0]["DBParameterGroupName"] == "default.postgres16"
    assert careless["DBSubnetGroup"]["DBSubnetGroupName"] == "default"
    for kept in ("DBInstanceClass", "AllocatedStorage", "BackupRetentionPeriod", "MasterUsername", "EngineVersion"):
        assert careless[kept] == source[kept]
    databases.delete("careless")


def test_a_restore_that_says_where_goes_there(databases: Databases, source: dict[str, Any]) -> None:
    ec2, rds = databases.platform.client("ec2"), databases.rds
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{index}.0/24", AvailabilityZone=f"us-east-1{zone}")["Subnet"]
        for index, zone in enumerate("ab")
    ]
    group = ec2.create_security_group(GroupName="drill", Description="drill", VpcId=vpc)["GroupId"]
    rds.create_db_subnet_group(
        DBSubnetGroupName="drill",
        DBSubnetGroupDescription="drill",
        SubnetIds=[subnet["SubnetId"] for subnet in subnets],
    )
    rds.create_db_parameter_group(DBParameterGroupName="own", DBParameterGroupFamily="postgres16", Description="own")
    name = databases.snapshot("source")
    placed = {
        "DBSnapshotIdentifier": name,
        "DBSubnetGroupName": "drill",
        "DBParameterGroupName": "own",
        "DBInstanceClass": "db.r6g.large",
        "EnableIAMDatabaseAuthentication": True,
        "PubliclyAccessible": False,
        "BackupRetentionPeriod": 0,
        "Tags": [{"Key": "dr:drill-id", "Value": "42"}],
    }
    elsewhere = source["VpcSecurityGroups"][0]["VpcSecurityGroupId"]
    for change, expected in (
        ({"VpcSecurityGroupIds": [elsewhere]}, "InvalidParameterCombination"),
        ({"VpcSecurityGroupIds": ["sg-0"]}, "InvalidParameterValue"),
        ({"DBSubnetGroupName": "no-such"}, "DBSubnetGroupNotFoundFault"),
        ({"DBParameterGroupName": "no-such"}, "DBParameterGroupNotFound"),
        ({"ManageMasterUserPassword": True}, "InvalidParameterCombination"),
        ({"DBSnapshotIdentifier": "no-such"}, "DBSnapshotNotFound"),
        ({"DBInstanceIdentifier": "source"}, "DBInstanceAlreadyExists"),
    ):
        with pytest.raises(ClientError) as caught:
            rds.restore_db_instance_from_db_snapshot(**{"DBInstanceIdentifier": "placed", **placed, **change})
        assert code(caught) == expected
    rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="placed", VpcSecurityGroupIds=[group], **placed)
    found = databases.available("placed")
    assert found["DBSubnetGroup"]["DBSubnetGroupName"] == "drill"
    assert found["DBSubnetGroup"]["VpcId"] == vpc
    assert found["VpcSecurityGroups"] == [{"VpcSecurityGroupId": group, "Status": "active"}]
    assert found["DBParameterGroups"] == [{"DBParameterGroupName": "own", "ParameterApplyStatus": "in-sync"}]
    assert (found["DBInstanceClass"], found["IAMDatabaseAuthenticationEnabled"]) == ("db.r6g.large", True)
    assert (found["PubliclyAccessible"], found["BackupRetentionPeriod"]) == (False, 0)
    assert found["TagList"] == placed["Tags"]
    databases.delete("placed")


def test_a_point_in_time_between_two_inserts_has_the_first_only(databases: Databases, source: dict[str, Any]) -> None:
    with databases.session(source) as session:
        session.run("DELETE FROM t")
        session.run("INSERT INTO t (n) VALUES (10)")
        moment = moment_between(session)
        session.run("INSERT INTO t (n) VALUES (11)")
        session.run("CREATE TABLE late (n int)")
    databases.restorable("source", moment)
    databases.rds.restore_db_instance_to_point_in_time(
        SourceDBInstanceIdentifier="source",
        TargetDBInstanceIdentifier="before",
        RestoreTime=moment,
        BackupRetentionPeriod=0,
    )
    before = databases.available("before")
    assert databases.numbers(before) == [10]
    with databases.session(before) as session:
        assert session.run("SELECT to_regclass('late') IS NULL") == [[True]]
        session.run("INSERT INTO t (n) VALUES (12)")
    databases.delete("before")
    with databases.session(source) as session:
        session.run("DROP TABLE late")


def test_the_latest_restorable_time_is_restored_to_exactly(databases: Databases, source: dict[str, Any]) -> None:
    with databases.session(source) as session:
        session.run("DELETE FROM t")
        session.run("INSERT INTO t (n) SELECT generate_series(1, 100)")
        moment = moment_between(session)
    databases.restorable("source", moment)
    databases.rds.restore_db_instance_to_point_in_time(
        SourceDBInstanceIdentifier="source",
        TargetDBInstanceIdentifier="latest",
        UseLatestRestorableTime=True,
        BackupRetentionPeriod=0,
    )
    assert databases.numbers(databases.available("latest")) == list(range(1, 101))
    databases.delete("latest")


def test_a_moment_outside_of_the_window_is_refused(databases: Databases, source: dict[str, Any]) -> None:
    found = databases.describe("source")
    target = {"SourceDBInstanceIdentifier": "source", "TargetDBInstanceIdentifier": "never"}
    for wrong, expected in (
        ({"RestoreTime": found["LatestRestorableTime"] + timedelta(minutes=5)}, "InvalidParameterValue"),
        ({"RestoreTime": found["InstanceCreateTime"] - timedelta(hours=1)}, "InvalidParameterValue"),
        (
            {"RestoreTime": found["LatestRestorableTime"], "UseLatestRestorableTime": True},
            "InvalidParameterCombination",
        ),
        ({}, "InvalidParameterCombination"),
    ):
        with pytest.raises(ClientError) as caught:
            databases.rds.restore_db_instance_to_point_in_time(**target, **wrong)
        assert code(caught) == expected


def test_a_held_archive_leaves_the_restorable_time_behind(databases: Databases, source: dict[str, Any]) -> None:
    with databases.fault("source", archive="held"):
        # One step may be under way when the fault comes.
        first = databases.describe("source")["LatestRestorableTime"]
        eventually(lambda: databases.describe("source")["LatestRestorableTime"] >= first)
        with databases.session(source) as session:
            session.run("SELECT pg_sleep(2.5)")
        assert databases.describe("source")["LatestRestorableTime"] < first + timedelta(seconds=2)
        moment = first + timedelta(seconds=2.5)
    databases.restorable("source", moment)


def test_a_restored_instance_can_itself_be_restored(databases: Databases, source: dict[str, Any]) -> None:
    with databases.session(source) as session:
        session.run("DELETE FROM t")
        session.run("INSERT INTO t (n) VALUES (1)")
        moment = moment_between(session)
    databases.restorable("source", moment)
    target = {"SourceDBInstanceIdentifier": "source", "TargetDBInstanceIdentifier": "child"}
    databases.rds.restore_db_instance_to_point_in_time(**target, UseLatestRestorableTime=True)
    child = databases.available("child")
    with databases.session(child) as session:
        session.run("INSERT INTO t (n) VALUES (2)")
        moment = moment_between(session)
        session.run("DELETE FROM t")
    databases.restorable("child", moment)
    databases.rds.restore_db_instance_to_point_in_time(
        SourceDBInstanceIdentifier="child", TargetDBInstanceIdentifier="grandchild", RestoreTime=moment
    )
    assert databases.numbers(databases.available("grandchild")) == [1, 2]
    databases.delete("grandchild")
    databases.delete("child")


def test_a_deleted_instance_can_be_restored_from_its_final_snapshot_and_from_retained_backups(
    databases: Databases,
) -> None:
    found = databases.create("doomed")
    with databases.session(found) as session:
        session.run("INSERT INTO t (n) VALUES (1)")
        moment = moment_between(session)
        session.run("INSERT INTO t (n) VALUES (2)")
    databases.restorable("doomed", moment)
    with pytest.raises(ClientError) as caught:
        databases.rds.delete_db_instance(DBInstanceIdentifier="doomed")
    assert code(caught) == "InvalidParameterCombination"
    databases.rds.delete_db_instance(
        DBInstanceIdentifier="doomed", FinalDBSnapshotIdentifier="last", DeleteAutomatedBackups=False
    )
    databases.gone("doomed")
    databases.rds.restore_db_instance_from_db_snapshot(
        DBInstanceIdentifier="doomed", DBSnapshotIdentifier="last", BackupRetentionPeriod=0
    )
    assert databases.numbers(databases.available("doomed")) == [1, 2]
    (kept,) = databases.rds.describe_db_instance_automated_backups(DbiResourceId=found["DbiResourceId"])[
        "DBInstanceAutomatedBackups"
    ]
    assert kept["Status"] == "retained"
    assert kept["RestoreWindow"]["EarliestTime"] < moment < kept["RestoreWindow"]["LatestTime"]
    databases.rds.restore_db_instance_to_point_in_time(
        SourceDbiResourceId=found["DbiResourceId"],
        TargetDBInstanceIdentifier="doomed-2",
        RestoreTime=moment,
        BackupRetentionPeriod=0,
    )
    assert databases.numbers(databases.available("doomed-2")) == [1]
    for name in ("doomed", "doomed-2"):
        databases.delete(name)


def test_a_copy_outlives_its_original(databases: Databases, source: dict[str, Any]) -> None:
    with databases.session(source) as session:
        session.run("DELETE FROM t")
        session.run("INSERT INTO t (n) VALUES (5)")
    name = databases.snapshot("source")
    databases.rds.copy_db_snapshot(SourceDBSnapshotIdentifier=name, TargetDBSnapshotIdentifier="copied")
    eventually(lambda: databases.described_snapshot("copied")["Status"] == "available")
    assert databases.described_snapshot("copied")["TagList"] == []
    databases.rds.delete_db_snapshot(DBSnapshotIdentifier=name)
    with pytest.raises(ClientError) as caught:
        databases.described_snapshot(name)
    assert code(caught) == "DBSnapshotNotFound"
    databases.rds.restore_db_instance_from_db_snapshot(
        DBInstanceIdentifier="from-copy", DBSnapshotIdentifier="copied", BackupRetentionPeriod=0
    )
    assert databases.numbers(databases.available("from-copy")) == [5]
    databases.delete("from-copy")


def test_backups_can_be_switched_on_and_off(databases: Databases) -> None:
    found = databases.create("plain", BackupRetentionPeriod=0)
    assert "LatestRestorableTime" not in found
    target = {"SourceDBInstanceIdentifier": "plain", "TargetDBInstanceIdentifier": "never"}
    with pytest.raises(ClientError) as caught:
        databases.rds.restore_db_instance_to_point_in_time(**target, UseLatestRestorableTime=True)
    assert code(caught) == "PointInTimeRestoreNotEnabled"
    databases.rds.modify_db_instance(DBInstanceIdentifier="plain", BackupRetentionPeriod=7)
    assert databases.available("plain")["LatestRestorableTime"]
    automated = {"DBInstanceIdentifier": "plain", "SnapshotType": "automated"}
    assert len(databases.rds.describe_db_snapshots(**automated)["DBSnapshots"]) == 1
    databases.rds.modify_db_instance(DBInstanceIdentifier="plain", BackupRetentionPeriod=0)
    assert "LatestRestorableTime" not in databases.available("plain")
    assert databases.rds.describe_db_snapshots(**automated)["DBSnapshots"] == []
    with databases.session(found, "owner", PASSWORD) as session:
        assert session.run("SELECT 1") == [[1]]
    databases.delete("plain")
