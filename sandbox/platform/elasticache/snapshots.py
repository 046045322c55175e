"""Snapshots: taken of a node, copied, exported, deleted."""

import logging
import re
import shutil
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.platform.calls import Call
from sandbox.platform.elasticache.exports import Exports
from sandbox.platform.elasticache.model import Group, Node, Snapshot, now, snapshot_source
from sandbox.platform.elasticache.state import DEFAULT_SNAPSHOT_QUOTA, SERVICE, State, paged
from sandbox.platform.errors import AwsError
from sandbox.redis.server import RedisError

log = logging.getLogger(__name__)
_NAME = re.compile(r"[a-z](?!.*--)[a-z0-9-]{0,254}(?<!-)", re.IGNORECASE)
_MAX_RECORDS = 50
_DAY = timedelta(hours=24)


class Snapshots:
    """The calls about snapshots. Each takes a call and returns the operation's output."""

    def __init__(self, state: State, exports: Exports) -> None:
        self._state = state
        self._exports = exports
        self._directory = state.directory / "snapshots"

    def describe(self, call: Call) -> dict[str, Any]:
        """DescribeSnapshots, newest last."""
        params = call.params
        with self._state.lock:
            if name := params.get("SnapshotName"):
                found = [self._state.snapshot(name)]
            else:
                found = sorted(self._state.snapshots.values(), key=lambda snapshot: snapshot.created_at)
            wanted = {"user": "manual", "system": "automated"}.get(params.get("SnapshotSource") or "")
            group, cluster = params.get("ReplicationGroupId"), params.get("CacheClusterId")
            shown = [
                self._describe(one, with_node_group=bool(params.get("ShowNodeGroupConfig")))
                for one in found
                if wanted in (None, one.origin) and group in (None, one.group) and cluster in (None, one.cluster)
            ]
        page, marker = paged(call, shown, default=_MAX_RECORDS)
        return {"Snapshots": page, "Marker": marker}

    def create(self, call: Call) -> dict[str, Any]:
        """CreateSnapshot, of a node or of the node that a group's snapshots are taken of."""
        params, state = call.params, self._state
        group_id, cluster_id = params.get("ReplicationGroupId", ""), params.get("CacheClusterId", "")
        if bool(group_id) == bool(cluster_id):
            raise AwsError(
                "InvalidParameterCombination", "Exactly one of ReplicationGroupId and CacheClusterId is required."
            )
        with state.lock:
            if cluster_id:
                group, node = state.cluster(cluster_id)
            else:
                group = state.group(group_id)
                node = self.chosen(group)
            targets = (group.id, node.id, params["SnapshotName"].lower())
            state.faults.refuse(SERVICE, "CreateSnapshot", targets)
            if cluster_id and (status := state.node_status(group, node)) != "available":
                raise AwsError(
                    "InvalidCacheClusterState",
                    f"Cache cluster {node.id} is not in available state; its state is {status}.",
                )
            state.require_available(group)
            snapshot = self.begin(
                params["SnapshotName"],
                group,
                node,
                of_group=bool(group_id),
                kms_key=params.get("KmsKeyId"),
                tags=params.get("Tags"),
            )
            effects = state.effects("CreateSnapshot", *targets)
            state.show(group, "snapshotting", node)
            described = self._describe(snapshot)

        def work() -> None:
            try:
                self.take(snapshot, group, node, effects)
            finally:
                if group.status == "snapshotting":
                    state.show(group, "available")

        state.begin(f"snapshot {snapshot.name}", work)
        return {"Snapshot": described}

    @staticmethod
    def chosen(group: Group) -> Node:
        """The node that a snapshot of `group` is taken of: the one that was named, else a replica, else the primary.

        "We recommend that you create your backup from one of the read replicas" (user guide).
        """
        named = group.node(group.snapshotting_cluster) if group.snapshotting_cluster else None
        return named or (group.replicas or group.nodes)[-1]

    def begin(
        self,
        name: str,
        group: Group,
        node: Node,
        *,
        of_group: bool = True,
        kms_key: str | None = None,
        tags: list[dict[str, str]] | None = None,
    ) -> Snapshot:
        """Enter a snapshot that is not taken yet. Raises `AwsError`: bad name, name taken, quota used up."""
        self._check_name(name)
        state, begun = self._state, now()
        while node.snapshots_at and begun - node.snapshots_at[0] >= _DAY:
            node.snapshots_at.popleft()
        told = state.told("quota", node.id, group.id) or {}
        quota = int(told.get("SnapshotsPerNode", DEFAULT_SNAPSHOT_QUOTA))
        if len(node.snapshots_at) >= quota:
            raise AwsError(
                "SnapshotQuotaExceededFault",
                f"The maximum number of snapshots for {node.id} within 24 hours, {quota}, has been reached.",
            )
        snapshot = Snapshot(
            name=name.lower(),
            arn=state.arn("snapshot", name.lower()),
            path=self._path(name),
            cluster=node.id,
            group=group.id if of_group else None,
            source=snapshot_source(group, node),
            kms_key=kms_key,
        )
        state.tag(snapshot.arn, tags)
        node.snapshots_at.append(begun)
        state.snapshots[snapshot.name] = snapshot
        return snapshot

    def take(self, snapshot: Snapshot, group: Group, node: Node, effects: Mapping[str, Any]) -> None:
        """Fill a snapshot that was begun; it ends `available`, or `failed` if the node did not write its dump."""
        state = self._state
        status = "available"
        try:
            with group.lock:
                node.server.save(snapshot.path)
        except (RedisError, OSError) as error:
            log.error("snapshot %s: %s", snapshot.name, error)
            status = "failed"
        state.pause(effects)
        with state.lock:
            if status == "available":
                snapshot.size = snapshot.path.stat().st_size
            snapshot.status = effects.get("end_status", status)

    def copy(self, call: Call) -> dict[str, Any]:
        """CopySnapshot, to another snapshot or, with TargetBucket, to S3."""
        params, state = call.params, self._state
        source_name, target_name = params["SourceSnapshotName"], params["TargetSnapshotName"]
        targets = (source_name, target_name)
        state.faults.refuse(SERVICE, "CopySnapshot", targets)
        with state.lock:
            source = self._available(source_name)
        bucket = params.get("TargetBucket")
        write: Callable[[], object]
        # The user guide: "ElastiCache adds an instance identifier and .rdb".
        key = f"{target_name}-0001.rdb"
        if bucket:
            if not 1 <= len(target_name) <= 1000:
                raise AwsError("InvalidParameterValue", "TargetSnapshotName must have 1 to 1,000 characters.")
            self._exports.check_target(bucket, key)
        with state.lock:
            source = self._available(source_name)
            if not bucket:
                self._check_name(target_name)
                copied = Snapshot(
                    name=target_name.lower(),
                    arn=state.arn("snapshot", target_name.lower()),
                    path=self._path(target_name),
                    cluster=source.cluster,
                    group=source.group,
                    source=source.source,
                    kms_key=params.get("KmsKeyId") or source.kms_key,
                    status="copying",
                )
                state.tag(copied.arn, params.get("Tags") or state.tag_list(source.arn))
                state.snapshots[copied.name] = copied
                changing, write = copied, lambda: shutil.copyfile(source.path, copied.path)
            else:
                changing, write = source, lambda: self._exports.upload(source.path, bucket, key)
                source.status = "copying"
            described = self._describe(changing)
        effects = state.effects("CopySnapshot", *targets)
        state.begin(f"copy {source.name}", lambda: self._finish_copy(changing, source, write, effects))
        return {"Snapshot": described}

    def _finish_copy(
        self, changing: Snapshot, source: Snapshot, write: Callable[[], object], effects: Mapping[str, Any]
    ) -> None:
        state = self._state
        status = "available"
        try:
            write()
        except (OSError, ClientError, BotoCoreError) as error:
            log.error("copy of snapshot %s: %s", source.name, error)
            # A failed export leaves the snapshot as it was; a failed copy is no snapshot.
            status = "available" if changing is source else "failed"
        state.pause(effects)
        with state.lock:
            changing.size = source.size
            changing.status = effects.get("end_status", status)

    def delete(self, call: Call) -> dict[str, Any]:
        """DeleteSnapshot."""
        state, name = self._state, call.params["SnapshotName"]
        state.faults.refuse(SERVICE, "DeleteSnapshot", (name,))
        with state.lock:
            snapshot = state.snapshot(name)
            status = state.snapshot_status(snapshot)
            if status not in ("available", "failed"):
                raise AwsError("InvalidSnapshotState", f"Snapshot {name} cannot be deleted while it is {status}.")
            effects = state.effects("DeleteSnapshot", snapshot.name)
            snapshot.status = "deleting"
            described = self._describe(snapshot)

        def work() -> None:
            state.pause(effects)
            with state.lock:
                state.snapshots.pop(snapshot.name, None)
                state.tags.pop(snapshot.arn, None)
            snapshot.path.unlink(missing_ok=True)

        state.begin(f"delete snapshot {name}", work)
        return {"Snapshot": described}

    def for_restore(self, name: str) -> Snapshot:
        """The snapshot to make a group of; raises `AwsError` unless it is available or being restored."""
        snapshot = self._state.snapshot(name)
        status = self._state.snapshot_status(snapshot)
        if status not in ("available", "restoring"):
            raise AwsError("InvalidParameterValue", f"Snapshot {name} is not available; its state is {status}.")
        return snapshot

    def _available(self, name: str) -> Snapshot:
        snapshot = self._state.snapshot(name)
        status = self._state.snapshot_status(snapshot)
        if status != "available":
            raise AwsError("InvalidSnapshotState", f"Snapshot {name} is not available; its state is {status}.")
        return snapshot

    def _check_name(self, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise AwsError("InvalidParameterValue", f"The snapshot name is not valid: {name}")
        if name.lower() in self._state.snapshots:
            raise AwsError("SnapshotAlreadyExistsFault", f"Snapshot {name} already exists.")

    def _path(self, name: str) -> Any:
        self._directory.mkdir(parents=True, exist_ok=True)
        return self._directory / f"{name.lower()}.rdb"

    def _describe(self, snapshot: Snapshot, *, with_node_group: bool = False) -> dict[str, Any]:
        return snapshot.describe(self._state.snapshot_status(snapshot), with_node_group=with_node_group)
