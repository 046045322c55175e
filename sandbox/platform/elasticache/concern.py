"""The concern for ElastiCache: which call goes where, tags, faults, and the care for running servers."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from moto.elasticache.models import elasticache_backends

from sandbox.platform import versions
from sandbox.platform.application import Forward
from sandbox.platform.calls import Answer, Call
from sandbox.platform.elasticache import metrics, permissions
from sandbox.platform.elasticache.exports import Exports
from sandbox.platform.elasticache.groups import Groups
from sandbox.platform.elasticache.model import Group
from sandbox.platform.elasticache.nodes import Nodes
from sandbox.platform.elasticache.parameters import ParameterGroups
from sandbox.platform.elasticache.snapshots import Snapshots
from sandbox.platform.elasticache.state import SERVICE, State, paged
from sandbox.platform.engines import Faults
from sandbox.platform.errors import AwsError
from sandbox.platform.metrics import Publisher
from sandbox.redis.server import RedisError, Statistics

log = logging.getLogger(__name__)
_CARE_SECONDS = 0.25
_MOTOS = frozenset(
    {
        "CreateCacheSubnetGroup",
        "CreateUser",
        "DeleteUser",
        "DescribeCacheSubnetGroups",
        "DescribeUsers",
    }
)
Handler = Callable[[Call], Mapping[str, Any]]


class ElastiCache:
    """Serves what the package's description says; every other operation is refused."""

    service = SERVICE

    def __init__(
        self,
        *,
        directory: Path,
        tls_dir: Path,
        account: str,
        region: str,
        automation_url: str,
        metric_period_seconds: int,
        pace_seconds: float,
        faults: Faults,
    ) -> None:
        """`directory` is where the engines keep their data."""
        self._state = state = State(
            directory=directory, account=account, region=region, pace_seconds=pace_seconds, faults=faults
        )
        exports = Exports(automation_url, region=region, account=account)
        self._subnet_groups = elasticache_backends[account][region].cache_subnet_groups
        self._nodes = Nodes(state, tls_dir)
        state.parameters = parameters = ParameterGroups(
            state.arn, state.lock, state.uses_parameters, self._parameters_changed
        )
        snapshots = Snapshots(state, exports)
        groups = Groups(state, self._nodes, snapshots, exports)
        self._publisher = Publisher(
            metrics.NAMESPACE,
            self._readings,
            metrics.values,
            dimension=metrics.DIMENSION,
            endpoint_url=automation_url,
            region=region,
            period=metric_period_seconds,
        )
        self._care_started = False
        # Not in the thread that changed them: servers may be at work.
        faults.on_change(lambda: state.begin("faults", self._faults_changed))
        self._handlers: dict[str, Handler] = {
            "AddTagsToResource": self._add_tags,
            "CopySnapshot": snapshots.copy,
            "CreateCacheParameterGroup": parameters.create,
            "CreateReplicationGroup": lambda call: self._create(call, groups),
            "CreateSnapshot": snapshots.create,
            "DecreaseReplicaCount": groups.decrease,
            "DeleteCacheParameterGroup": parameters.delete,
            "DeleteCacheSubnetGroup": self._delete_subnet_group,
            "DeleteReplicationGroup": groups.delete,
            "DeleteSnapshot": snapshots.delete,
            "DescribeCacheClusters": groups.describe_clusters,
            "DescribeCacheEngineVersions": versions.of_caches,
            "DescribeCacheParameterGroups": self._describe_parameter_groups,
            "DescribeCacheParameters": self._describe_parameters,
            "DescribeReplicationGroups": groups.describe,
            "DescribeSnapshots": snapshots.describe,
            "IncreaseReplicaCount": groups.increase,
            "ListTagsForResource": lambda call: {"TagList": state.tag_list(self._tagged(call))},
            "ModifyCacheParameterGroup": parameters.modify,
            "ModifyReplicationGroup": groups.modify,
            "RemoveTagsFromResource": self._remove_tags,
            "ResetCacheParameterGroup": parameters.reset,
            "TestFailover": groups.fail_over,
        }

    def handle(self, call: Call, forward: Forward) -> Answer:
        """Answer one ElastiCache call."""
        if call.operation in _MOTOS or ":subnetgroup:" in (call.params.get("ResourceName") or ""):
            return forward()
        handler = self._handlers.get(call.operation)
        if handler is None:
            raise AwsError("InvalidAction", f"{call.operation} is not served by the sandbox")
        if call.read_only:
            self._state.faults.refuse(SERVICE, call.operation, _named(call))
        return call.answer(handler(call))

    def _create(self, call: Call, groups: Groups) -> dict[str, Any]:
        subnet_group = call.params.get("CacheSubnetGroupName")
        if subnet_group and subnet_group not in self._subnet_groups:
            raise AwsError("CacheSubnetGroupNotFoundFault", f"Cache Subnet Group {subnet_group} does not exist.")
        answer = groups.create(call)
        self._publisher.start()
        if not self._care_started:
            self._care_started = True
            threading.Thread(target=self._care, name="elasticache care", daemon=True).start()
        return answer

    def conditions(self, call: Call, resource: str) -> Mapping[str, Any]:
        """The condition keys of a call on a resource, for IAM."""
        with self._state.lock:
            return permissions.conditions(call, resource, self._state.tags.get(resource, {}))

    def dependents(self, call: Call) -> Sequence[tuple[Call, Sequence[str]]]:
        """Further calls as which this one is authorized, with their resources."""
        return permissions.dependents(call, self._state.account)

    def tagged(self) -> list[tuple[str, dict[str, str]]]:
        """ARN and tags of every group, node, snapshot and parameter group that has some."""
        with self._state.lock:
            return [(arn, dict(tags)) for arn, tags in self._state.tags.items()]

    def close(self) -> None:
        """End all servers."""
        self._nodes.end()

    # Servers

    def _care(self) -> None:
        """Replace servers that die, for as long as the process lives."""
        waiting = threading.Event()
        while not waiting.wait(_CARE_SECONDS):
            with self._state.lock:
                groups = [group for group in self._state.groups.values() if group.status == "available"]
            for group in groups:
                if group.lock.acquire(blocking=False):
                    try:
                        self._nodes.replace_dead(group)
                    except RedisError as error:
                        log.error("%s: %s", group.id, error)
                    finally:
                        group.lock.release()

    def _readings(self) -> dict[str, Statistics]:
        with self._state.lock:
            nodes = [
                node
                for group in self._state.groups.values()
                if group.status not in ("creating", "create-failed", "deleting")
                for node in group.nodes
            ]
        readings = {}
        for node in nodes:
            try:
                readings[node.id] = node.server.statistics()
            except RedisError:
                continue  # it is down, and has no metrics
        return readings

    def _parameters_changed(self, name: str) -> None:
        with self._state.lock:
            groups = [group for group in self._state.groups.values() if group.parameter_group == name]
        for group in groups:
            self._configure(group)

    def _configure(self, group: Group) -> None:
        with group.lock:
            try:
                self._nodes.configure(group)
            except RedisError as error:
                log.error("%s: %s", group.id, error)

    def _faults_changed(self) -> None:
        with self._state.lock:
            groups = list(self._state.groups.values())
            for group in groups:
                self._state.rescale(group)
        for group in groups:
            with group.lock:
                self._nodes.cut(group)
            self._configure(group)

    # Parameter groups, subnet groups, tags

    def _describe_parameter_groups(self, call: Call) -> dict[str, Any]:
        parameters, name = self._state.parameters, call.params.get("CacheParameterGroupName")
        found = [parameters.get(name)] if name else parameters.all()
        page, marker = paged(call, [group.describe() for group in found])
        return {"CacheParameterGroups": page, "Marker": marker}

    def _describe_parameters(self, call: Call) -> dict[str, Any]:
        page, marker = paged(call, self._state.parameters.parameters(call))
        return {"Parameters": page, "Marker": marker}

    def _delete_subnet_group(self, call: Call) -> dict[str, Any]:
        # moto lacks it.
        name = call.params["CacheSubnetGroupName"]
        with self._state.lock:
            if any(group.subnet_group == name for group in self._state.groups.values()):
                raise AwsError("CacheSubnetGroupInUse", f"Cache Subnet Group {name} is in use.")
            if self._subnet_groups.pop(name, None) is None:
                raise AwsError("CacheSubnetGroupNotFoundFault", f"Cache Subnet Group {name} does not exist.")
        return {}

    def _tagged(self, call: Call) -> str:
        """The ARN whose tags a call is about; raises `AwsError` if there is no such resource."""
        arn: str = call.params["ResourceName"]
        kind, _, name = arn.removeprefix(self._state.arn("", "").rstrip(":") + ":").partition(":")
        with self._state.lock:
            if kind == "replicationgroup":
                self._state.group(name)
            elif kind == "cluster":
                self._state.cluster(name)
            elif kind == "snapshot":
                self._state.snapshot(name)
            elif kind == "parametergroup":
                self._state.parameters.get(name)
            else:
                raise AwsError("InvalidARN", f"ARN {arn} is invalid.")
        return arn

    def _add_tags(self, call: Call) -> dict[str, Any]:
        arn = self._tagged(call)
        with self._state.lock:
            self._state.tag(arn, call.params["Tags"])
            return {"TagList": self._state.tag_list(arn)}

    def _remove_tags(self, call: Call) -> dict[str, Any]:
        arn = self._tagged(call)
        with self._state.lock:
            for key in call.params["TagKeys"]:
                self._state.tags.get(arn, {}).pop(key, None)
            return {"TagList": self._state.tag_list(arn)}


def _named(call: Call) -> tuple[str, ...]:
    """What a call that reads is about."""
    members = ("ReplicationGroupId", "CacheClusterId", "SnapshotName", "CacheParameterGroupName")
    return tuple(call.params[member] for member in members if call.params.get(member))
