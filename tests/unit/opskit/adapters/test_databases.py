from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from opskit.adapters.database_state import DatabaseSnapshot, DatabaseState, RestoreWindow
from opskit.adapters.databases import Databases
from opskit.decisions.placement import database_arguments, differences
from opskit.decisions.snapshot import Quota, snapshot_tags
from opskit.errors import MeasurementError, NameTakenError, NotFoundError, NotReadyError, QuotaExceededError

from .conftest import aws_client, network, session

HOUR = datetime(2026, 11, 23, 9, tzinfo=UTC)
TAGS = snapshot_tags("detection-api", "dev", "orders", HOUR, "run-1")
NAME = "detection-api-dev-orders-2026112309"


@pytest.fixture
def rds() -> Any:
    client = aws_client("rds")
    _, subnets = network()
    client.create_db_subnet_group(DBSubnetGroupName="private", DBSubnetGroupDescription="x", SubnetIds=subnets)
    client.create_db_parameter_group(DBParameterGroupName="ours", DBParameterGroupFamily="postgres15", Description="x")
    return client


def create(rds: Any, name: str = "orders", **changes: Any) -> None:
    rds.create_db_instance(
        **{
            "DBInstanceIdentifier": name,
            "DBInstanceClass": "db.t4g.medium",
            "Engine": "postgres",
            "EngineVersion": "15.18",
            "MasterUsername": "operator",
            "MasterUserPassword": "not-a-secret",
            "AllocatedStorage": 50,
            "StorageType": "gp3",
            "DBSubnetGroupName": "private",
            "DBParameterGroupName": "ours",
            "VpcSecurityGroupIds": ["sg-2", "sg-1"],
            "Port": 5432,
            "EnableIAMDatabaseAuthentication": True,
            "BackupRetentionPeriod": 7,
            "StorageEncrypted": True,
            "Tags": [{"Key": "backup", "Value": "true"}],
        }
        | changes
    )


def calls_of(client: Any) -> list[str]:
    """The operations that `client` is asked for from now on."""
    made: list[str] = []
    client.meta.events.register("before-call.*.*", lambda model, **_: made.append(model.name))
    return made


def own_client() -> Any:
    """A client whose calls can be watched without those of other tests."""
    return session().client("rds")


def stubbed(*answers: tuple[str, dict[str, Any] | str, dict[str, Any] | None]) -> tuple[Databases, Stubber]:
    client = own_client()
    stub = Stubber(client)
    for operation, answer, expected in answers:
        if isinstance(answer, str):
            stub.add_client_error(operation, answer, "refused", 400, expected_params=expected)
        else:
            stub.add_response(operation, answer, expected)
    stub.activate()
    return Databases(client), stub


def test_an_instance_is_described_in_full(rds: Any) -> None:
    create(rds)
    found = Databases(rds).instance("orders")
    assert found is not None
    configuration = found.configuration
    assert (found.identifier, found.status, found.tags) == ("orders", "available", {"backup": "true"})
    assert (configuration.subnet_group, configuration.parameter_group, configuration.port) == ("private", "ours", 5432)
    assert configuration.security_groups == ("sg-1", "sg-2")
    assert (configuration.iam_authentication, configuration.encrypted) == (True, True)
    assert (configuration.backup_retention_days, configuration.storage_type) == (7, "gp3")
    assert found.address
    assert found.replica_of is None
    assert DatabaseState.from_dict(found.as_dict()) == found
    assert Databases(rds).instance("none") is None


def test_a_fleet_is_listed_with_its_tags_in_pages_and_nothing_is_asked_twice(rds: Any) -> None:
    client = own_client()
    for number in range(101):
        create(rds, f"db-{number:03}")
    for number in range(101, 104):  # each of one database: its own snapshots
        rds.create_db_snapshot(
            DBInstanceIdentifier="db-000", DBSnapshotIdentifier=f"s-{number}", Tags=[{"Key": "a", "Value": "b"}]
        )
    made = calls_of(client)
    instances = Databases(client).instances()
    snapshots = Databases(client).snapshots()
    assert [state.identifier for state in instances] == [f"db-{number:03}" for number in range(101)]
    assert all(state.tags == {"backup": "true"} for state in instances)
    assert [snapshot.name for snapshot in snapshots] == ["s-101", "s-102", "s-103"]
    assert all(snapshot.tags == {"a": "b"} for snapshot in snapshots)
    assert made == ["DescribeDBInstances", "DescribeDBInstances", "DescribeDBSnapshots"]


def test_only_manual_snapshots_are_listed(rds: Any) -> None:
    create(rds)  # moto makes an automated one with it
    assert rds.describe_db_snapshots()["DBSnapshots"]
    assert Databases(rds).snapshots() == ()


def test_a_page_that_fails_leaves_no_partial_list() -> None:
    page = {"DBSnapshots": [], "Marker": "more"}
    databases, _ = stubbed(("describe_db_snapshots", page, None), ("describe_db_snapshots", "Throttling", None))
    with pytest.raises(ClientError, match="Throttling"):
        databases.snapshots()


def test_a_snapshot_is_taken_once(rds: Any) -> None:
    create(rds)
    databases = Databases(rds)
    first = databases.take_snapshot("orders", NAME, TAGS)
    again = databases.take_snapshot("orders", NAME, TAGS | {"ops:run": "run-2"})
    assert (first.name, first.database, first.tags, first.allocated_gib) == (NAME, "orders", TAGS, 50)
    assert again.tags == TAGS  # that of the first run
    assert [snapshot.name for snapshot in databases.snapshots()] == [NAME]
    assert databases.snapshot(NAME) == again
    assert databases.snapshot("none") is None
    assert DatabaseSnapshot(**first.as_dict()).name == NAME


def test_a_name_that_someone_else_has_is_refused(rds: Any) -> None:
    create(rds)
    create(rds, "others")
    databases = Databases(rds)
    rds.create_db_snapshot(DBInstanceIdentifier="orders", DBSnapshotIdentifier=NAME)
    with pytest.raises(NameTakenError, match="it has no tag ops:service"):
        databases.take_snapshot("orders", NAME, TAGS)
    databases.take_snapshot("others", "x", TAGS)
    with pytest.raises(NameTakenError, match="it is of others, not of orders"):
        databases.take_snapshot("orders", "x", TAGS)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("InvalidDBInstanceState", NotReadyError),
        ("InvalidDBInstanceStateFault", NotReadyError),
        ("SnapshotQuotaExceeded", QuotaExceededError),
        ("SnapshotQuotaExceededFault", QuotaExceededError),
        ("DBInstanceNotFound", NotFoundError),
        ("AccessDenied", ClientError),
        ("Throttling", ClientError),
    ],
)
def test_refusals_have_names(code: str, error: type[Exception]) -> None:
    databases, _ = stubbed(("create_db_snapshot", code, None))
    with pytest.raises(error, match=code.removesuffix("Fault")):
        databases.take_snapshot("orders", NAME, TAGS)


def test_a_snapshot_that_vanishes_between_two_calls_is_an_error() -> None:
    databases, _ = stubbed(
        ("create_db_snapshot", "DBSnapshotAlreadyExists", None), ("describe_db_snapshots", "DBSnapshotNotFound", None)
    )
    with pytest.raises(ClientError, match="DBSnapshotAlreadyExists"):
        databases.take_snapshot("orders", NAME, TAGS)


def test_deleting_is_idempotent(rds: Any) -> None:
    create(rds)
    databases = Databases(rds)
    databases.take_snapshot("orders", NAME, TAGS)
    assert [databases.delete_snapshot(NAME) for _ in range(2)] == [True, False]
    assert [databases.delete_instance("orders") for _ in range(2)] == [True, False]
    busy, _ = stubbed(("delete_db_snapshot", "InvalidDBSnapshotState", None))
    with pytest.raises(NotReadyError, match="delete snapshot x"):
        busy.delete_snapshot("x")


def test_an_instance_is_deleted_without_a_final_snapshot() -> None:
    wanted = {"DBInstanceIdentifier": "drill-1-db", "SkipFinalSnapshot": True, "DeleteAutomatedBackups": True}
    databases, stub = stubbed(("delete_db_instance", {}, wanted))
    assert databases.delete_instance("drill-1-db")
    stub.assert_no_pending_responses()


def test_the_quota_of_manual_snapshots() -> None:
    quotas = [
        {"AccountQuotaName": "DBInstances", "Used": 3, "Max": 40},
        {"AccountQuotaName": "ManualSnapshots", "Used": 97, "Max": 100},
    ]
    databases, _ = stubbed(("describe_account_attributes", {"AccountQuotas": quotas}, {}))
    assert databases.snapshot_quota() == Quota(97, 100)
    databases, _ = stubbed(("describe_account_attributes", {"AccountQuotas": quotas[:1]}, {}))
    with pytest.raises(MeasurementError, match="lists no ManualSnapshots"):
        databases.snapshot_quota()


def test_the_window_for_a_point_in_time() -> None:
    window = {"EarliestTime": HOUR - timedelta(days=7), "LatestTime": HOUR}
    answer = {"DBInstanceAutomatedBackups": [{"RestoreWindow": {}}, {"RestoreWindow": window}]}
    databases, _ = stubbed(("describe_db_instance_automated_backups", answer, {"DbiResourceId": "db-1"}))
    assert databases.restore_window("db-1") == RestoreWindow(HOUR - timedelta(days=7), HOUR)
    databases, _ = stubbed(("describe_db_instance_automated_backups", {"DBInstanceAutomatedBackups": []}, None))
    assert databases.restore_window("db-1") is None


DRILL = {"ops:drill-id": "abcd12345678"}


def test_a_snapshot_is_restored_as_it_was_told_and_once(rds: Any) -> None:
    create(rds)
    databases = Databases(rds)
    databases.take_snapshot("orders", NAME, TAGS)
    source = databases.instance("orders")
    assert source is not None
    arguments = database_arguments(source.configuration, DRILL, to_moment=False)
    made = databases.restore_snapshot("drill-copy", NAME, arguments)
    again = databases.restore_snapshot("drill-copy", NAME, arguments)
    assert made.identifier == again.identifier == "drill-copy"
    assert again.tags == DRILL  # and not those of the source
    # moto derives some settings of a copy anew; what decides who can reach it is as it was told.
    fatal = {one.setting for one in differences(source.configuration, again.configuration) if one.fatal}
    assert not fatal & {"subnet_group", "parameter_group", "security_groups", "publicly_accessible", "port"}
    other = database_arguments(source.configuration, {"ops:drill-id": "ffff12345678"}, to_moment=False)
    with pytest.raises(NameTakenError, match="There is a DB instance drill-copy already: ops:drill-id is"):
        databases.restore_snapshot("drill-copy", NAME, other)
    with pytest.raises(NotFoundError, match="restore none into drill-2"):
        databases.restore_snapshot("drill-2", "none", arguments)


def test_a_database_is_restored_to_a_moment() -> None:
    arguments = {"Tags": [{"Key": "ops:drill-id", "Value": "abcd12345678"}]}
    described = {"DBInstanceIdentifier": "x", "DBInstanceArn": "arn:x", "DbiResourceId": "db-2", "Engine": "postgres"}
    answer = {"DBInstance": described}
    for given, expected in (
        ({"moment": HOUR, "source": "orders"}, {"SourceDBInstanceIdentifier": "orders", "RestoreTime": HOUR}),
        ({"moment": None, "source": "orders"},
         {"SourceDBInstanceIdentifier": "orders", "UseLatestRestorableTime": True}),
        ({"moment": HOUR, "resource_id": "db-1"}, {"SourceDbiResourceId": "db-1", "RestoreTime": HOUR}),
    ):  # fmt: skip
        wanted = {"TargetDBInstanceIdentifier": "x", **expected, **arguments}
        databases, stub = stubbed(("restore_db_instance_to_point_in_time", answer, wanted))
        assert databases.restore_moment("x", arguments=arguments, **given).identifier == "x"  # type: ignore[arg-type]
        stub.assert_no_pending_responses()
    for wrong in ({}, {"source": "orders", "resource_id": "db-1"}):
        with pytest.raises(ValueError, match="either source or resource_id"):
            Databases(own_client()).restore_moment("x", None, arguments, **wrong)  # type: ignore[arg-type]


def test_a_moment_is_restored_through_the_api_too(rds: Any) -> None:
    create(rds)
    databases = Databases(rds)
    source = databases.instance("orders")
    assert source is not None
    arguments = database_arguments(source.configuration, DRILL, to_moment=True)
    assert databases.restore_moment("drill-copy", None, arguments, source="orders").identifier == "drill-copy"
    assert databases.restore_moment("drill-copy", None, arguments, source="orders").tags == DRILL


def test_tags_are_set_and_taken_and_an_instance_protected(rds: Any) -> None:
    create(rds, Tags=[{"Key": "backup", "Value": "true"}])
    databases = Databases(rds)
    before = databases.instance("orders")
    assert before is not None
    databases.retag(before.arn, {"ops:replaced-by": "other"}, ("backup",))
    databases.protect("orders")
    after = databases.instance("orders")
    assert after is not None
    assert after.tags == {"ops:replaced-by": "other"}
    assert after.configuration.deletion_protection


def test_only_those_that_are_asked_for_are_described_a_hundred_with_each_call(rds: Any) -> None:
    for number in range(3):
        create(rds, f"orders-{number}")
        rds.create_db_snapshot(DBInstanceIdentifier=f"orders-{number}", DBSnapshotIdentifier=f"snap-{number}")
    databases, made = Databases(rds), calls_of(rds)
    wanted = {f"snap-{number}" for number in range(1, 250)}
    found = databases.snapshots_named(wanted)
    assert set(found) == {"snap-1", "snap-2"}
    assert found["snap-1"].database == "orders-1"
    assert made == ["DescribeDBSnapshots"] * 3
    assert databases.statuses(["orders-0", "missing"]) == {"orders-0": "available"}
    assert made[3:] == ["DescribeDBInstances"]
    assert databases.snapshots_named([]) == {}
    assert len(made) == 4
