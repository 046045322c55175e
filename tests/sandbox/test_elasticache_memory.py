"""Parameter groups, memory, evictions and the metrics that tell of them."""

import json
from collections.abc import Iterator

import pytest
import redis

from sandbox.platform.elasticache import metrics
from sandbox.provision import cache, network
from sandbox.provision.clients import Clients
from sandbox.redis.server import Statistics
from tests.sandbox.fixtures.automation import eventually
from tests.sandbox.fixtures.elasticache import Rig, refuses, running_rig

MIB = 2**20


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with running_rig(tmp_path_factory.mktemp("elasticache")) as rig:
        yield rig


@pytest.fixture(autouse=True)
def _without_faults(rig: Rig) -> Iterator[None]:
    yield
    rig.clear()


def parameters(rig: Rig, **values: str) -> str:
    """A new parameter group with these values; underscores stand for hyphens."""
    name = rig.name("parameters")
    rig.api.create_cache_parameter_group(
        CacheParameterGroupName=name, CacheParameterGroupFamily="redis7", Description="for a test"
    )
    change(rig, name, **values)
    return name


def change(rig: Rig, name: str, **values: str) -> None:
    rig.api.modify_cache_parameter_group(
        CacheParameterGroupName=name,
        ParameterNameValues=[
            {"ParameterName": key.replace("_", "-"), "ParameterValue": value} for key, value in values.items()
        ],
    )


def maxmemory(rig: Rig, name: str) -> int:
    return int(rig.redis(name).info("memory")["maxmemory"])


def fill(client: "redis.Redis", megabytes: int, prefix: str = "key") -> None:
    pipe = client.pipeline(transaction=False)
    for number in range(megabytes * 100):
        pipe.set(f"{prefix}-{number}", b"x" * (MIB // 100), ex=1000)
    pipe.execute()


def test_a_nodes_memory_follows_from_its_type_and_the_reserve(rig: Rig) -> None:
    group = parameters(rig, reserved_memory_percent="50")
    name = rig.create(CacheParameterGroupName=group)
    assert maxmemory(rig, name) == 256 * MIB
    change(rig, group, reserved_memory_percent="25")
    assert maxmemory(rig, name) == 384 * MIB

    modify = {"ReplicationGroupId": name, "CacheNodeType": "cache.t4g.medium"}
    rig.api.modify_replication_group(**modify)
    rig.until(name)
    assert maxmemory(rig, name) == 384 * MIB
    cluster = rig.api.describe_cache_clusters(CacheClusterId=f"{name}-001")["CacheClusters"][0]
    assert (cluster["CacheNodeType"], cluster["PendingModifiedValues"]) == (
        "cache.t4g.micro",
        {"CacheNodeType": "cache.t4g.medium"},
    )
    assert (
        rig.api.modify_replication_group(**modify, ApplyImmediately=True)["ReplicationGroup"]["Status"] == "modifying"
    )
    assert rig.until(name)["CacheNodeType"] == "cache.t4g.medium"
    assert maxmemory(rig, name) == round(3.09 * 1024 * MIB * 0.75)


def test_evictions_happen_are_published_and_end_with_a_larger_node(rig: Rig) -> None:
    name = rig.create(CacheParameterGroupName=parameters(rig, maxmemory_policy="allkeys-lru"))
    rig.tell(name, maxmemory=8 * MIB)
    eventually(lambda: maxmemory(rig, name) == 8 * MIB)
    client = rig.redis(name)

    def evicted() -> int:
        return int(client.info("stats")["evicted_keys"])

    fill(client, 12)
    assert evicted() > 300
    # Approximately the oldest: https://redis.io/docs/latest/develop/reference/eviction/#apx-lru
    assert sum(client.exists(f"key-{number}") for number in range(100)) < 100
    assert client.get("key-1199") is not None
    eventually(
        lambda: (
            sum(one["Evictions"] for one in rig.metrics("AWS/ElastiCache", CacheClusterId=f"{name}-001")) == evicted()
        )
    )
    last = rig.metrics("AWS/ElastiCache", CacheClusterId=f"{name}-001")[-1]
    assert 90 < last["DatabaseMemoryUsagePercentage"] <= 105
    assert last["CurrItems"] == client.dbsize()
    assert last["CurrConnections"] >= 1
    assert 0 <= last["EngineCPUUtilization"] <= 100

    # The remedy: six times the memory, of the same part of it.
    rig.api.modify_replication_group(ReplicationGroupId=name, CacheNodeType="cache.t4g.medium", ApplyImmediately=True)
    rig.until(name)
    assert maxmemory(rig, name) > 48 * MIB
    before = evicted()
    fill(client, 12, "more")
    assert evicted() == before
    published = len(rig.metrics("AWS/ElastiCache", CacheClusterId=f"{name}-001"))
    eventually(lambda: len(rig.metrics("AWS/ElastiCache", CacheClusterId=f"{name}-001")) > published + 1)
    assert rig.metrics("AWS/ElastiCache", CacheClusterId=f"{name}-001")[-1]["Evictions"] == 0


def test_a_policy_that_evicts_nothing_refuses_writes_instead(rig: Rig) -> None:
    group = parameters(rig, maxmemory_policy="noeviction")
    name = rig.create(CacheParameterGroupName=group)
    rig.tell(name, maxmemory=8 * MIB)
    eventually(lambda: maxmemory(rig, name) == 8 * MIB)
    client = rig.redis(name)
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        fill(client, 12)
    change(rig, group, maxmemory_policy="volatile-lru")
    fill(client, 12)


def test_parameters_are_checked_listed_and_reset(rig: Rig) -> None:
    name = parameters(rig, notify_keyspace_events="Ex", timeout="30")
    listed = rig.api.describe_cache_parameters(CacheParameterGroupName=name, Source="user")["Parameters"]
    assert {one["ParameterName"]: one["ParameterValue"] for one in listed} == {
        "notify-keyspace-events": "Ex",
        "timeout": "30",
    }
    for key, value in (
        ("none", "1"),
        ("timeout", "-1"),
        ("maxmemory-policy", "best"),
        ("notify-keyspace-events", "E\nx"),
    ):
        refuses(
            "InvalidParameterValue",
            rig.api.modify_cache_parameter_group,
            CacheParameterGroupName=name,
            ParameterNameValues=[{"ParameterName": key, "ParameterValue": value}],
        )
    refuses(
        "InvalidParameterValue",
        rig.api.modify_cache_parameter_group,
        CacheParameterGroupName="default.redis7",
        ParameterNameValues=[{"ParameterName": "timeout", "ParameterValue": "1"}],
    )
    group = rig.create(CacheParameterGroupName=name)
    refuses("InvalidCacheParameterGroupState", rig.api.delete_cache_parameter_group, CacheParameterGroupName=name)
    rig.api.reset_cache_parameter_group(CacheParameterGroupName=name, ResetAllParameters=True)
    assert rig.api.describe_cache_parameters(CacheParameterGroupName=name, Source="user")["Parameters"] == []
    rig.api.delete_replication_group(ReplicationGroupId=group)
    rig.gone(group)
    rig.api.delete_cache_parameter_group(CacheParameterGroupName=name)
    names = [
        one["CacheParameterGroupName"]
        for page in rig.api.get_paginator("describe_cache_parameter_groups").paginate()
        for one in page["CacheParameterGroups"]
    ]
    assert name not in names
    assert "default.redis7" in names


def test_an_expired_key_is_announced_as_the_parameters_say(rig: Rig) -> None:
    name = rig.create(CacheParameterGroupName=parameters(rig, notify_keyspace_events="Ex"))
    client = rig.redis(name)
    listener = client.pubsub(ignore_subscribe_messages=True)
    listener.subscribe("__keyevent@0__:expired")
    client.set("short", "1", px=20)
    message = eventually(lambda: listener.get_message(timeout=1))
    assert message["data"] == b"short"


def test_provisioning_makes_the_cache_once(rig: Rig) -> None:
    clients = Clients(rig.config)
    nets = network.provision(clients)
    made = cache.provision(clients, nets)
    assert made.replication_group_id == "detection-api-dev"
    assert redis.Redis.from_url(made.url).set("key", "value")
    assert cache.provision(clients, nets) == made
    cluster = rig.api.describe_cache_clusters(CacheClusterId="detection-api-dev-001")["CacheClusters"][0]
    assert cluster["CacheSubnetGroupName"] == made.subnet_group
    assert cluster["CacheParameterGroup"]["CacheParameterGroupName"] == made.parameter_group
    assert [one["SecurityGroupId"] for one in cluster["SecurityGroups"]] == [made.security_group_id]
    assert rig.redis(made.replication_group_id, "ReaderEndpoint").get("key") == b"value"
    refuses("CacheSubnetGroupInUse", rig.api.delete_cache_subnet_group, CacheSubnetGroupName=made.subnet_group)


def test_counts_are_differences_and_survive_a_replaced_server() -> None:
    def reading(at: float, evicted: int, cpu: float) -> Statistics:
        return Statistics(
            at=at,
            evicted=evicted,
            hits=0,
            misses=0,
            commands=0,
            cpu_seconds=cpu,
            host_cpu_seconds=cpu * 1.5,
            connections=3,
            items=7,
            used_memory=50,
            maxmemory=200,
            replication_lag_seconds=None,
        )

    def values(before: Statistics | None, seen: Statistics) -> dict[str, float]:
        found = {name: value for name, (value, _) in metrics.values(before, seen, 1).items()}
        json.dumps(found)
        return found

    first, second, replaced = reading(10, 100, 1.0), reading(12, 130, 1.5), reading(13, 4, 0.1)
    assert values(first, second)["Evictions"] == 30
    assert values(first, second)["EngineCPUUtilization"] == 25
    assert values(first, second)["CPUUtilization"] == 37.5
    assert values(second, replaced)["Evictions"] == 4
    assert values(None, first)["DatabaseMemoryUsagePercentage"] == 25
    assert "ReplicationLag" not in values(None, first)
