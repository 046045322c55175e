"""What there is: replication groups with their nodes, and snapshots; and how the API describes them."""

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sandbox.redis.relay import Relay
from sandbox.redis.server import RedisServer

NODE_GROUP = "0001"
NODE = "0001"

# GiB of memory, from "Supported node types" in the ElastiCache user guide.
NODE_MEMORY_GIB: Mapping[str, float] = {
    "cache.t3.micro": 0.5,
    "cache.t3.small": 1.37,
    "cache.t3.medium": 3.09,
    "cache.t4g.micro": 0.5,
    "cache.t4g.small": 1.37,
    "cache.t4g.medium": 3.09,
    "cache.m6g.large": 6.38,
    "cache.m6g.xlarge": 12.93,
    "cache.m7g.large": 6.38,
    "cache.m7g.xlarge": 12.93,
    "cache.r6g.large": 13.07,
    "cache.r6g.xlarge": 26.32,
    "cache.r7g.large": 13.07,
    "cache.r7g.xlarge": 26.32,
}


def now() -> datetime:
    """UTC."""
    return datetime.now(UTC)


@dataclass(slots=True, eq=False)
class Node:
    """One node, which the API also calls a cache cluster; `host` and the group's port are its endpoint."""

    id: str
    server: RedisServer
    zone: str
    host: str
    created_at: datetime = field(default_factory=now)
    status: str = "creating"
    relay: Relay | None = None
    snapshots_at: deque[datetime] = field(default_factory=deque)
    """When its manual snapshots of the last day were begun."""


@dataclass(slots=True, eq=False)
class Group:
    """One replication group."""

    id: str
    arn: str
    description: str
    engine: str
    engine_version: str
    node_type: str
    parameter_group: str
    subnet_group: str
    security_groups: list[str]
    host: str
    port: int
    automatic_failover: bool
    multi_az: bool
    transit_encryption: bool
    at_rest_encryption: bool
    kms_key: str | None
    auth_tokens: list[str]
    retention: int
    snapshot_window: str
    maintenance_window: str
    auto_minor_upgrade: bool
    directory: Path
    snapshotting_cluster: str | None = None
    topic_arn: str | None = None
    status: str = "creating"
    nodes: list[Node] = field(default_factory=list)
    primary: Node | None = None
    primary_relay: Relay | None = None
    pending_node_type: str | None = None
    created_at: datetime = field(default_factory=now)
    auth_token_at: datetime | None = None
    memory_scale: float = 1.0
    """What part of its node type's memory its nodes have here."""
    scaled_for: int | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held by whoever changes the servers."""

    def node(self, cluster_id: str) -> Node | None:
        """The node of that id."""
        return next((node for node in self.nodes if node.id == cluster_id), None)

    @property
    def replicas(self) -> list[Node]:
        """All but the primary."""
        return [node for node in self.nodes if node is not self.primary]

    def describe(self, status: str) -> dict[str, Any]:
        """A ReplicationGroup of the API, in `status`."""
        serves = status not in ("creating", "create-failed")
        reader = self.replicas[0] if self.replicas else self.primary
        members = [
            {
                "CacheClusterId": node.id,
                "CacheNodeId": NODE,
                "PreferredAvailabilityZone": node.zone,
                "CurrentRole": "primary" if node is self.primary else "replica",
                **({"ReadEndpoint": {"Address": node.host, "Port": self.port}} if serves else {}),
            }
            for node in self.nodes
        ]
        node_group: dict[str, Any] = {"NodeGroupId": NODE_GROUP, "Status": status, "NodeGroupMembers": members}
        if serves and reader is not None:
            node_group["PrimaryEndpoint"] = {"Address": self.host, "Port": self.port}
            node_group["ReaderEndpoint"] = {"Address": reader.host, "Port": self.port}
        return {
            "ReplicationGroupId": self.id,
            "Description": self.description,
            "Status": status,
            "PendingModifiedValues": {},
            "MemberClusters": [node.id for node in self.nodes],
            "NodeGroups": [node_group],
            "SnapshottingClusterId": self.snapshotting_cluster,
            "AutomaticFailover": "enabled" if self.automatic_failover else "disabled",
            "MultiAZ": "enabled" if self.multi_az else "disabled",
            "SnapshotRetentionLimit": self.retention,
            "SnapshotWindow": self.snapshot_window,
            "ClusterEnabled": False,
            "ClusterMode": "disabled",
            "CacheNodeType": self.node_type,
            "AuthTokenEnabled": bool(self.auth_tokens),
            "AuthTokenLastModifiedDate": self.auth_token_at,
            "TransitEncryptionEnabled": self.transit_encryption,
            "TransitEncryptionMode": "required" if self.transit_encryption else None,
            "AtRestEncryptionEnabled": self.at_rest_encryption,
            "KmsKeyId": self.kms_key,
            "ARN": self.arn,
            "LogDeliveryConfigurations": [],
            "ReplicationGroupCreateTime": self.created_at,
            "DataTiering": "disabled",
            "AutoMinorVersionUpgrade": self.auto_minor_upgrade,
            "NetworkType": "ipv4",
            "IpDiscovery": "ipv4",
            "Engine": self.engine,
        }

    def describe_node(self, node: Node, status: str, *, with_nodes: bool) -> dict[str, Any]:
        """A CacheCluster of the API, in `status`."""
        described: dict[str, Any] = {
            "CacheClusterId": node.id,
            "CacheNodeType": self.node_type,
            "Engine": self.engine,
            "EngineVersion": self.engine_version,
            "CacheClusterStatus": status,
            "NumCacheNodes": 1,
            "PreferredAvailabilityZone": node.zone,
            "CacheClusterCreateTime": node.created_at,
            "PreferredMaintenanceWindow": self.maintenance_window,
            "PendingModifiedValues": {"CacheNodeType": self.pending_node_type} if self.pending_node_type else {},
            "CacheSecurityGroups": [],
            "CacheParameterGroup": {
                "CacheParameterGroupName": self.parameter_group,
                "ParameterApplyStatus": "in-sync",
                "CacheNodeIdsToReboot": [],
            },
            "CacheSubnetGroupName": self.subnet_group,
            "AutoMinorVersionUpgrade": self.auto_minor_upgrade,
            "SecurityGroups": [{"SecurityGroupId": one, "Status": "active"} for one in self.security_groups],
            "ReplicationGroupId": self.id,
            "SnapshotRetentionLimit": self.retention if node.id == self.snapshotting_cluster else 0,
            "SnapshotWindow": self.snapshot_window,
            "AuthTokenEnabled": bool(self.auth_tokens),
            "TransitEncryptionEnabled": self.transit_encryption,
            "AtRestEncryptionEnabled": self.at_rest_encryption,
            "ARN": self.arn.replace(":replicationgroup:" + self.id, ":cluster:" + node.id),
            "ReplicationGroupLogDeliveryEnabled": False,
            "LogDeliveryConfigurations": [],
            "NetworkType": "ipv4",
            "IpDiscovery": "ipv4",
        }
        if self.topic_arn:
            described["NotificationConfiguration"] = {"TopicArn": self.topic_arn, "TopicStatus": "active"}
        if with_nodes:
            described["CacheNodes"] = [
                {
                    "CacheNodeId": NODE,
                    "CacheNodeStatus": status,
                    "CacheNodeCreateTime": node.created_at,
                    "ParameterGroupStatus": "in-sync",
                    "CustomerAvailabilityZone": node.zone,
                    **({} if status == "creating" else {"Endpoint": {"Address": node.host, "Port": self.port}}),
                }
            ]
        return described


@dataclass(slots=True, eq=False)
class Snapshot:
    """One snapshot; `path` is its dump. `source` is a description of the group it was taken of."""

    name: str
    arn: str
    path: Path
    cluster: str | None
    group: str | None
    source: dict[str, Any]
    origin: str = "manual"
    kms_key: str | None = None
    status: str = "creating"
    created_at: datetime = field(default_factory=now)
    size: int | None = None
    restores: int = 0
    """How many groups are being made of it."""

    @property
    def state(self) -> str:
        """Its SnapshotStatus."""
        return "restoring" if self.restores and self.status == "available" else self.status

    def describe(self, status: str, *, with_node_group: bool) -> dict[str, Any]:
        """A Snapshot of the API, in `status`."""
        node: dict[str, Any] = {
            "CacheNodeId": NODE,
            "CacheNodeCreateTime": self.source["CacheClusterCreateTime"],
            "SnapshotCreateTime": self.created_at,
        }
        if self.size is not None:
            # Whole megabytes, as the user guide's examples have it.
            node["CacheSize"] = f"{max(1, round(self.size / 2**20))} MB"
        if self.group is not None:
            node |= {"NodeGroupId": NODE_GROUP, "CacheClusterId": self.cluster}
            if with_node_group:
                node["NodeGroupConfiguration"] = {
                    "NodeGroupId": NODE_GROUP,
                    "ReplicaCount": self.source["NumCacheClusters"] - 1,
                    "PrimaryAvailabilityZone": self.source["PreferredAvailabilityZone"],
                }
        named = (
            {"ReplicationGroupId": self.group, "ReplicationGroupDescription": self.source["Description"]}
            if self.group is not None
            else {"CacheClusterId": self.cluster}
        )
        return {
            **{key: value for key, value in self.source.items() if key not in ("Description", "NumCacheClusters")},
            **named,
            "SnapshotName": self.name,
            "SnapshotStatus": status,
            "SnapshotSource": self.origin,
            "NodeSnapshots": [node],
            "KmsKeyId": self.kms_key,
            "ARN": self.arn,
            "DataTiering": "disabled",
        }


def snapshot_source(group: Group, node: Node) -> dict[str, Any]:
    """What a snapshot of `node` remembers of its source."""
    return {
        "Description": group.description,
        "NumCacheClusters": len(group.nodes),
        "CacheNodeType": group.node_type,
        "Engine": group.engine,
        "EngineVersion": group.engine_version,
        "NumCacheNodes": 1,
        "PreferredAvailabilityZone": node.zone,
        "CacheClusterCreateTime": node.created_at,
        "PreferredMaintenanceWindow": group.maintenance_window,
        "TopicArn": group.topic_arn,
        "Port": group.port,
        "CacheParameterGroupName": group.parameter_group,
        "CacheSubnetGroupName": group.subnet_group,
        "AutoMinorVersionUpgrade": group.auto_minor_upgrade,
        "SnapshotRetentionLimit": group.retention,
        "SnapshotWindow": group.snapshot_window,
        "NumNodeGroups": 1,
        "AutomaticFailover": "enabled" if group.automatic_failover else "disabled",
    }
