"""Replication groups with real Redis servers: made, replicated, changed, failed over, deleted."""

import signal
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
import redis

from tests.sandbox.fixtures.automation import eventually
from tests.sandbox.fixtures.elasticache import Rig, refuses, running_rig

TOKEN = "a-token-of-16-or-more"
TLS = {"TransitEncryptionEnabled": True, "AuthToken": TOKEN}


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with running_rig(tmp_path_factory.mktemp("elasticache")) as rig:
        yield rig


@pytest.fixture(autouse=True)
def _without_faults(rig: Rig) -> Iterator[None]:
    yield
    rig.clear()


def test_a_group_from_creation_to_deletion(rig: Rig) -> None:
    name = rig.name("group")
    begun = rig.begin(name, NumCacheClusters=2, Port=6390, Tags=[{"Key": "Owner", "Value": "me"}])
    assert begun["Status"] == "creating"
    assert "PrimaryEndpoint" not in begun["NodeGroups"][0]
    group = rig.until(name)
    assert group["ARN"] == f"arn:aws:elasticache:us-east-1:000000000000:replicationgroup:{name}"
    assert group["MemberClusters"] == [f"{name}-001", f"{name}-002"]
    assert rig.roles(name) == {f"{name}-001": "primary", f"{name}-002": "replica"}
    primary, reader = rig.endpoint(name), rig.endpoint(name, "ReaderEndpoint")
    assert primary[1] == reader[1] == 6390
    assert primary[0] != reader[0]

    rig.redis(name).set("greeting", "hello", ex=100)
    eventually(lambda: rig.redis(name, "ReaderEndpoint").get("greeting") == b"hello")
    with pytest.raises(redis.ReadOnlyError):
        rig.redis(name, "ReaderEndpoint").set("greeting", "no")

    clusters = [
        rig.api.describe_cache_clusters(CacheClusterId=cluster, ShowCacheNodeInfo=True)["CacheClusters"][0]
        for cluster in group["MemberClusters"]
    ]
    assert [one["CacheClusterStatus"] for one in clusters] == ["available"] * 2
    assert {one["EngineVersion"] for one in clusters} == {"7.1"}
    assert clusters[0]["CacheNodes"][0]["Endpoint"] == {"Address": primary[0], "Port": 6390}
    for arn in (group["ARN"], clusters[0]["ARN"]):
        assert rig.api.list_tags_for_resource(ResourceName=arn)["TagList"] == [{"Key": "Owner", "Value": "me"}]
    rig.api.add_tags_to_resource(ResourceName=group["ARN"], Tags=[{"Key": "Owner", "Value": "you"}])
    assert rig.api.list_tags_for_resource(ResourceName=group["ARN"])["TagList"] == [{"Key": "Owner", "Value": "you"}]

    refuses("ReplicationGroupAlreadyExists", rig.begin, name=name)
    servers = rig.servers(name)
    assert len(servers) == 2
    assert rig.api.delete_replication_group(ReplicationGroupId=name)["ReplicationGroup"]["Status"] == "deleting"
    refuses("InvalidReplicationGroupState", rig.api.delete_replication_group, ReplicationGroupId=name)
    rig.gone(name)
    assert not psutil.wait_procs(servers, 5)[1]
    refuses("CacheClusterNotFound", rig.api.describe_cache_clusters, CacheClusterId=f"{name}-001")


def test_commands_that_elasticache_keeps_to_itself_are_refused(rig: Rig) -> None:
    client = rig.redis(rig.create())
    for command in (
        ("CONFIG", "GET", "*"),
        ("BGSAVE",),
        ("SAVE",),
        ("REPLICAOF", "NO", "ONE"),
        ("DEBUG", "SLEEP", "1"),
    ):
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.execute_command(*command)
    assert client.execute_command("FLUSHALL")


def test_transit_encryption_is_tls_with_the_sandboxs_authority_and_the_token(rig: Rig) -> None:
    name = rig.create(NumCacheClusters=2, **TLS)
    group = rig.group(name)
    assert (group["TransitEncryptionEnabled"], group["AuthTokenEnabled"]) == (True, True)
    secure: dict[str, Any] = {"ssl": True, "ssl_ca_certs": str(rig.config.tls_dir / "ca.pem")}
    client = rig.redis(name, password=TOKEN, **secure)
    assert client.set("key", "value")
    eventually(lambda: rig.redis(name, "ReaderEndpoint", password=TOKEN, **secure).get("key") == b"value")
    with pytest.raises(redis.AuthenticationError):
        rig.redis(name, **secure).ping()
    with pytest.raises(redis.ConnectionError):
        rig.redis(name, password=TOKEN).ping()
    with pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
        rig.redis(name, password=TOKEN, ssl=True).ping()

    assert TOKEN not in (rig.config.dir / "logs" / "platform-api.jsonl").read_text()

    second = TOKEN + "-2"
    change = {"ReplicationGroupId": name, "AuthToken": second, "ApplyImmediately": True}
    rig.api.modify_replication_group(**change, AuthTokenUpdateStrategy="ROTATE")
    rig.until(name)
    assert all(rig.redis(name, password=token, **secure).get("key") for token in (TOKEN, second))
    rig.api.modify_replication_group(**change, AuthTokenUpdateStrategy="SET")
    rig.until(name)
    assert rig.redis(name, password=second, **secure).get("key") == b"value"
    with pytest.raises(redis.AuthenticationError):
        rig.redis(name, password=TOKEN, **secure).ping()


@pytest.mark.parametrize("options", [{}, TLS], ids=["plain", "tls"])
def test_a_failover_keeps_the_primary_endpoint_and_the_data(rig: Rig, options: dict[str, Any]) -> None:
    name = rig.create(NumCacheClusters=3, AutomaticFailoverEnabled=True, **options)
    secure = {"ssl": True, "ssl_ca_certs": str(rig.config.tls_dir / "ca.pem"), "password": TOKEN} if options else {}
    endpoint = rig.endpoint(name)
    client = rig.redis(name, **secure)
    client.set("key", "value")
    client.wait(2, 5000)
    for number, primary in enumerate((f"{name}-002", f"{name}-001")):
        rig.api.test_failover(ReplicationGroupId=name, NodeGroupId="0001")
        rig.until(name)
        assert [node for node, role in rig.roles(name).items() if role == "primary"] == [primary]
        assert rig.endpoint(name) == endpoint
        assert client.get("key") == b"value"
        assert client.set(f"after-{number}", "1")
        # All others follow the new one.
        assert client.wait(2, 5000) == 2


def test_a_primary_that_dies_is_replaced_by_its_replica(rig: Rig) -> None:
    name = rig.create(NumCacheClusters=2, AutomaticFailoverEnabled=True)
    client = rig.redis(name)
    client.set("key", "value")
    client.wait(1, 5000)
    port_of_primary = rig.endpoint(name)
    for server in rig.servers(name):
        if any(connection.laddr == port_of_primary for connection in server.net_connections()):
            server.send_signal(signal.SIGKILL)
    eventually(lambda: rig.roles(name)[f"{name}-002"] == "primary")
    eventually(lambda: _value(client) == b"value")
    eventually(lambda: len(rig.servers(name)) == 2)


def test_a_node_without_replica_comes_back_empty(rig: Rig) -> None:
    name = rig.create()
    client = rig.redis(name)
    client.set("key", "value")
    rig.servers(name)[0].kill()
    eventually(lambda: rig.servers(name))
    eventually(lambda: _value(client) is None)


def _value(client: "redis.Redis") -> Any:
    try:
        return client.get("key")
    except redis.RedisError:
        return "not there"


def test_a_group_that_is_told_to_stop_stays_down_until_told_otherwise(rig: Rig) -> None:
    name = rig.create()
    rig.tell(name, stopped=True)
    eventually(lambda: not rig.servers(name))
    with pytest.raises(redis.ConnectionError):
        rig.redis(name).ping()
    assert rig.group(name)["Status"] == "available"
    rig.clear(name)
    eventually(lambda: _value(rig.redis(name)) is None)


def test_replicas_are_added_and_removed(rig: Rig) -> None:
    name = rig.create()
    rig.redis(name).set("key", "value")
    resize = {"ReplicationGroupId": name, "ApplyImmediately": True}
    group = rig.api.increase_replica_count(**resize, NewReplicaCount=2)["ReplicationGroup"]
    assert group["Status"] == "modifying"
    assert rig.until(name)["MemberClusters"] == [f"{name}-001", f"{name}-002", f"{name}-003"]
    assert rig.redis(name, "ReaderEndpoint").get("key") == b"value"
    rig.api.decrease_replica_count(**resize, ReplicasToRemove=[f"{name}-002"])
    assert rig.until(name)["MemberClusters"] == [f"{name}-001", f"{name}-003"]
    refuses("NoOperationFault", rig.api.increase_replica_count, **resize, NewReplicaCount=1)
    refuses("InvalidParameterValue", rig.api.increase_replica_count, **resize, NewReplicaCount=6)
    assert len(rig.servers(name)) == 2


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"CacheNodeType": "cache.none"}, "InvalidParameterValue"),
        ({"EngineVersion": "9.9"}, "InvalidParameterCombination"),
        ({"Engine": "memcached"}, "InvalidParameterValue"),
        ({"CacheParameterGroupName": "none"}, "CacheParameterGroupNotFound"),
        ({"CacheParameterGroupName": "default.redis6.x"}, "InvalidParameterCombination"),
        ({"CacheSubnetGroupName": "none"}, "CacheSubnetGroupNotFoundFault"),
        ({"AutomaticFailoverEnabled": True}, "InvalidParameterCombination"),
        ({"NumCacheClusters": 7}, "InvalidParameterValue"),
        ({"NumNodeGroups": 2}, "InvalidParameterCombination"),
        ({"AuthToken": TOKEN}, "InvalidParameterCombination"),
        ({"AuthToken": "short", "TransitEncryptionEnabled": True}, "InvalidParameterValue"),
        ({"SnapshotName": "none"}, "SnapshotNotFoundFault"),
        ({"ReplicationGroupId": "-bad"}, "InvalidParameterValue"),
    ],
)
def test_groups_that_cannot_be(rig: Rig, arguments: dict[str, Any], code: str) -> None:
    given = {"ReplicationGroupId": "refused", "ReplicationGroupDescription": "", "CacheNodeType": "cache.t4g.micro"}
    refuses(code, rig.api.create_replication_group, **{**given, **arguments})
    refuses("ReplicationGroupNotFoundFault", rig.api.describe_replication_groups, ReplicationGroupId="refused")


def test_faults_refuse_delay_hold_and_spoil(rig: Rig) -> None:
    rig.tell("*", operation="CreateReplicationGroup", error="Throttling", times=1)
    refuses("Throttling", rig.begin, name="later")
    rig.tell("spoilt", operation="CreateReplicationGroup", end_status="create-failed")
    rig.begin("spoilt")
    rig.until("spoilt", "create-failed")
    refuses("InvalidReplicationGroupState", rig.api.create_snapshot, ReplicationGroupId="spoilt", SnapshotName="no")
    rig.api.delete_replication_group(ReplicationGroupId="spoilt")
    rig.gone("spoilt")

    name = rig.create()
    rig.tell(name, status="snapshotting")
    assert rig.group(name)["Status"] == "snapshotting"
    refuses("InvalidReplicationGroupState", rig.api.delete_replication_group, ReplicationGroupId=name)
    rig.clear(name)
    rig.tell(name, operation="ModifyReplicationGroup", seconds=60)
    rig.api.modify_replication_group(ReplicationGroupId=name, ReplicationGroupDescription="other")
    refuses(
        "InvalidReplicationGroupState",
        rig.api.modify_replication_group,
        ReplicationGroupId=name,
        ReplicationGroupDescription="again",
    )
    assert rig.group(name)["Status"] == "modifying"


def test_the_servers_end_with_the_platform(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running_rig(tmp_path_factory.mktemp("ending")) as rig:
        name = rig.create(NumCacheClusters=2)
        servers = rig.servers(name)
        assert len(servers) == 2
        parent = servers[0].parent()
        assert parent is not None
        parent.kill()
        assert not psutil.wait_procs(servers, 5)[1]
