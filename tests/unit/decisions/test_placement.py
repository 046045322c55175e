"""A restore is told everything, and its result is compared with what it was told."""

from dataclasses import fields, replace
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from opskit.adapters.cache_state import CacheConfiguration
from opskit.adapters.database_state import DatabaseConfiguration
from opskit.decisions.placement import cache_arguments, database_arguments, differences
from opskit.errors import InvalidInputError

from .backups import CACHE, DATABASE

TAGS = {"ops:drill-id": "abcd1234"}


def operation(service: str, name: str) -> Any:
    return botocore.session.get_session().get_service_model(service).operation_model(name).input_shape


def test_nothing_of_a_database_is_left_to_aws() -> None:
    arguments = database_arguments(DATABASE, TAGS, to_moment=True)
    assert arguments == {
        "DBInstanceClass": "db.t4g.medium",
        "Port": 5432,
        "DBSubnetGroupName": "private",
        "VpcSecurityGroupIds": ["sg-1", "sg-2"],
        "DBParameterGroupName": "detection-api-dev",
        "MultiAZ": True,
        "PubliclyAccessible": False,
        "EnableIAMDatabaseAuthentication": True,
        "DeletionProtection": True,
        "AutoMinorVersionUpgrade": False,
        "CopyTagsToSnapshot": True,
        "EnableCloudwatchLogsExports": ["postgresql", "upgrade"],
        "BackupRetentionPeriod": 7,
        "StorageType": "gp3",
        "Tags": [{"Key": "ops:drill-id", "Value": "abcd1234"}],
        "OptionGroupName": "audited",
        "CACertificateIdentifier": "rds-ca-rsa2048-g1",
        "MaxAllocatedStorage": 200,
    }


@pytest.mark.parametrize(
    ("service", "name", "given"),
    [
        (
            "rds",
            "RestoreDBInstanceFromDBSnapshot",
            {"DBInstanceIdentifier": "x", **database_arguments(DATABASE, TAGS, to_moment=False)},
        ),
        (
            "rds",
            "RestoreDBInstanceToPointInTime",
            {"TargetDBInstanceIdentifier": "x", **database_arguments(DATABASE, TAGS, to_moment=True)},
        ),
        (
            "elasticache",
            "CreateReplicationGroup",
            {"ReplicationGroupId": "x", "ReplicationGroupDescription": "x", **cache_arguments(CACHE, TAGS)},
        ),
    ],
)
def test_the_api_knows_every_argument(service: str, name: str, given: dict[str, Any]) -> None:
    assert not ParamValidator().validate(given, operation(service, name)).has_errors()
    assert set(given) <= set(operation(service, name).members)


@pytest.mark.parametrize(
    ("changes", "iops"),
    [
        ({"storage_type": "gp3", "allocated_gib": 399}, {}),  # RDS refuses them below 400 GiB
        ({"storage_type": "gp3", "allocated_gib": 400}, {"Iops": 3000, "StorageThroughput": 125}),
        ({"storage_type": "io2"}, {"Iops": 3000}),
        ({"storage_type": "gp2", "iops": None}, {}),
    ],
)
def test_iops_only_where_they_can_be_told(changes: dict[str, Any], iops: dict[str, int]) -> None:
    arguments = database_arguments(replace(DATABASE, **changes), TAGS, to_moment=False)
    assert {name: arguments[name] for name in ("Iops", "StorageThroughput") if name in arguments} == iops


def test_a_default_option_group_follows_the_version() -> None:
    for name in ("default:postgres-15", None):
        assert "OptionGroupName" not in database_arguments(replace(DATABASE, option_group=name), TAGS, to_moment=True)


def test_nothing_of_a_cache_is_left_to_aws() -> None:
    assert cache_arguments(CACHE, TAGS) == {
        "Engine": "redis",
        "EngineVersion": "7.0.7",
        "CacheNodeType": "cache.t4g.medium",
        "CacheSubnetGroupName": "private",
        "SecurityGroupIds": ["sg-3"],
        "CacheParameterGroupName": "detection-api-dev",
        "Port": 6379,
        "AutomaticFailoverEnabled": True,
        "MultiAZEnabled": True,
        "TransitEncryptionEnabled": True,
        "AtRestEncryptionEnabled": True,
        "AutoMinorVersionUpgrade": False,
        "SnapshotRetentionLimit": 30,
        "Tags": [{"Key": "ops:drill-id", "Value": "abcd1234"}],
        "NumCacheClusters": 3,
        "KmsKeyId": "arn:aws:kms:us-east-1:000000000000:key/1",
        "UserGroupIds": ["detection-api"],
    }
    sharded = cache_arguments(replace(CACHE, cluster_mode=True, node_groups=4, replicas_per_group=1), TAGS)
    assert (sharded["NumNodeGroups"], sharded["ReplicasPerNodeGroup"]) == (4, 1)
    assert "NumCacheClusters" not in sharded
    lenient = cache_arguments(replace(CACHE, transit_encryption_mode="preferred"), TAGS)
    assert lenient["TransitEncryptionMode"] == "preferred"


@pytest.mark.parametrize("name", ["subnet_group", "security_groups", "parameter_group", "port"])
def test_refuses_what_aws_would_choose(name: str) -> None:
    for unset in ({name: None}, {name: ()}):
        with pytest.raises(InvalidInputError, match=f"AWS would choose {name}: state them"):
            database_arguments(replace(DATABASE, **unset), TAGS, to_moment=False)  # type: ignore[arg-type]
        with pytest.raises(InvalidInputError, match=f"AWS would choose {name}: state them"):
            cache_arguments(replace(CACHE, **unset), TAGS)  # type: ignore[arg-type]


def test_refuses_to_inherit_the_tags_of_the_source() -> None:
    with pytest.raises(InvalidInputError, match="AWS would choose tags"):
        database_arguments(DATABASE, {}, to_moment=False)
    with pytest.raises(InvalidInputError, match="AWS would choose tags"):
        cache_arguments(CACHE, {})


def test_refuses_a_password_that_cannot_be_read_back() -> None:
    with pytest.raises(InvalidInputError, match="AUTH token"):
        cache_arguments(replace(CACHE, auth_token=True), TAGS)


def changed(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, tuple):
        return ()
    return value + 1 if isinstance(value, int) else f"default-{value}"


@pytest.mark.parametrize("configuration", [DATABASE, CACHE], ids=["database", "cache"])
def test_every_setting_that_differs_is_told(configuration: DatabaseConfiguration | CacheConfiguration) -> None:
    assert differences(configuration, configuration) == ()
    for one in fields(configuration):
        value = getattr(configuration, one.name)
        other = replace(configuration, **{one.name: changed(value)})
        (found,) = differences(configuration, other)
        assert found.setting == one.name
        assert found.as_dict()["found"] != found.as_dict()["wanted"]
    assert type(configuration).from_dict(configuration.as_dict()) == configuration


@pytest.mark.parametrize(
    ("configuration", "setting", "value", "fatal"),
    [
        (DATABASE, "publicly_accessible", True, True),
        (DATABASE, "security_groups", ("sg-default",), True),
        (DATABASE, "parameter_group", "default.postgres15", True),
        (DATABASE, "subnet_group", "default", True),
        (DATABASE, "iam_authentication", False, True),
        (DATABASE, "engine_version", "15.19", True),
        (DATABASE, "encrypted", False, True),
        (DATABASE, "multi_az", False, False),
        (DATABASE, "deletion_protection", False, False),
        (DATABASE, "iops", 12000, False),
        (CACHE, "transit_encryption", False, True),
        (CACHE, "cluster_mode", True, True),
        (CACHE, "user_groups", (), True),
        (CACHE, "replicas_per_group", 0, False),
    ],
)
def test_which_differences_are_fatal(configuration: Any, setting: str, value: Any, fatal: bool) -> None:
    (found,) = differences(configuration, replace(configuration, **{setting: value}))
    assert (found.setting, found.fatal) == (setting, fatal)
    assert found.reason


def test_fatal_ones_come_first() -> None:
    found = differences(DATABASE, replace(DATABASE, multi_az=False, subnet_group="default", allocated_gib=60))
    assert [(one.setting, one.fatal) for one in found] == [
        ("subnet_group", True),
        ("allocated_gib", False),
        ("multi_az", False),
    ]


def test_a_cache_is_not_compared_with_a_database() -> None:
    with pytest.raises(TypeError, match="cannot be compared"):
        differences(DATABASE, CACHE)
