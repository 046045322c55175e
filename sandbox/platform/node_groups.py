"""Node groups of EKS, whose sizes stay within their bounds and take a while to change: moto sees to neither.

No nodes run; a group's numbers and statuses are what there is of it. Bounds and statuses:
https://docs.aws.amazon.com/eks/latest/APIReference/API_NodegroupScalingConfig.html and …/API_Nodegroup.html.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from moto.eks.models import Nodegroup, eks_backends

from sandbox.platform.application import Forward
from sandbox.platform.calls import Answer, Call
from sandbox.platform.errors import AwsError

ACTIVE, UPDATING = "ACTIVE", "UPDATING"
_CHANGES = {
    "labels": "labels",
    "taints": "taints",
    "scalingConfig": "scaling_config",
    "updateConfig": "update_config",
    "nodeRepairConfig": "node_repair_config",
}
"""Members of UpdateNodegroupConfig, and what moto calls them."""


class NodeGroups:
    """The calls on node groups; its owner holds the lock when it asks."""

    def __init__(self, *, account: str, lock: threading.RLock, pace_seconds: float) -> None:
        """`pace_seconds` is how long a group is `UPDATING`."""
        self._account = account
        self._lock = lock
        self._pace_seconds = pace_seconds
        self._updates: dict[tuple[str, str], dict[str, Any]] = {}
        self._handlers: dict[str, Callable[[Call, Forward], Answer]] = {
            "CreateNodegroup": self._create,
            "UpdateNodegroupConfig": self._update,
            "DescribeUpdate": self._describe_update,
        }

    def handler(self, call: Call) -> Callable[[Call, Forward], Answer] | None:
        """What answers a call, if it is about node groups and moto is not enough."""
        return self._handlers.get(call.operation) if call.params.get("nodegroupName") else None

    def _group(self, call: Call) -> Nodegroup:
        cluster = eks_backends[self._account][call.region].clusters.get(call.params["clusterName"])
        if cluster is None:
            raise AwsError(
                "ResourceNotFoundException", f"No cluster found for name: {call.params['clusterName']}.", 404
            )
        group: Nodegroup | None = cluster.nodegroups.get(call.params["nodegroupName"])
        if group is None:
            name = call.params["nodegroupName"]
            raise AwsError("ResourceNotFoundException", f"No node group found for name: {name}.", 404)
        return group

    def _create(self, call: Call, forward: Forward) -> Answer:
        if scaling := call.params.get("scalingConfig"):
            _check(scaling)
        return forward()

    def _update(self, call: Call, _forward: Forward) -> Answer:
        group = self._group(call)
        wanted = call.params.get("scalingConfig") or {}
        _check({**group.scaling_config, **wanted})
        if group.status != ACTIVE:
            raise AwsError(
                "ResourceInUseException", "Nodegroup cannot be updated as it is currently not in Active State", 409
            )
        done = eks_backends[self._account][call.region].update_nodegroup_config(
            call.params["clusterName"],
            call.params["nodegroupName"],
            **{given: call.params.get(member) for member, given in _CHANGES.items()},
        )
        types = [{"type": name[0].upper() + name[1:], "value": str(size)} for name, size in wanted.items()]
        update = {**done, "status": "InProgress", "params": types or done["params"]}
        group.status = UPDATING
        self._updates[call.params["nodegroupName"], update["id"]] = update
        timer = threading.Timer(self._pace_seconds, self._done, (group, update))
        timer.daemon = True
        timer.start()
        return call.answer({"update": update})

    def _done(self, group: Nodegroup, update: dict[str, Any]) -> None:
        with self._lock:
            update["status"] = "Successful"
            if group.status == UPDATING:
                group.status = ACTIVE

    def _describe_update(self, call: Call, _forward: Forward) -> Answer:
        update = self._updates.get((call.params["nodegroupName"], call.params["updateId"]))
        if update is None:
            raise AwsError("ResourceNotFoundException", f"No update found for ID: {call.params['updateId']}", 404)
        return call.answer({"update": update})


def _check(scaling: Mapping[str, int]) -> None:
    """Raise `AwsError` unless minimum <= desired <= maximum and there may be a node."""
    low, high, desired = (scaling.get(name, 0) for name in ("minSize", "maxSize", "desiredSize"))
    if high < 1:
        raise AwsError("InvalidParameterException", "maxSize must be at least 1")
    if low > desired:
        raise AwsError(
            "InvalidParameterException", f"Minimum capacity {low} can't be greater than desired size {desired}"
        )
    if desired > high:
        raise AwsError("InvalidParameterException", f"desired capacity {desired} can't be greater than max size {high}")
