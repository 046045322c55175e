"""What the drill's functions may not do, tried with their own roles: production is out of reach."""

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from opskit.decisions.manifest import Kind, Manifest
from sandbox.operator import Operator
from tests.recovery.drills import backup, left_behind, operator, taken

__all__ = ["backup", "operator", "taken"]

DRILL = "drill-0123456789ab-x"
FUNCTIONS = (
    "plan-drill",
    "begin-drill",
    "restore-drill-database",
    "restore-drill-cache",
    "check-drill-copy",
    "verify-drill-database",
    "verify-drill-cache",
    "verify-drill-objects",
    "tear-down-drill",
    "close-drill",
    "reap-survivors",
)
TAGS = {"ops:drill-id": "0123456789ab", "ops:drill-service": "detection-api", "ops:drill-environment": "dev"}


def tag_list(**more: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in {**TAGS, **more}.items()]


class AsFunction:
    """Clients that sign with a session of the function's own role."""

    def __init__(self, operator: Operator, function: str) -> None:
        config = operator.config
        name = f"{config.name}-drill-{function}"
        role = operator.clients["lambda"].get_function_configuration(FunctionName=name)["Role"]
        given = operator.clients["sts"].assume_role(RoleArn=role, RoleSessionName="tries")["Credentials"]
        self._arguments = {
            "region_name": config.region,
            "endpoint_url": config.platform_url,
            "aws_access_key_id": given["AccessKeyId"],
            "aws_secret_access_key": given["SecretAccessKey"],
            "aws_session_token": given["SessionToken"],
        }

    def client(self, service: str) -> Any:
        return boto3.client(service, **self._arguments)  # type: ignore[call-overload]

    def refused(self, service: str, operation: str, **arguments: Any) -> None:
        with pytest.raises(ClientError) as caught:
            getattr(self.client(service), operation)(**arguments)
        assert caught.value.response["Error"]["Code"] == "AccessDenied", (operation, arguments, caught.value)


@pytest.fixture
def as_function(operator: Operator) -> Callable[[str], AsFunction]:
    return lambda function: AsFunction(operator, function)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_function_of_the_drill_can_harm_production(
    operator: Operator, as_function: Callable[[str], AsFunction], function: str
) -> None:
    name, role = operator.config.name, as_function(function)
    role.refused("rds", "delete_db_instance", DBInstanceIdentifier=name, SkipFinalSnapshot=True)
    role.refused("rds", "modify_db_instance", DBInstanceIdentifier=name, DeletionProtection=False)
    role.refused("rds", "reboot_db_instance", DBInstanceIdentifier=name)
    role.refused("elasticache", "delete_replication_group", ReplicationGroupId=name)
    role.refused("elasticache", "modify_replication_group", ReplicationGroupId=name, ApplyImmediately=True)
    # Nor a drill's copy, for the drill has no need to.
    role.refused("rds", "modify_db_instance", DBInstanceIdentifier=DRILL, DeletionProtection=True)
    assert operator.database()["DBInstanceStatus"] == "available"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_none_can_put_a_drill_s_tag_on_production(
    operator: Operator, as_function: Callable[[str], AsFunction], function: str
) -> None:
    """By that it would look as if it were to be deleted."""
    role = as_function(function)
    arn = operator.database()["DBInstanceArn"]
    config = operator.config
    group = f"arn:aws:elasticache:{config.region}:{config.account}:replicationgroup:{config.name}"
    role.refused("rds", "add_tags_to_resource", ResourceName=arn, Tags=tag_list())
    role.refused("elasticache", "add_tags_to_resource", ResourceName=group, Tags=tag_list())


@pytest.mark.parametrize("function", FUNCTIONS)
def test_none_can_delete_a_backup(
    operator: Operator, as_function: Callable[[str], AsFunction], backup: Manifest, function: str
) -> None:
    role = as_function(function)
    database, cache = backup.component(Kind.DATABASE), backup.component(Kind.CACHE)
    assert database is not None
    assert cache is not None
    role.refused("rds", "delete_db_snapshot", DBSnapshotIdentifier=database.id)
    role.refused("elasticache", "delete_snapshot", SnapshotName=cache.id)


def restores(operator: Operator, target: str, **changes: Any) -> dict[str, Any]:
    platform = operator.platform
    return {
        "SourceDBInstanceIdentifier": operator.config.name,
        "TargetDBInstanceIdentifier": target,
        "UseLatestRestorableTime": True,
        "DBSubnetGroupName": platform.drill_subnet_group,
        "DBParameterGroupName": operator.config.name,
        "Tags": tag_list(),
    } | changes


def test_a_database_is_restored_under_a_drill_s_name_and_tag_only(
    operator: Operator, as_function: Callable[[str], AsFunction]
) -> None:
    role, point = as_function("restore-drill-database"), "restore_db_instance_to_point_in_time"
    for target in (f"{operator.config.name}-2", "another"):
        role.refused("rds", point, **restores(operator, target))
    role.refused("rds", point, **restores(operator, DRILL, Tags=[{"Key": "backup", "Value": "true"}]))
    role.refused("rds", point, **restores(operator, DRILL, Tags=[]))
    # Only into the drill's own network.
    role.refused("rds", point, **restores(operator, DRILL, DBSubnetGroupName=operator.config.name))
    # Only what is the service's own.
    role.refused("rds", point, **restores(operator, DRILL, SourceDBInstanceIdentifier="orders-prod"))
    assert left_behind(operator) == []


def test_a_cache_is_restored_under_a_drill_s_name_and_tag_only(
    operator: Operator, as_function: Callable[[str], AsFunction], backup: Manifest
) -> None:
    role, part = as_function("restore-drill-cache"), backup.component(Kind.CACHE)
    assert part is not None
    given = {
        "ReplicationGroupDescription": "x",
        "SnapshotName": part.id,
        "CacheNodeType": "cache.t4g.medium",
        "Engine": "redis",
        "CacheSubnetGroupName": operator.platform.drill_cache_subnet_group,
        "CacheParameterGroupName": operator.config.name,
        "Tags": tag_list(),
    }
    for changes in (
        {"ReplicationGroupId": f"{operator.config.name}-2"},
        {"ReplicationGroupId": DRILL, "Tags": []},
        {"ReplicationGroupId": DRILL, "CacheSubnetGroupName": operator.config.name},
        {"ReplicationGroupId": DRILL, "SnapshotName": "orders-prod-2026112309"},
    ):
        role.refused("elasticache", "create_replication_group", **{**given, **changes})
    assert left_behind(operator) == []


@pytest.mark.parametrize("function", ["tear-down-drill", "reap-survivors"])
def test_what_is_called_like_a_drill_s_but_has_not_its_tags_stays(
    operator: Operator, as_function: Callable[[str], AsFunction], function: str
) -> None:
    """As someone's own experiment, or the copy of another environment's drill."""
    rds, role = operator.clients["rds"], as_function(function)
    for name, tags in (("drill-bare", []), ("drill-other", tag_list(**{"ops:drill-environment": "prod"}))):
        arguments = restores(operator, name, Tags=tags, DeletionProtection=False, BackupRetentionPeriod=0)
        rds.restore_db_instance_to_point_in_time(**arguments)
        try:
            role.refused("rds", "delete_db_instance", DBInstanceIdentifier=name, SkipFinalSnapshot=True)
        finally:
            rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)
            operator.until(lambda: left_behind(operator), lambda left: not left, "nothing to be left", seconds=30)
