"""Dumps exported to S3 and seeded from there, with a real automation plane; and metrics in its CloudWatch."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sandbox import tls
from sandbox.platform.elasticache.exports import CANONICAL_ID
from tests.sandbox.fixtures.automation import Plane, eventually, running_plane
from tests.sandbox.fixtures.elasticache import Rig, refuses
from tests.sandbox.fixtures.platform import process

PRINCIPAL = {"Service": "us-east-1.elasticache-snapshot.amazonaws.com"}
OF_BUCKET = ["s3:ListBucket", "s3:GetBucketAcl"]
OF_OBJECTS = ["s3:PutObject", "s3:GetObject"]


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with running_plane(tmp_path_factory.mktemp("sandbox")) as plane:
        yield plane


@pytest.fixture(scope="module")
def rig(plane: Plane) -> Iterator[Rig]:
    tls.write(plane.config.tls_dir)
    with process("sandbox.platform", plane.config, f"{plane.config.platform_url}/_sandbox/health"):
        yield Rig(plane.config)


@pytest.fixture(scope="module")
def snapshot(rig: Rig) -> str:
    """Of a group with one key."""
    name = rig.create(ReplicationGroupId="source")
    rig.redis(name).set("key", "value", ex=1000)
    return rig.snapshot(name)


def statement(actions: list[str], resource: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": PRINCIPAL, "Action": actions, "Resource": resource, **more}


def bucket(plane: Plane, name: str, *statements: dict[str, Any]) -> str:
    s3 = plane.client("s3")
    s3.create_bucket(Bucket=name)
    if statements:
        s3.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))
    return name


def granted(name: str) -> list[dict[str, Any]]:
    arn = f"arn:aws:s3:::{name}"
    return [statement(OF_BUCKET, arn), statement(OF_OBJECTS, f"{arn}/*")]


def export(rig: Rig, snapshot: str, target: str, to: str) -> dict[str, Any]:
    copied = rig.api.copy_snapshot(SourceSnapshotName=snapshot, TargetSnapshotName=target, TargetBucket=to)
    return dict(copied["Snapshot"])


def test_an_export_is_the_dump_and_seeds_another_group(plane: Plane, rig: Rig, snapshot: str) -> None:
    name = bucket(plane, "exports", *granted("exports"))
    assert export(rig, snapshot, "2026/hourly", name)["SnapshotStatus"] == "copying"
    rig.snapshot_until(snapshot)
    stored = plane.client("s3").get_object(Bucket=name, Key="2026/hourly-0001.rdb")["Body"].read()
    assert stored == rig.dump(snapshot).read_bytes()
    assert stored.startswith(b"REDIS")
    group = rig.create(SnapshotArns=[f"arn:aws:s3:::{name}/2026/hourly-0001.rdb"])
    assert rig.redis(group).get("key") == b"value"
    assert 0 < rig.redis(group).ttl("key") <= 1000
    message = refuses("InvalidParameterValue", export, rig=rig, snapshot=snapshot, target="2026/hourly", to=name)
    assert "already contains an object" in message


def test_a_bucket_that_does_not_grant_it_gets_no_export(plane: Plane, rig: Rig, snapshot: str) -> None:
    def refused(to: str) -> str:
        return refuses("InvalidParameterValue", export, rig=rig, snapshot=snapshot, target="x", to=to)

    assert "does not exist" in refused("no-such-bucket")
    assert "granted READ " in refused(bucket(plane, "closed"))
    reads = bucket(
        plane,
        "reads",
        statement(["s3:List*", "s3:GetBucketAcl"], "arn:aws:s3:::reads"),
        statement(["s3:GetObject"], "arn:aws:s3:::reads/*"),
    )
    assert "granted WRITE " in refused(reads)
    denied = bucket(
        plane,
        "denied",
        *granted("denied"),
        {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::denied/*"},
    )
    assert "granted WRITE " in refused(denied)
    others = {"Condition": {"StringEquals": {"aws:SourceAccount": "111111111111"}}}
    arn = "arn:aws:s3:::others"
    assert "granted READ " in refused(
        bucket(plane, "others", statement(OF_BUCKET, arn, **others), statement(OF_OBJECTS, f"{arn}/*", **others))
    )


def test_conditions_that_hold_and_denials_that_do_not_leave_the_grant(plane: Plane, rig: Rig, snapshot: str) -> None:
    ours = {"Condition": {"StringEquals": {"aws:SourceAccount": "000000000000"}}}
    arn = "arn:aws:s3:::ours"
    insecure = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    name = bucket(plane, "ours", statement(OF_BUCKET, arn, **ours), statement(OF_OBJECTS, f"{arn}/*", **ours), insecure)
    export(rig, snapshot, "x", name)
    rig.snapshot_until(snapshot)


def test_a_bucket_may_grant_it_by_its_acl(plane: Plane, rig: Rig, snapshot: str) -> None:
    s3, name = plane.client("s3"), "by-acl"
    # New buckets have no ACLs unless asked for.
    s3.create_bucket(Bucket=name, ObjectOwnership="BucketOwnerPreferred")
    owner = s3.get_bucket_acl(Bucket=name)["Owner"]
    grantee = {"ID": CANONICAL_ID, "Type": "CanonicalUser"}
    grants = [{"Grantee": grantee, "Permission": permission} for permission in ("READ", "WRITE", "READ_ACP")]
    s3.put_bucket_acl(Bucket=name, AccessControlPolicy={"Owner": owner, "Grants": grants})
    export(rig, snapshot, "x", name)
    rig.snapshot_until(snapshot)


def test_a_dump_in_s3_that_is_no_good(plane: Plane, rig: Rig, snapshot: str) -> None:
    name, s3 = bucket(plane, "seeds", *granted("seeds")), plane.client("s3")
    whole = rig.dump(snapshot).read_bytes()
    s3.put_object(Bucket=name, Key="short.rdb", Body=whole[:-10])
    rig.begin("seeded", SnapshotArns=[f"arn:aws:s3:::{name}/short.rdb"])
    rig.until("seeded", "create-failed")
    key_id = plane.client("kms").create_key()["KeyMetadata"]["KeyId"]
    s3.put_object(Bucket=name, Key="kms.rdb", Body=whole, ServerSideEncryption="aws:kms", SSEKMSKeyId=key_id)
    for key, word in (("none.rdb", "does not exist"), ("kms.rdb", "SSE-S3")):
        message = refuses(
            "InvalidParameterValue", rig.begin, name="refused", SnapshotArns=[f"arn:aws:s3:::{name}/{key}"]
        )
        assert word in message
    closed = bucket(plane, "closed-seeds")
    s3.put_object(Bucket=closed, Key="whole.rdb", Body=whole)
    message = refuses(
        "InvalidParameterValue", rig.begin, name="refused", SnapshotArns=[f"arn:aws:s3:::{closed}/whole.rdb"]
    )
    assert "No permission" in message


def test_metrics_can_be_read_from_cloudwatch(plane: Plane, rig: Rig, snapshot: str) -> None:
    cloudwatch = plane.client("cloudwatch")

    def items() -> float | None:
        now = datetime.now(UTC)
        found = cloudwatch.get_metric_statistics(
            Namespace="AWS/ElastiCache",
            MetricName="CurrItems",
            Dimensions=[{"Name": "CacheClusterId", "Value": "source-001"}],
            StartTime=now - timedelta(minutes=5),
            EndTime=now + timedelta(minutes=1),
            Period=60,
            Statistics=["Maximum"],
        )["Datapoints"]
        return max((one["Maximum"] for one in found), default=None)

    assert eventually(items) == 1.0
