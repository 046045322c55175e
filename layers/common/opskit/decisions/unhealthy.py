"""Which pod may be replaced because its target is unhealthy: one, and only where others serve."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from opskit.clock import timestamp

HEALTHY, UNHEALTHY = "healthy", "unhealthy"


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of the colour. `uid` identifies it: another may have its name later. `ip` is that of its target."""

    name: str
    uid: str
    ip: str | None
    created_at: datetime
    ready: bool
    terminating: bool = False

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"created_at": timestamp(self.created_at)}


@dataclass(frozen=True, slots=True)
class Replacement:
    """The pod to replace, or None, and why."""

    pod: Pod | None
    reason: str


def pod_to_replace(
    pods: Sequence[Pod], targets: Mapping[str, str], now: datetime, *, older_than_seconds: float
) -> Replacement:
    """The oldest pod whose target the balancer calls unhealthy, one at a time.

    `targets`: the state of each target by its address, as DescribeTargetHealth gives it. None is replaced while another
    is on its way out, and none where no target is healthy: what all of them have is no pod's fault, and a balancer
    whose targets are all unhealthy still sends traffic to each.
    """
    leaving = [pod.name for pod in pods if pod.terminating]
    sick = [pod for pod in pods if pod.ip is not None and targets.get(pod.ip) == UNHEALTHY and not pod.terminating]
    if leaving:
        return Replacement(None, f"{', '.join(leaving)} is being replaced already; one at a time")
    if not sick:
        return Replacement(None, "no pod of this colour has an unhealthy target")
    if not any(state == HEALTHY for state in targets.values()):
        return Replacement(None, f"none of the {len(targets)} targets is healthy: the cause is not one pod")
    old = [pod for pod in sick if (now - pod.created_at).total_seconds() >= older_than_seconds]
    if not old:
        names = ", ".join(pod.name for pod in sick)
        return Replacement(None, f"{names}: younger than {older_than_seconds:g} s, and may still be starting")
    pod = min(old, key=lambda one: (one.created_at, one.name))
    return Replacement(pod, f"{pod.name}: its target {pod.ip} is unhealthy, and {len(sick) - 1} others are")
