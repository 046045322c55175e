"""A replication group and its snapshots as the ElastiCache API describes them, reduced to what is decided on."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Self

from opskit.clock import moment_of, timestamp
from opskit.decisions.cache_turn import Node


@dataclass(frozen=True, slots=True)
class CacheConfiguration:
    """Everything of a replication group that a restore must be told, because AWS would choose a default instead.

    `node_groups` are shards, each with `replicas_per_group` replicas and a primary. `security_groups`,
    `user_groups` are sorted.
    """

    engine: str
    engine_version: str
    node_type: str
    subnet_group: str | None
    security_groups: tuple[str, ...]
    parameter_group: str | None
    port: int | None
    node_groups: int = 1
    replicas_per_group: int = 0
    cluster_mode: bool = False
    automatic_failover: bool = False
    multi_az: bool = False
    transit_encryption: bool = False
    transit_encryption_mode: str | None = None
    at_rest_encryption: bool = False
    kms_key: str | None = None
    auth_token: bool = False
    user_groups: tuple[str, ...] = ()
    snapshot_retention_days: int = 0
    auto_minor_version_upgrade: bool = False

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {
            "security_groups": list(self.security_groups),
            "user_groups": list(self.user_groups),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        lists = {name: tuple(data[name]) for name in ("security_groups", "user_groups")}
        return cls(**{**data, **lists})


@dataclass(frozen=True, slots=True)
class CacheState:
    """A replication group now. `address` is that of its primary, or of its configuration endpoint in cluster mode."""

    identifier: str
    arn: str
    status: str
    configuration: CacheConfiguration
    nodes: tuple[Node, ...] = ()
    address: str | None = None
    created_at: datetime | None = None
    tags: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "identifier": self.identifier,
            "arn": self.arn,
            "status": self.status,
            "configuration": self.configuration.as_dict(),
            "nodes": [asdict(node) for node in self.nodes],
            "address": self.address,
            "created_at": timestamp(self.created_at) if self.created_at else None,
            "tags": self.tags,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        return cls(
            **{
                **data,
                "configuration": CacheConfiguration.from_dict(data["configuration"]),
                "nodes": tuple(Node(**node) for node in data["nodes"]),
                "created_at": moment_of(data["created_at"]) if data["created_at"] else None,
            }
        )

    @classmethod
    def of(cls, group: Mapping[str, Any], clusters: Sequence[Mapping[str, Any]], tags: Mapping[str, str]) -> Self:
        """From a `ReplicationGroup`, its members among the `CacheCluster`s, and the tags of its ARN.

        The group's own description lacks its subnet group, security groups, parameter group, version and port.
        """
        members = {cluster["CacheClusterId"]: cluster for cluster in clusters}
        shards = group.get("NodeGroups", [])
        first = next((members[name] for name in group.get("MemberClusters", []) if name in members), {})
        endpoint: Mapping[str, Any] = group.get("ConfigurationEndpoint") or next(
            (shard["PrimaryEndpoint"] for shard in shards if shard.get("PrimaryEndpoint")), {}
        )
        return cls(
            identifier=group["ReplicationGroupId"],
            arn=group["ARN"],
            status=group.get("Status", "unknown"),
            configuration=_configuration(group, first, endpoint.get("Port")),
            nodes=_nodes(group, members),
            address=endpoint.get("Address"),
            created_at=group.get("ReplicationGroupCreateTime"),
            tags=dict(tags),
        )


@dataclass(frozen=True, slots=True)
class CacheSnapshot:
    """A snapshot of a cache: of a node (`cluster_id`), or of a whole group. `bytes` as ElastiCache rounds it.

    `taken_at` is the newest moment of its nodes; None until ElastiCache has begun with one.
    """

    name: str
    arn: str
    group: str | None
    cluster_id: str | None
    status: str
    engine_version: str
    bytes: int
    taken_at: datetime | None = None
    tags: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"taken_at": timestamp(self.taken_at) if self.taken_at else None}

    @classmethod
    def of(cls, described: Mapping[str, Any], tags: Mapping[str, str]) -> Self:
        """From a `Snapshot` of DescribeSnapshots and the tags of its ARN."""
        nodes = described.get("NodeSnapshots", [])
        moments = [node["SnapshotCreateTime"] for node in nodes if node.get("SnapshotCreateTime")]
        return cls(
            name=described["SnapshotName"],
            arn=described["ARN"],
            group=described.get("ReplicationGroupId"),
            cluster_id=described.get("CacheClusterId"),
            status=described.get("SnapshotStatus", "unknown"),
            engine_version=described.get("EngineVersion", ""),
            bytes=sum(size_of(node.get("CacheSize", "")) for node in nodes),
            taken_at=max(moments, default=None),
            tags=dict(tags),
        )


def size_of(text: str) -> int:
    """Bytes of a size as ElastiCache writes it (`5 MB`, `1.2 GB`); 0 for one that cannot be read."""
    number, _, unit = text.strip().partition(" ")
    try:
        return int(float(number) * 1024 ** ("B", "KB", "MB", "GB", "TB").index(unit.upper() or "B"))
    except ValueError:
        return 0


def _nodes(group: Mapping[str, Any], members: Mapping[str, Mapping[str, Any]]) -> tuple[Node, ...]:
    roles = {
        member["CacheClusterId"]: member.get("CurrentRole")
        for shard in group.get("NodeGroups", [])
        for member in shard.get("NodeGroupMembers", [])
    }
    return tuple(
        Node(
            name,
            primary=roles.get(name) == "primary",
            available=members.get(name, {}).get("CacheClusterStatus") == "available",
        )
        for name in sorted(group.get("MemberClusters", []))
    )


def _configuration(group: Mapping[str, Any], member: Mapping[str, Any], port: int | None) -> CacheConfiguration:
    shards = len(group.get("NodeGroups", [])) or 1
    attached = [item["SecurityGroupId"] for item in member.get("SecurityGroups", [])]
    nodes = member.get("CacheNodes") or [{}]
    return CacheConfiguration(
        engine=member.get("Engine") or group.get("Engine") or "",
        engine_version=member.get("EngineVersion", ""),
        node_type=group.get("CacheNodeType") or member.get("CacheNodeType", ""),
        subnet_group=member.get("CacheSubnetGroupName"),
        security_groups=tuple(sorted(attached)),
        parameter_group=member.get("CacheParameterGroup", {}).get("CacheParameterGroupName"),
        port=port or nodes[0].get("Endpoint", {}).get("Port"),
        node_groups=shards,
        replicas_per_group=max(0, len(group.get("MemberClusters", [])) // shards - 1),
        cluster_mode=group.get("ClusterEnabled", False),
        automatic_failover=group.get("AutomaticFailover") in {"enabled", "enabling"},
        multi_az=group.get("MultiAZ") == "enabled",
        transit_encryption=group.get("TransitEncryptionEnabled", False),
        transit_encryption_mode=group.get("TransitEncryptionMode"),
        at_rest_encryption=group.get("AtRestEncryptionEnabled", False),
        kms_key=group.get("KmsKeyId"),
        auth_token=group.get("AuthTokenEnabled", False),
        user_groups=tuple(sorted(group.get("UserGroupIds", []))),
        snapshot_retention_days=group.get("SnapshotRetentionLimit", 0),
        auto_minor_version_upgrade=group.get("AutoMinorVersionUpgrade", False),
    )
