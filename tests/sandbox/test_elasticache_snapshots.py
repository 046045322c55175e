"""Snapshots of real Redis servers: taken, restored, listed, limited, spoilt."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox.fixtures.automation import eventually
from tests.sandbox.fixtures.elasticache import Rig, refuses, running_rig


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with running_rig(tmp_path_factory.mktemp("elasticache")) as rig:
        yield rig


@pytest.fixture(autouse=True)
def _without_faults(rig: Rig) -> Iterator[None]:
    yield
    rig.clear()


def restored(rig: Rig, snapshot: str, **arguments: Any) -> str:
    return rig.create(SnapshotName=snapshot, **arguments)


def test_a_restored_group_has_the_keys_and_times_of_the_snapshot_and_nothing_later(rig: Rig) -> None:
    name = rig.create(NumCacheClusters=2)
    client = rig.redis(name)
    pipe = client.pipeline()
    for number in range(1000):
        pipe.set(f"key-{number}", f"value-{number}", ex=1000 + number)
    pipe.hset("hash", mapping={"a": "1", "b": "2"})
    pipe.zadd("scores", {"x": 1.5})
    pipe.set("short", "gone by then", px=50)
    pipe.execute()
    client.wait(1, 5000)
    snapshot = rig.snapshot(name)
    client.set("later", "1")
    client.delete("key-1")

    group = restored(rig, snapshot, NumCacheClusters=2)
    copy = rig.redis(group)
    assert copy.dbsize() in (1002, 1003)  # a key past its time may be counted until it is looked at
    assert copy.get("short") is None
    assert copy.dbsize() == 1002
    assert [copy.get(f"key-{number}") for number in (0, 1, 999)] == [b"value-0", b"value-1", b"value-999"]
    assert copy.get("later") is None
    assert copy.hgetall("hash") == {b"a": b"1", b"b": b"2"}
    assert copy.ttl("hash") == -1
    # Times are moments, so the two groups agree about what is left.
    for number in (0, 500, 999):
        assert abs(copy.pttl(f"key-{number}") - client.pttl(f"key-{number}")) < 2000
    assert rig.redis(group, "ReaderEndpoint").get("key-1") == b"value-1"
    # The two are apart.
    copy.set("key-0", "changed")
    assert client.get("key-0") == b"value-0"


def test_which_node_is_taken(rig: Rig) -> None:
    name = rig.create(NumCacheClusters=3, Tags=[{"Key": "a", "Value": "b"}])
    of_group = rig.snapshot(name, Tags=[{"Key": "kind", "Value": "hourly"}])
    described = rig.api.describe_snapshots(SnapshotName=of_group)["Snapshots"][0]
    assert described["ReplicationGroupId"] == name
    assert described["NodeSnapshots"][0]["CacheClusterId"] == f"{name}-003"
    assert described["NodeSnapshots"][0]["CacheSize"] == "1 MB"
    assert described["SnapshotSource"] == "manual"
    tags = rig.api.list_tags_for_resource(ResourceName=described["ARN"])["TagList"]
    assert tags == [{"Key": "kind", "Value": "hourly"}]
    rig.api.modify_replication_group(
        ReplicationGroupId=name, SnapshottingClusterId=f"{name}-002", ApplyImmediately=True
    )
    rig.until(name)
    again = rig.api.describe_snapshots(SnapshotName=rig.snapshot(name), ShowNodeGroupConfig=True)["Snapshots"][0]
    assert again["NodeSnapshots"][0]["CacheClusterId"] == f"{name}-002"
    assert again["NodeSnapshots"][0]["NodeGroupConfiguration"]["ReplicaCount"] == 2
    of_cluster = rig.snapshot(name, CacheClusterId=f"{name}-001")
    described = rig.api.describe_snapshots(SnapshotName=of_cluster)["Snapshots"][0]
    assert described["CacheClusterId"] == f"{name}-001"
    assert "ReplicationGroupId" not in described
    refuses("InvalidParameterCombination", rig.api.create_snapshot, SnapshotName="x")


def test_a_dump_that_is_cut_short_or_changed_makes_the_restore_fail(rig: Rig) -> None:
    name = rig.create()
    rig.redis(name).mset({f"key-{number}": "x" * 100 for number in range(1000)})
    whole = rig.dump(rig.snapshot(name)).read_bytes()
    middle = len(whole) // 2
    for spoilt in (whole[:-100], whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :], b"", b"REDIS"):
        snapshot = rig.snapshot(name)
        rig.dump(snapshot).write_bytes(spoilt)
        group = rig.name("restored")
        rig.begin(group, SnapshotName=snapshot)
        rig.until(group, "create-failed")
        assert not rig.servers(group)
        assert "PrimaryEndpoint" not in rig.group(group)["NodeGroups"][0]
        rig.api.delete_replication_group(ReplicationGroupId=group)
        rig.gone(group)


def test_twenty_snapshots_of_a_node_in_a_day(rig: Rig) -> None:
    name = rig.create(NumCacheClusters=2)
    rig.tell("*", operation="CreateSnapshot", seconds=0)
    for _ in range(20):
        rig.snapshot(name, CacheClusterId=f"{name}-002")
    once_more = {"CacheClusterId": f"{name}-002", "SnapshotName": "one-too-many"}
    refuses("SnapshotQuotaExceededFault", rig.api.create_snapshot, **once_more)
    # What is deleted counts as well, and the other node has its own twenty.
    rig.api.delete_snapshot(SnapshotName=rig.snapshot(name, CacheClusterId=f"{name}-001"))
    refuses("SnapshotQuotaExceededFault", rig.api.create_snapshot, **once_more)
    rig.tell(f"{name}-002", quota={"SnapshotsPerNode": 21})
    rig.snapshot(name, **once_more)


def test_snapshots_are_listed_in_pages_and_by_their_source(rig: Rig) -> None:
    one, other = rig.create(), rig.create()
    rig.tell("*", operation="CreateSnapshot", seconds=0)
    rig.tell("*", quota={"SnapshotsPerNode": 100})
    names = [rig.snapshot(one) for _ in range(23)]
    rig.snapshot(other)
    pages = list(
        rig.api.get_paginator("describe_snapshots").paginate(ReplicationGroupId=one, PaginationConfig={"PageSize": 20})
    )
    assert [len(page["Snapshots"]) for page in pages] == [20, 3]
    assert [each["SnapshotName"] for page in pages for each in page["Snapshots"]] == names
    assert rig.api.describe_snapshots(ReplicationGroupId=one, SnapshotSource="system")["Snapshots"] == []
    assert len(rig.api.describe_snapshots(ReplicationGroupId=other, SnapshotSource="user")["Snapshots"]) == 1
    refuses("SnapshotNotFoundFault", rig.api.describe_snapshots, SnapshotName="none")
    refuses("InvalidParameterValue", rig.api.describe_snapshots, MaxRecords=10)


def test_what_a_snapshot_that_is_under_way_forbids(rig: Rig) -> None:
    name = rig.create()
    rig.tell("slow", operation="CreateSnapshot", seconds=2)
    begun = rig.api.create_snapshot(ReplicationGroupId=name, SnapshotName="slow")["Snapshot"]
    assert begun["SnapshotStatus"] == "creating"
    assert rig.group(name)["Status"] == "snapshotting"
    refuses("InvalidReplicationGroupState", rig.api.create_snapshot, ReplicationGroupId=name, SnapshotName="second")
    refuses("InvalidReplicationGroupState", rig.api.delete_replication_group, ReplicationGroupId=name)
    refuses("InvalidSnapshotState", rig.api.delete_snapshot, SnapshotName="slow")
    refuses("InvalidSnapshotState", rig.api.copy_snapshot, SourceSnapshotName="slow", TargetSnapshotName="copy")
    refuses("InvalidParameterValue", rig.begin, name="too-early", SnapshotName="slow")
    rig.snapshot_until("slow")
    rig.until(name)
    refuses("SnapshotAlreadyExistsFault", rig.api.create_snapshot, ReplicationGroupId=name, SnapshotName="Slow")


def test_a_snapshot_in_use_is_restoring_and_cannot_be_deleted(rig: Rig) -> None:
    snapshot = rig.snapshot(rig.create())
    group = rig.name("restored")
    rig.tell(group, operation="CreateReplicationGroup", seconds=1)
    rig.begin(group, SnapshotName=snapshot)
    assert rig.api.describe_snapshots(SnapshotName=snapshot)["Snapshots"][0]["SnapshotStatus"] == "restoring"
    refuses("InvalidSnapshotState", rig.api.delete_snapshot, SnapshotName=snapshot)
    rig.until(group)
    rig.snapshot_until(snapshot)


def test_failures_end_as_they_are_told_to(rig: Rig) -> None:
    name = rig.create()
    rig.tell(name, operation="CreateSnapshot", error="InsufficientCapacity", times=2)
    for _ in range(2):
        refuses("InsufficientCapacity", rig.api.create_snapshot, ReplicationGroupId=name, SnapshotName="failing")
    rig.tell("failing", operation="CreateSnapshot", end_status="failed")
    rig.api.create_snapshot(ReplicationGroupId=name, SnapshotName="failing")
    rig.snapshot_until("failing", "failed")
    rig.until(name)
    rig.api.delete_snapshot(SnapshotName="failing")
    # Without being told to: the node that is to write the dump is not there.
    rig.tell(name, stopped=True)
    eventually(lambda: not rig.servers(name))
    rig.api.create_snapshot(ReplicationGroupId=name, SnapshotName="lost")
    rig.snapshot_until("lost", "failed")


def test_copies_and_last_snapshots_outlive_their_source(rig: Rig) -> None:
    name = rig.create()
    rig.redis(name).set("key", "value")
    snapshot = rig.snapshot(name, Tags=[{"Key": "a", "Value": "b"}])
    copied = rig.api.copy_snapshot(SourceSnapshotName=snapshot, TargetSnapshotName="the-copy")["Snapshot"]
    assert copied["SnapshotStatus"] == "copying"
    arn = rig.snapshot_until("the-copy")["ARN"]
    assert rig.api.list_tags_for_resource(ResourceName=arn)["TagList"] == [{"Key": "a", "Value": "b"}]
    rig.redis(name).set("key", "last")
    rig.api.delete_replication_group(ReplicationGroupId=name, FinalSnapshotIdentifier="the-last")
    rig.gone(name)
    rig.api.delete_snapshot(SnapshotName=snapshot)
    assert rig.redis(restored(rig, "the-copy")).get("key") == b"value"
    assert rig.redis(restored(rig, "the-last")).get("key") == b"last"
    assert not rig.dump(snapshot).exists()
