"""The Eviction subresource of pods, and the disruption budgets that it keeps to.

Which evictions a budget holds up: https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/ and
https://kubernetes.io/docs/tasks/run-application/configure-pdb/. The budget is worked out when somebody asks, from the
pods of the moment, so it is never behind.
"""

import math
from dataclasses import dataclass
from typing import Any

from sandbox.kubernetes.controllers import conditions
from sandbox.kubernetes.controllers.owners import owner_of
from sandbox.kubernetes.errors import StatusError, bad_request
from sandbox.kubernetes.resources import BUDGETS, DEPLOYMENTS, PODS, REPLICA_SETS, Target
from sandbox.kubernetes.selectors import from_selector
from sandbox.kubernetes.store import Key, Object, Store

_FINISHED = ("Succeeded", "Failed")
DONE: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a budget stands, in pods; the names are those of its status."""

    expected: int
    healthy: int
    desired: int

    @property
    def allowed(self) -> int:
        """How many pods may be disrupted now."""
        return max(0, self.healthy - self.desired) if self.expected else 0


def check_body(target: Target, body: Any) -> Object:
    """The Eviction that was sent; raises 400 for what is none, or one of another pod."""
    if not isinstance(body, dict) or (body.get("apiVersion"), body.get("kind")) != ("policy/v1", "Eviction"):
        raise bad_request("the body must be a policy/v1 Eviction")
    name = body.get("metadata", {}).get("name", target.name)
    if name != target.name:
        raise bad_request("name in URL does not match name in Eviction object")
    return body


def check(store: Store, pod: Object) -> None:
    """Raise what the API answers when a pod may not be evicted now: 429, or 500 for more than one budget."""
    if _is_ending(pod) or pod.get("status", {}).get("phase") == "Pending":
        return
    budgets = [budget for budget in store.select(BUDGETS, pod["metadata"]["namespace"]) if _is_about(budget, pod)]
    if not budgets:
        return
    if len(budgets) > 1:
        raise StatusError(
            500,
            "InternalError",
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
        )
    budget, standing = budgets[0], standing_of(store, budgets[0])
    if not conditions.is_true(pod, "Ready"):
        # Its end takes nothing away from what is healthy.
        if budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
            return
        if standing.desired > 0 and standing.healthy >= standing.desired:
            return
    if standing.allowed < 1:
        raise _too_many(budget, standing)


def standing_of(store: Store, budget: Object) -> Standing:
    """How many pods a budget is about, how many of them are healthy, and how many must be."""
    pods = [pod for pod in store.select(PODS, budget["metadata"]["namespace"]) if _is_about(budget, pod)]
    alive = [pod for pod in pods if not _is_ending(pod)]
    healthy = sum(conditions.is_true(pod, "Ready") for pod in alive)
    spec = budget["spec"]
    if spec.get("maxUnavailable") is not None:
        expected = _wanted(store, pods)
        return Standing(expected, healthy, max(0, expected - _scaled(spec["maxUnavailable"], expected)))
    least = spec.get("minAvailable", 1)
    # A number stands for itself; a percentage is one of what the pods' owners want.
    expected = _wanted(store, pods) if isinstance(least, str) else len(alive)
    return Standing(expected, healthy, _scaled(least, expected))


def _wanted(store: Store, pods: list[Object]) -> int:
    """The sum of the replicas of what owns the pods; one without an owner counts as one."""
    scales: dict[str, int] = {}
    for pod in pods:
        scales |= _scale(store, pod)
    return sum(scales.values())


def _scale(store: Store, pod: Object) -> dict[str, int]:
    namespace, owner = pod["metadata"]["namespace"], owner_of(pod)
    if owner is None or owner["kind"] != "ReplicaSet":
        return {} if _is_ending(pod) else {pod["metadata"]["uid"]: 1}
    replica_set = store.find(Key(REPLICA_SETS, namespace, owner["name"]))
    if replica_set is None:
        return {}
    above = owner_of(replica_set)
    deployment = store.find(Key(DEPLOYMENTS, namespace, above["name"])) if above else None
    scaled = deployment or replica_set
    return {scaled["metadata"]["uid"]: int(scaled["spec"]["replicas"])}


def _scaled(value: int | str, whole: int) -> int:
    """A number of pods, or a percentage of them, rounded up."""
    return math.ceil(int(value.removesuffix("%")) * whole / 100) if isinstance(value, str) else int(value)


def _is_about(budget: Object, pod: Object) -> bool:
    selector = budget["spec"].get("selector")
    return selector is not None and from_selector(selector)(pod["metadata"].get("labels") or {})


def _is_ending(pod: Object) -> bool:
    return "deletionTimestamp" in pod["metadata"] or pod.get("status", {}).get("phase") in _FINISHED


def _too_many(budget: Object, standing: Standing) -> StatusError:
    name = budget["metadata"]["name"]
    cause = f"The disruption budget {name} needs {standing.desired} healthy pods and has {standing.healthy} currently"
    return StatusError(
        429,
        "TooManyRequests",
        "Cannot evict pod as it would violate the pod's disruption budget.",
        {"causes": [{"reason": "DisruptionBudget", "message": cause}]},
    )
