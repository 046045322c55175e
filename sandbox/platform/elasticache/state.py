"""What all parts of the concern share: the resources, the lock over them, pace, faults and tags."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sandbox.platform.calls import Call
from sandbox.platform.elasticache.model import NODE_MEMORY_GIB, Group, Node, Snapshot
from sandbox.platform.elasticache.parameters import ParameterGroups
from sandbox.platform.engines import Faults
from sandbox.platform.errors import AwsError

log = logging.getLogger(__name__)
SERVICE = "elasticache"
DEFAULT_SNAPSHOT_QUOTA = 20
"""Manual snapshots of a node in 24 hours ("Backup constraints" in the ElastiCache user guide)."""
_MAX_TAGS = 50


class State:
    """Everything there is. Hold `lock` to read or change it; never wait for a `Group.lock` while you do."""

    def __init__(self, *, directory: Path, account: str, region: str, pace_seconds: float, faults: Faults) -> None:
        self.directory = directory
        self.account = account
        self.region = region
        self.faults = faults
        self.lock = threading.RLock()
        self.groups: dict[str, Group] = {}
        self.snapshots: dict[str, Snapshot] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.parameters = ParameterGroups(self.arn, self.lock, self.uses_parameters, lambda _: None)
        self._pace_seconds = pace_seconds

    def arn(self, kind: str, name: str) -> str:
        """The ARN of a resource."""
        return f"arn:aws:elasticache:{self.region}:{self.account}:{kind}:{name}"

    def uses_parameters(self, name: str) -> bool:
        """Whether a group has the parameter group of that name."""
        return any(group.parameter_group == name for group in self.groups.values())

    # What is asked for

    def group(self, group_id: str) -> Group:
        """Raises `AwsError` ReplicationGroupNotFoundFault."""
        group = self.groups.get(group_id.lower())
        if group is None:
            raise AwsError("ReplicationGroupNotFoundFault", f"ReplicationGroup {group_id} not found.", 404)
        return group

    def cluster(self, cluster_id: str) -> tuple[Group, Node]:
        """Raises `AwsError` CacheClusterNotFound."""
        for group in self.groups.values():
            node = group.node(cluster_id.lower())
            if node is not None:
                return group, node
        raise AwsError("CacheClusterNotFound", f"CacheCluster not found: {cluster_id}", 404)

    def snapshot(self, name: str) -> Snapshot:
        """Raises `AwsError` SnapshotNotFoundFault."""
        snapshot = self.snapshots.get(name.lower())
        if snapshot is None:
            raise AwsError("SnapshotNotFoundFault", f"{name} is either not present or not available.", 404)
        return snapshot

    # Statuses, as they are shown

    def group_status(self, group: Group) -> str:
        """The status of a group, or the one that it is held in."""
        return self.told("status", group.id) or group.status

    def node_status(self, group: Group, node: Node) -> str:
        """The status of a node, or the one that it or its group is held in."""
        return self.told("status", node.id, group.id) or node.status

    def snapshot_status(self, snapshot: Snapshot) -> str:
        """The status of a snapshot, or the one that it is held in."""
        return self.told("status", snapshot.name) or snapshot.state

    def require_available(self, group: Group) -> None:
        """Raises `AwsError` InvalidReplicationGroupState unless `group` is available."""
        status = self.group_status(group)
        if status != "available":
            raise AwsError(
                "InvalidReplicationGroupState",
                f"Replication group {group.id} is not in available state; its state is {status}.",
            )

    def show(self, group: Group, status: str, *nodes: Node) -> None:
        """Put a group and `nodes` (by default all of it) in `status`."""
        with self.lock:
            group.status = status
            for node in nodes or group.nodes:
                node.status = status

    # Work that goes on after the answer

    def begin(self, name: str, work: Callable[[], None]) -> None:
        """Run `work` in a thread of its own."""

        def run() -> None:
            try:
                work()
            except Exception:
                log.exception("%s failed", name)

        threading.Thread(target=run, name=name, daemon=True).start()

    def told(self, kind: str, *targets: str) -> Any:
        """What a fault says about `kind` of the first of `targets` that it says something about, or None."""
        found = (self.faults.standing(SERVICE, target, kind) for target in targets)
        return next((value for value in found if value is not None), None)

    def effects(self, operation: str, *targets: str) -> Mapping[str, Any]:
        """How faults make an operation go that was just accepted; for `pause` and `ending`."""
        return self.faults.effects(SERVICE, operation, targets)

    def pause(self, effects: Mapping[str, Any]) -> None:
        """Stay in a passing status as long as the pace, or a fault, says."""
        time.sleep(float(effects.get("seconds", self._pace_seconds)))

    def memory_gib(self, node_type: str) -> float:
        """Raises `AwsError` if the node type is not one of those known here."""
        if node_type not in NODE_MEMORY_GIB:
            raise AwsError("InvalidParameterValue", f"Invalid Cache Node Type: {node_type}.")
        return NODE_MEMORY_GIB[node_type]

    def options(self, group: Group) -> dict[str, str]:
        """The options of a group's servers: its parameters, on its node type."""
        memory = self.memory_gib(group.node_type)
        return self.parameters.get(group.parameter_group).options(memory, group.memory_scale)

    def rescale(self, group: Group) -> None:
        """Make a group's nodes smaller than they are on AWS, as the faults `memory_scale` and `maxmemory` say.

        `maxmemory` is in bytes, for the node type and parameters of the moment it is first seen: a larger type
        has more.
        """
        wanted = self.told("maxmemory", group.id)
        if wanted is not None:
            if group.scaled_for != wanted:
                full = self.parameters.get(group.parameter_group).options(self.memory_gib(group.node_type), 1.0)
                group.memory_scale = float(wanted) / int(full["maxmemory"])
        else:
            group.memory_scale = float(self.told("memory_scale", group.id) or 1.0)
        group.scaled_for = wanted

    # Tags

    def tag(self, arn: str, tags: Sequence[dict[str, str]] | None) -> None:
        """Add tags; raises `AwsError` TagQuotaPerResourceExceeded."""
        merged = self.tags.get(arn, {}) | {one["Key"]: one.get("Value", "") for one in tags or ()}
        if len(merged) > _MAX_TAGS:
            raise AwsError("TagQuotaPerResourceExceeded", "The quota of tags for a resource is exceeded.")
        self.tags[arn] = merged

    def tag_list(self, arn: str) -> list[dict[str, str]]:
        """The tags of a resource, as the API gives them."""
        return [{"Key": key, "Value": value} for key, value in self.tags.get(arn, {}).items()]


def paged(call: Call, items: list[dict[str, Any]], *, default: int = 100) -> tuple[list[dict[str, Any]], str | None]:
    """One page of `items`, and the marker of the next; raises `AwsError` for a MaxRecords out of bounds.

    "MaxRecords ... Default: 100. Constraints: minimum 20; maximum 100", 50 for snapshots (API reference).
    """
    size = call.params.get("MaxRecords") or default
    if not 20 <= size <= default:
        raise AwsError("InvalidParameterValue", f"MaxRecords must be between 20 and {default}.")
    marker = call.params.get("Marker") or "0"
    if not marker.isdecimal():
        raise AwsError("InvalidParameterValue", "The marker is not valid.")
    first = int(marker)
    following = first + size
    return items[first:following], str(following) if following < len(items) else None
