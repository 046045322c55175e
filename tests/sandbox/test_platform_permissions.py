"""What a call of RDS or ElastiCache needs permission for, by the Service Authorization Reference."""

from typing import Any, cast

import pytest

from sandbox.platform.calls import Call
from sandbox.platform.elasticache import permissions as caches
from sandbox.platform.rds import permissions as databases
from sandbox.platform.resources import resources

ACCOUNT = "000000000000"
RDS = f"arn:aws:rds:us-east-1:{ACCOUNT}:"
CACHE = f"arn:aws:elasticache:us-east-1:{ACCOUNT}:"
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1"
SECRET = f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:rds!db-*"
TAGS = [{"Key": "ops:drill-id", "Value": "7"}]
EXPORT = {"SourceSnapshotName": "s", "TargetSnapshotName": "t", "TargetBucket": "b"}


def call(action: str, **params: Any) -> Call:
    prefix, _, operation = action.partition(":")
    return Call(prefix, prefix, operation, params, "us-east-1", "ASIAX", "token", "query", model=cast(Any, None))


def of(prefix: str, *names: str) -> set[str]:
    return {prefix + name for name in names}


DEFAULTS = ("pg:default.postgres16", "subgrp:default", "og:default:postgres-16")


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (
            call("rds:RestoreDBInstanceFromDBSnapshot", DBInstanceIdentifier="New", DBSnapshotIdentifier="s"),
            of(RDS, "db:new", "snapshot:s", *DEFAULTS),
        ),
        (
            call(
                "rds:RestoreDBInstanceFromDBSnapshot",
                DBInstanceIdentifier="new",
                DBSnapshotIdentifier=f"{RDS}snapshot:s",
                DBParameterGroupName="p",
                DBSubnetGroupName="g",
                OptionGroupName="o",
            ),
            of(RDS, "db:new", "snapshot:s", "pg:p", "subgrp:g", "og:o"),
        ),
        (
            call("rds:RestoreDBInstanceToPointInTime", SourceDBInstanceIdentifier="a", TargetDBInstanceIdentifier="b"),
            of(RDS, "db:a", "db:b", *DEFAULTS),
        ),
        (
            call("rds:CreateDBSnapshot", DBInstanceIdentifier="a", DBSnapshotIdentifier="s"),
            of(RDS, "db:a", "snapshot:s"),
        ),
        (
            call("rds:CopyDBSnapshot", SourceDBSnapshotIdentifier="s", TargetDBSnapshotIdentifier="t"),
            of(RDS, "snapshot:s", "snapshot:t"),
        ),
        (
            call("rds:DeleteDBInstance", DBInstanceIdentifier="a", FinalDBSnapshotIdentifier="last"),
            of(RDS, "db:a"),
        ),
        (
            call("rds:ModifyDBInstance", DBInstanceIdentifier="a", DBParameterGroupName="p"),
            of(RDS, "db:a", "pg:p"),
        ),
        (call("rds:DescribeDBInstances"), of(RDS, "db:*")),
        (call("rds:DescribeDBInstanceAutomatedBackups", DBInstanceIdentifier="a"), of(RDS, "db:a")),
        (call("rds:DescribeDBInstanceAutomatedBackups", DbiResourceId="db-X"), of(RDS, "auto-backup:*")),
        (call("rds:DescribeAccountAttributes"), {"*"}),
        (
            call(
                "elasticache:CreateReplicationGroup",
                ReplicationGroupId="New",
                SnapshotName="s",
                CacheSubnetGroupName="g",
                CacheParameterGroupName="p",
                UserGroupIds=["u", "v"],
                SecurityGroupIds=["sg-1"],
            ),
            of(CACHE, "replicationgroup:new", "snapshot:s", "subnetgroup:g", "parametergroup:p", "usergroup:u")
            | of(CACHE, "usergroup:v"),
        ),
        (
            call("elasticache:CreateReplicationGroup", ReplicationGroupId="g"),
            of(CACHE, "replicationgroup:g", "parametergroup:default.redis7"),
        ),
        (
            call("elasticache:CreateSnapshot", CacheClusterId="g-002", SnapshotName="s"),
            of(CACHE, "cluster:g-002", "snapshot:s"),
        ),
        (
            call("elasticache:CopySnapshot", SourceSnapshotName="s", TargetSnapshotName="t"),
            of(CACHE, "snapshot:s", "snapshot:t"),
        ),
        (call("elasticache:CopySnapshot", **EXPORT), of(CACHE, "snapshot:s")),
        (
            call("elasticache:DeleteReplicationGroup", ReplicationGroupId="g", FinalSnapshotIdentifier="s"),
            of(CACHE, "replicationgroup:g", "snapshot:s"),
        ),
        (call("elasticache:DescribeSnapshots", ReplicationGroupId="g"), of(CACHE, "snapshot:*")),
        (call("elasticache:DescribeCacheClusters", CacheClusterId="g-001"), of(CACHE, "cluster:g-001")),
    ],
)
def test_resources(made: Call, expected: set[str]) -> None:
    assert set(resources(made, ACCOUNT)) == expected


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (call("rds:CreateDBSnapshot", DBInstanceIdentifier="a", DBSnapshotIdentifier="s"), set()),
        (
            call("rds:CreateDBSnapshot", DBInstanceIdentifier="a", DBSnapshotIdentifier="s", Tags=TAGS),
            {("rds:AddTagsToResource", f"{RDS}snapshot:s")},
        ),
        (
            call("rds:CopyDBSnapshot", SourceDBSnapshotIdentifier="s", TargetDBSnapshotIdentifier="t", Tags=TAGS),
            {("rds:AddTagsToResource", f"{RDS}snapshot:t")},
        ),
        (
            call("rds:RestoreDBInstanceFromDBSnapshot", DBInstanceIdentifier="a", DBSnapshotIdentifier="s", Tags=TAGS),
            {
                ("rds:AddTagsToResource", f"{RDS}db:a"),
                ("kms:DescribeKey", KEY),
                ("kms:CreateGrant", KEY),
            },
        ),
        (
            call(
                "rds:RestoreDBInstanceToPointInTime",
                SourceDBInstanceIdentifier="a",
                TargetDBInstanceIdentifier="b",
                Tags=TAGS,
            ),
            {
                ("rds:AddTagsToResource", f"{RDS}db:b"),
                ("kms:DescribeKey", KEY),
                ("kms:CreateGrant", KEY),
            },
        ),
        (
            call("rds:DeleteDBInstance", DBInstanceIdentifier="a", FinalDBSnapshotIdentifier="last"),
            {("rds:CreateDBSnapshot", f"{RDS}db:a"), ("rds:CreateDBSnapshot", f"{RDS}snapshot:last")},
        ),
        (
            call("rds:ModifyDBInstance", DBInstanceIdentifier="a", ManageMasterUserPassword=True),
            {("secretsmanager:CreateSecret", SECRET), ("secretsmanager:TagResource", SECRET)},
        ),
        (
            call("rds:ModifyDBInstance", DBInstanceIdentifier="a", RotateMasterUserPassword=True),
            {("secretsmanager:RotateSecret", SECRET)},
        ),
    ],
)
def test_what_a_call_of_rds_depends_on(made: Call, expected: set[tuple[str, str]]) -> None:
    found = databases.dependents(made, ACCOUNT, lambda _: KEY)
    assert {(further.action, resource) for further, on in found for resource in on} == expected


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (call("elasticache:CreateSnapshot", ReplicationGroupId="g", SnapshotName="s"), set()),
        (
            call("elasticache:CreateSnapshot", ReplicationGroupId="g", SnapshotName="s", Tags=TAGS),
            {("elasticache:AddTagsToResource", f"{CACHE}snapshot:s")},
        ),
        (
            call("elasticache:CopySnapshot", **EXPORT),
            {
                ("s3:GetBucketAcl", "arn:aws:s3:::b"),
                ("s3:PutObject", "arn:aws:s3:::b/t-0001.rdb"),
                ("s3:DeleteObject", "arn:aws:s3:::b/t-0001.rdb"),
            },
        ),
        (
            call("elasticache:CreateReplicationGroup", ReplicationGroupId="g", KmsKeyId=KEY, Tags=TAGS),
            {
                ("elasticache:AddTagsToResource", f"{CACHE}replicationgroup:g"),
                ("kms:DescribeKey", KEY),
                ("kms:CreateGrant", KEY),
            },
        ),
        (
            call("elasticache:CreateReplicationGroup", ReplicationGroupId="g", SnapshotArns=["arn:aws:s3:::b/k"]),
            {("s3:GetObject", "arn:aws:s3:::b/k")},
        ),
    ],
)
def test_what_a_call_of_elasticache_depends_on(made: Call, expected: set[tuple[str, str]]) -> None:
    found = caches.dependents(made, ACCOUNT)
    assert {(further.action, resource) for further, on in found for resource in on} == expected


def test_request_tags_are_keys_of_what_is_made_and_resource_tags_of_what_has_them() -> None:
    made = call("elasticache:CreateReplicationGroup", ReplicationGroupId="g", SnapshotName="s", Tags=TAGS)
    assert caches.conditions(made, f"{CACHE}replicationgroup:g", {}) == {
        "aws:RequestTag/ops:drill-id": "7",
        "aws:TagKeys": ["ops:drill-id"],
    }
    assert caches.conditions(made, f"{CACHE}snapshot:s", {"tier": "hourly"}) == {"aws:ResourceTag/tier": "hourly"}


def test_what_is_done_with_the_caller_s_rights_says_through_which_service() -> None:
    (_, further), *_ = [
        (on, one)
        for one, on in caches.dependents(call("elasticache:CreateReplicationGroup", KmsKeyId=KEY), ACCOUNT)
        if one.prefix == "kms"
    ]
    context = caches.conditions(further, KEY, {})
    assert context["kms:ViaService"] == "elasticache.us-east-1.amazonaws.com"
    assert context["kms:GrantIsForAWSResource"] == "true"
