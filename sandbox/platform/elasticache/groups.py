"""Replication groups: made, changed, failed over, deleted."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.platform.calls import Call
from sandbox.platform.elasticache.exports import Exports
from sandbox.platform.elasticache.model import NODE_GROUP, Group, Snapshot
from sandbox.platform.elasticache.nodes import Nodes
from sandbox.platform.elasticache.requests import MAX_NODES, changes, new_group, node_count, refused
from sandbox.platform.elasticache.snapshots import Snapshots
from sandbox.platform.elasticache.state import SERVICE, State, paged
from sandbox.platform.errors import AwsError
from sandbox.redis.server import RedisError

log = logging.getLogger(__name__)

BUSY = frozenset({"creating", "modifying", "snapshotting", "deleting"})
"""In which a group is not deleted; one that failed in whatever way is."""


class Groups:
    """The calls about replication groups. Each takes a call and returns the operation's output."""

    def __init__(self, state: State, nodes: Nodes, snapshots: Snapshots, exports: Exports) -> None:
        self._state = state
        self._nodes = nodes
        self._snapshots = snapshots
        self._exports = exports

    def describe(self, call: Call) -> dict[str, Any]:
        """DescribeReplicationGroups."""
        with self._state.lock:
            named = call.params.get("ReplicationGroupId")
            groups = [self._state.group(named)] if named else list(self._state.groups.values())
            shown = [self._describe(group) for group in groups]
        page, marker = paged(call, shown)
        return {"ReplicationGroups": page, "Marker": marker}

    def describe_clusters(self, call: Call) -> dict[str, Any]:
        """DescribeCacheClusters: the nodes of all groups."""
        params, state = call.params, self._state
        with state.lock:
            if named := params.get("CacheClusterId"):
                pairs = [state.cluster(named)]
            elif params.get("ShowCacheClustersNotInReplicationGroups"):
                pairs = []
            else:
                pairs = [(group, node) for group in state.groups.values() for node in group.nodes]
            with_nodes = bool(params.get("ShowCacheNodeInfo"))
            shown = [
                group.describe_node(node, state.node_status(group, node), with_nodes=with_nodes)
                for group, node in pairs
            ]
        page, marker = paged(call, shown)
        return {"CacheClusters": page, "Marker": marker}

    def create(self, call: Call) -> dict[str, Any]:
        """CreateReplicationGroup, empty, of a snapshot, or of a dump in S3."""
        params, state = call.params, self._state
        group_id = params["ReplicationGroupId"].lower()
        targets = (group_id, params.get("SnapshotName") or group_id)
        state.faults.refuse(SERVICE, "CreateReplicationGroup", targets)
        arns = params.get("SnapshotArns") or []
        if arns and params.get("SnapshotName"):
            raise AwsError("InvalidParameterCombination", "SnapshotName and SnapshotArns exclude each other.")
        if len(arns) > 1:
            raise refused("more than one dump, which needs cluster mode")
        for arn in arns:
            self._exports.check_source(arn)
        with state.lock:
            if group_id in state.groups:
                raise AwsError("ReplicationGroupAlreadyExists", f"Replication group {group_id} already exists.")
            snapshot = self._snapshots.for_restore(params["SnapshotName"]) if params.get("SnapshotName") else None
            group = new_group(state, call, group_id, snapshot)
            count = node_count(call)
            if group.automatic_failover and count < 2:
                raise AwsError(
                    "InvalidParameterCombination",
                    "When automatic failover is enabled, there must be at least one replica.",
                )
            zones = params.get("PreferredCacheClusterAZs") or [f"{state.region}{letter}" for letter in "abc"]
            state.tag(group.arn, params.get("Tags"))
            self._nodes.prepare(group, count, zones)
            for node in group.nodes:
                state.tag(state.arn("cluster", node.id), params.get("Tags"))
            if group.retention:
                group.snapshotting_cluster = group.nodes[-1].id
            state.groups[group_id] = group
            if snapshot is not None:
                snapshot.restores += 1
            described = self._describe(group)

        effects = state.effects("CreateReplicationGroup", *targets)
        state.begin(f"create {group_id}", lambda: self._create(group, snapshot, arns, effects))
        return {"ReplicationGroup": described}

    def _create(self, group: Group, snapshot: Snapshot | None, arns: list[str], effects: Mapping[str, Any]) -> None:
        state = self._state
        status = "available"
        dump = snapshot.path if snapshot is not None else None
        try:
            with group.lock:
                group.directory.mkdir(parents=True, exist_ok=True)
                if arns:
                    dump = group.directory / "seed.rdb"
                    self._exports.download(arns[0], dump)
                self._nodes.start(group, dump)
        except Exception:
            log.exception("replication group %s was not created", group.id)
            status = "create-failed"
        finally:
            state.pause(effects)
            with state.lock:
                if snapshot is not None:
                    snapshot.restores -= 1
        state.show(group, effects.get("end_status", status))

    def modify(self, call: Call) -> dict[str, Any]:
        """ModifyReplicationGroup. Without ApplyImmediately a new node type stays pending."""
        state = self._state
        with state.lock:
            group = self._changing(call)
            wanted = changes(state, call, group)
            group.status = "modifying"
            described = self._describe(group)

        def work() -> None:
            with state.lock:
                for change in wanted:
                    change()
            with group.lock:
                self._nodes.configure(group)
                self._nodes.set_auth_tokens(group)

        self._change(group, "ModifyReplicationGroup", work)
        return {"ReplicationGroup": described}

    def increase(self, call: Call) -> dict[str, Any]:
        """IncreaseReplicaCount."""
        return self._resize(call, grow=True)

    def decrease(self, call: Call) -> dict[str, Any]:
        """DecreaseReplicaCount."""
        return self._resize(call, grow=False)

    def _resize(self, call: Call, *, grow: bool) -> dict[str, Any]:
        params, state = call.params, self._state
        if not params.get("ApplyImmediately"):
            raise AwsError("InvalidParameterValue", "ApplyImmediately=False is not currently supported.")
        with state.lock:
            group = self._changing(call)
            leaving = [node for node in group.replicas if node.id in (params.get("ReplicasToRemove") or ())]
            wanted = params.get("NewReplicaCount")
            for one in params.get("ReplicaConfiguration") or ():
                wanted = one["NewReplicaCount"]
            if wanted is None and leaving:
                wanted = len(group.replicas) - len(leaving)
            if wanted is None:
                raise AwsError("InvalidParameterCombination", "NewReplicaCount is required.")
            if wanted == len(group.replicas) or (wanted > len(group.replicas)) != grow:
                raise AwsError("NoOperationFault", f"The group has {len(group.replicas)} replicas.")
            if not (1 if group.automatic_failover else 0) <= wanted < MAX_NODES:
                raise AwsError("InvalidParameterValue", f"{wanted} replicas are not possible.")
            if not grow and not leaving:
                leaving = group.replicas[wanted:]
            group.status = "modifying"
            described = self._describe(group)
        zones = [f"{state.region}{letter}" for letter in "abc"]

        def work() -> None:
            with group.lock:
                for node in leaving:
                    self._nodes.shrink(group, node)
                while len(group.replicas) < wanted:
                    self._nodes.grow(group, zones)

        self._change(group, call.operation, work)
        return {"ReplicationGroup": described}

    def fail_over(self, call: Call) -> dict[str, Any]:
        """TestFailover."""
        with self._state.lock:
            group = self._changing(call)
            if call.params["NodeGroupId"] != NODE_GROUP:
                raise AwsError("NodeGroupNotFoundFault", f"Node group {call.params['NodeGroupId']} not found.", 404)
            if not group.automatic_failover:
                raise AwsError("TestFailoverNotAvailableFault", "Automatic failover is not enabled.")
            group.status = "modifying"
            described = self._describe(group)

        def work() -> None:
            with group.lock:
                self._nodes.fail_over(group)

        self._change(group, "TestFailover", work)
        return {"ReplicationGroup": described}

    def delete(self, call: Call) -> dict[str, Any]:
        """DeleteReplicationGroup, with a last snapshot if one is named."""
        params, state = call.params, self._state
        if params.get("RetainPrimaryCluster"):
            raise refused("RetainPrimaryCluster")
        with state.lock:
            group = state.group(params["ReplicationGroupId"])
            state.faults.refuse(SERVICE, "DeleteReplicationGroup", (group.id,))
            status = state.group_status(group)
            if status in BUSY:
                raise AwsError(
                    "InvalidReplicationGroupState",
                    f"Replication group {group.id} is not in available state; its state is {status}.",
                )
            name = params.get("FinalSnapshotIdentifier")
            final = self._snapshots.begin(name, group, group.primary) if name and group.primary is not None else None
            state.show(group, "deleting")
            described = self._describe(group)
        effects = state.effects("DeleteReplicationGroup", group.id)
        of_snapshot = state.effects("CreateSnapshot", group.id, final.name) if final is not None else {}

        def work() -> None:
            if final is not None and group.primary is not None:
                self._snapshots.take(final, group, group.primary, of_snapshot)
            state.pause(effects)
            if "end_status" in effects:
                state.show(group, effects["end_status"])
                return
            with group.lock:
                self._nodes.destroy(group)
            with state.lock:
                state.groups.pop(group.id, None)
                for arn in (group.arn, *(state.arn("cluster", node.id) for node in group.nodes)):
                    state.tags.pop(arn, None)

        state.begin(f"delete {group.id}", work)
        return {"ReplicationGroup": described}

    def _changing(self, call: Call) -> Group:
        """The available group that a call is to change, unless a fault refuses it."""
        group = self._state.group(call.params["ReplicationGroupId"])
        self._state.faults.refuse(SERVICE, call.operation, (group.id,))
        self._state.require_available(group)
        return group

    def _change(self, group: Group, operation: str, work: Callable[[], None]) -> None:
        """Do `work` while the group is `modifying`."""
        state = self._state
        effects = state.effects(operation, group.id)
        state.show(group, "modifying")

        def run() -> None:
            try:
                work()
            except RedisError as error:
                log.error("%s of %s: %s", operation, group.id, error)
            finally:
                state.pause(effects)
                state.show(group, effects.get("end_status", "available"))

        state.begin(f"{operation} {group.id}", run)

    def _describe(self, group: Group) -> dict[str, Any]:
        return group.describe(self._state.group_status(group))
