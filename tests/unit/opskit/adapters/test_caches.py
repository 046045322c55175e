from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from opskit.adapters.cache_state import CacheConfiguration, CacheSnapshot, CacheState, size_of
from opskit.adapters.caches import Caches
from opskit.decisions.cache_turn import Node
from opskit.decisions.placement import cache_arguments
from opskit.decisions.snapshot import snapshot_tags
from opskit.errors import NameTakenError, NotFoundError, NotReadyError, QuotaExceededError

from .conftest import aws_client, session

HOUR = datetime(2026, 11, 23, 9, tzinfo=UTC)
TAGS = snapshot_tags("detection-api", "dev", "sessions", HOUR, "run-1")
NAME = "detection-api-dev-sessions-2026112309"


@pytest.fixture
def elasticache() -> Any:
    return aws_client("elasticache")


def caches(client: Any) -> Caches:
    return Caches(client, aws_client("resourcegroupstaggingapi"))


def create(client: Any, name: str = "sessions", **changes: Any) -> None:
    client.create_replication_group(
        **{
            "ReplicationGroupId": name,
            "ReplicationGroupDescription": "x",
            "Engine": "redis",
            "CacheNodeType": "cache.t4g.medium",
            "NumCacheClusters": 2,
            "AutomaticFailoverEnabled": True,
            "Tags": [{"Key": "backup", "Value": "true"}],
        }
        | changes
    )


def calls_of(*clients: Any) -> list[str]:
    made: list[str] = []
    for client in clients:
        client.meta.events.register("before-call.*.*", lambda model, **_: made.append(model.name))
    return made


def stubbed(*answers: tuple[str, dict[str, Any] | str, dict[str, Any] | None]) -> tuple[Caches, Stubber]:
    client = session().client("elasticache")
    stub = Stubber(client)
    for operation, answer, expected in answers:
        if isinstance(answer, str):
            stub.add_client_error(operation, answer, "refused", 400, expected_params=expected)
        else:
            stub.add_response(operation, answer, expected)
    stub.activate()
    return caches(client), stub


GROUP = {
    "ReplicationGroupId": "sessions",
    "ARN": "arn:aws:elasticache:us-east-1:123456789012:replicationgroup:sessions",
    "Status": "available",
    "MemberClusters": ["sessions-001", "sessions-002"],
    "NodeGroups": [
        {
            "PrimaryEndpoint": {"Address": "primary.example", "Port": 6379},
            "NodeGroupMembers": [
                {"CacheClusterId": "sessions-001", "CurrentRole": "replica"},
                {"CacheClusterId": "sessions-002", "CurrentRole": "primary"},
            ],
        }
    ],
    "AutomaticFailover": "enabled",
    "MultiAZ": "enabled",
    "SnapshotRetentionLimit": 30,
    "ClusterEnabled": False,
    "CacheNodeType": "cache.t4g.medium",
    "AuthTokenEnabled": False,
    "TransitEncryptionEnabled": True,
    "TransitEncryptionMode": "required",
    "AtRestEncryptionEnabled": True,
    "KmsKeyId": "key-1",
    "UserGroupIds": ["operators", "api"],
    "AutoMinorVersionUpgrade": False,
}
MEMBER = {
    "CacheClusterStatus": "available",
    "Engine": "redis",
    "EngineVersion": "7.0.7",
    "CacheSubnetGroupName": "private",
    "SecurityGroups": [{"SecurityGroupId": "sg-2"}, {"SecurityGroupId": "sg-1"}],
    "CacheParameterGroup": {"CacheParameterGroupName": "ours"},
}
CLUSTERS = [
    {"CacheClusterId": "other-001", "EngineVersion": "6.2"},
    {"CacheClusterId": "sessions-001", **MEMBER},
    {"CacheClusterId": "sessions-002", **MEMBER, "CacheClusterStatus": "rebooting cluster nodes"},
]


def test_a_group_is_described_in_full_with_what_only_its_nodes_know() -> None:
    found, _ = stubbed(
        ("describe_replication_groups", {"ReplicationGroups": [GROUP]}, {"ReplicationGroupId": "sessions"}),
        ("describe_cache_clusters", {"CacheClusters": CLUSTERS}, None),
        ("list_tags_for_resource", {"TagList": [{"Key": "backup", "Value": "true"}]}, {"ResourceName": GROUP["ARN"]}),
    )
    state = found.group("sessions")
    assert state is not None
    assert state.configuration == CacheConfiguration(
        engine="redis",
        engine_version="7.0.7",
        node_type="cache.t4g.medium",
        subnet_group="private",
        security_groups=("sg-1", "sg-2"),
        parameter_group="ours",
        port=6379,
        replicas_per_group=1,
        automatic_failover=True,
        multi_az=True,
        transit_encryption=True,
        transit_encryption_mode="required",
        at_rest_encryption=True,
        kms_key="key-1",
        user_groups=("api", "operators"),
        snapshot_retention_days=30,
    )
    assert state.nodes == (
        Node("sessions-001", primary=False, available=True),
        Node("sessions-002", primary=True, available=False),
    )
    assert (state.address, state.tags) == ("primary.example", {"backup": "true"})
    assert CacheState.from_dict(state.as_dict()) == state


def test_a_fleet_is_listed_with_its_tags_and_nothing_is_asked_once_for_each(elasticache: Any) -> None:
    client, tagging = session().client("elasticache"), session().client("resourcegroupstaggingapi")
    for number in range(30):
        create(elasticache, f"group-{number:02}")
        elasticache.create_snapshot(
            SnapshotName=f"s-{number:02}", ReplicationGroupId=f"group-{number:02}", Tags=[{"Key": "n", "Value": "1"}]
        )
    made = calls_of(client, tagging)
    groups = Caches(client, tagging).groups()
    snapshots = Caches(client, tagging).snapshots()
    assert [state.identifier for state in groups] == [f"group-{number:02}" for number in range(30)]
    assert all(state.tags == {"backup": "true"} for state in groups)
    assert [snapshot.name for snapshot in snapshots] == [f"s-{number:02}" for number in range(30)]
    assert all(snapshot.tags == {"n": "1"} for snapshot in snapshots)
    assert set(made) == {"DescribeReplicationGroups", "DescribeCacheClusters", "DescribeSnapshots", "GetResources"}
    assert len(made) <= 10


def test_a_page_that_fails_leaves_no_partial_list() -> None:
    found, _ = stubbed(
        ("describe_snapshots", {"Snapshots": [], "Marker": "more"}, {"SnapshotSource": "user", "MaxRecords": 50}),
        ("describe_snapshots", "Throttling", None),
    )
    with pytest.raises(ClientError, match="Throttling"):
        found.snapshots()


def test_a_snapshot_is_taken_once(elasticache: Any) -> None:
    create(elasticache)
    found = caches(elasticache)
    first = found.take_snapshot("sessions", NAME, TAGS)
    again = found.take_snapshot("sessions", NAME, TAGS | {"ops:run": "run-2"})
    assert (first.name, first.group, first.tags) == (NAME, "sessions", TAGS)
    assert again.tags == TAGS
    assert [snapshot.name for snapshot in found.snapshots()] == [NAME]
    assert found.snapshot("none") is None
    assert [found.delete_snapshot(NAME) for _ in range(2)] == [True, False]


def test_a_snapshot_is_taken_of_the_node_whose_turn_it_is() -> None:
    described = {
        "SnapshotName": NAME,
        "ARN": "arn:s",
        "CacheClusterId": "sessions-002",
        "SnapshotStatus": "creating",
        "NodeSnapshots": [
            {"CacheSize": "5 MB", "SnapshotCreateTime": HOUR},
            {"CacheSize": "1.5 GB"},
        ],
    }
    tags = [{"Key": key, "Value": TAGS[key]} for key in sorted(TAGS)]
    wanted = {"SnapshotName": NAME, "CacheClusterId": "sessions-002", "Tags": tags}
    found, stub = stubbed(("create_snapshot", {"Snapshot": described}, wanted))
    taken = found.take_snapshot("sessions", NAME, TAGS, node="sessions-002")
    stub.assert_no_pending_responses()
    assert taken == CacheSnapshot(
        NAME, "arn:s", None, "sessions-002", "creating", "", 5 * 1024**2 + 3 * 1024**3 // 2, HOUR, TAGS
    )
    assert taken.as_dict()["taken_at"] == "2026-11-23T09:00:00.000000Z"


def test_a_name_that_someone_else_has_is_refused(elasticache: Any) -> None:
    create(elasticache)
    elasticache.create_snapshot(SnapshotName=NAME, ReplicationGroupId="sessions")
    with pytest.raises(NameTakenError, match="it has no tag ops:service"):
        caches(elasticache).take_snapshot("sessions", NAME, TAGS)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("InvalidReplicationGroupState", NotReadyError),
        ("InvalidCacheClusterState", NotReadyError),
        ("SnapshotQuotaExceededFault", QuotaExceededError),
        ("ReplicationGroupNotFoundFault", NotFoundError),
        ("AccessDenied", ClientError),
    ],
)
def test_refusals_have_names(code: str, error: type[Exception]) -> None:
    found, _ = stubbed(("create_snapshot", code, None))
    with pytest.raises(error):
        found.take_snapshot("sessions", NAME, TAGS)


def test_a_snapshot_is_exported_to_a_bucket() -> None:
    wanted = {"SourceSnapshotName": NAME, "TargetSnapshotName": f"cache/{NAME}", "TargetBucket": "backups"}
    found, stub = stubbed(("copy_snapshot", {}, wanted), ("copy_snapshot", "InvalidSnapshotState", None))
    found.export_snapshot(NAME, "backups", f"cache/{NAME}")
    with pytest.raises(NotReadyError, match="export snapshot"):
        found.export_snapshot(NAME, "backups", f"cache/{NAME}")
    stub.assert_no_pending_responses()


CONFIGURATION = CacheConfiguration(
    engine="redis",
    engine_version="7.0.7",
    node_type="cache.t4g.medium",
    subnet_group="private",
    security_groups=("sg-1",),
    parameter_group="ours",
    port=6379,
    replicas_per_group=1,
    automatic_failover=True,
)
DRILL = {"ops:drill-id": "abcd12345678"}


def test_a_snapshot_is_restored_into_a_new_group_once(elasticache: Any) -> None:
    create(elasticache)
    found = caches(elasticache)
    found.take_snapshot("sessions", NAME, TAGS)
    made = found.restore_snapshot("drill-copy", NAME, cache_arguments(CONFIGURATION, DRILL))
    again = found.restore_snapshot("drill-copy", NAME, cache_arguments(CONFIGURATION, DRILL))
    assert made.identifier == again.identifier == "drill-copy"
    assert made.tags == again.tags == DRILL
    with pytest.raises(NameTakenError, match="There is a replication group drill-copy already"):
        found.restore_snapshot("drill-copy", NAME, cache_arguments(CONFIGURATION, {"ops:drill-id": "ffff12345678"}))
    assert found.group("none") is None


def test_the_restore_passes_on_everything_it_is_told() -> None:
    arguments = cache_arguments(CONFIGURATION, DRILL)
    wanted = {
        "ReplicationGroupId": "x",
        "ReplicationGroupDescription": f"Restored from {NAME}",
        "SnapshotName": NAME,
        **arguments,
    }
    answer = {"ReplicationGroup": {"ReplicationGroupId": "x", "ARN": "arn:x", "Status": "creating"}}
    found, stub = stubbed(("create_replication_group", answer, wanted))
    assert found.restore_snapshot("x", NAME, arguments).status == "creating"
    stub.assert_no_pending_responses()


def test_a_group_is_deleted_whole_and_without_a_final_snapshot() -> None:
    wanted = {"ReplicationGroupId": "drill-1-c", "RetainPrimaryCluster": False}
    found, stub = stubbed(
        ("delete_replication_group", {}, wanted),
        ("delete_replication_group", "ReplicationGroupNotFoundFault", wanted),
        ("delete_replication_group", "InvalidReplicationGroupState", wanted),
    )
    assert found.delete_group("drill-1-c")
    assert not found.delete_group("drill-1-c")
    with pytest.raises(NotReadyError):
        found.delete_group("drill-1-c")
    stub.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("text", "size"),
    [("5 MB", 5 * 1024**2), ("1.5 GB", 3 * 1024**3 // 2), ("17 B", 17), ("3", 3), ("", 0), ("many MB", 0), ("1 XB", 0)],
)
def test_sizes(text: str, size: int) -> None:
    assert size_of(text) == size


def test_statuses_and_snapshots_are_listed_without_asking_for_tags(elasticache: Any) -> None:
    create(elasticache)
    tagging = aws_client("resourcegroupstaggingapi")
    made = calls_of(elasticache, tagging)
    listed = Caches(elasticache, tagging)
    assert listed.statuses() == {"sessions": "available"}
    assert listed.snapshots_without_tags() == {}
    assert made == ["DescribeReplicationGroups", "DescribeSnapshots"]


def test_a_group_that_goes_between_two_questions_is_gone() -> None:
    client = session().client("elasticache")
    stub = Stubber(client)
    described = {"ReplicationGroupId": "orders", "ARN": "arn:aws:elasticache:x:1:replicationgroup:orders"}
    stub.add_response("describe_replication_groups", {"ReplicationGroups": [described]})
    stub.add_response("describe_cache_clusters", {"CacheClusters": []})
    stub.add_client_error("list_tags_for_resource", "ReplicationGroupNotFoundFault", "gone", 404)
    with stub:
        assert Caches(client).group("orders") is None
