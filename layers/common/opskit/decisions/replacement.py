"""Which pod is replaced when targets of the balancer are unhealthy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class UnhealthyTarget:
    """A registered target that fails its health checks; `reason` is the balancer's code and description."""

    address: str
    port: int
    reason: str

    @property
    def words(self) -> str:
        """Where, and why."""
        return f"{self.address}:{self.port} ({self.reason})"


@dataclass(frozen=True, slots=True)
class PodAddress:
    """A pod and where it is reached: `ports` as seen from outside; none if it declares none, which is any."""

    name: str
    uid: str
    address: str | None
    ports: tuple[int, ...]
    ready: bool
    terminating: bool

    def is_at(self, target: UnhealthyTarget) -> bool:
        """Whether it is what the balancer calls `target`."""
        return self.address == target.address and (not self.ports or target.port in self.ports)


@dataclass(frozen=True, slots=True)
class Replacement:
    """The pod to replace and the target that it is; `pod` is None if there is nothing to do, for the reason `why`.

    `going` says that this is so because every such pod is being replaced already.
    """

    pod: PodAddress | None
    target: UnhealthyTarget | None
    why: str
    going: bool = False

    @property
    def facts(self) -> dict[str, Any]:
        """What is kept of it, JSON-ready."""
        if self.pod is None or self.target is None:
            return {}
        return {"pod": self.pod.name, "uid": self.pod.uid, "target": self.target.words}


def choose_pod(targets: Sequence[UnhealthyTarget], pods: Sequence[PodAddress]) -> Replacement:
    """One pod, of those that are behind an unhealthy target: one that is not ready before one that is, then by name.

    A target that no pod has is the platform's affair: replacing some pod would not help it.
    """
    if not targets:
        return Replacement(None, None, "the balancer sees no unhealthy target now")
    found = [(pod, target) for target in targets for pod in pods if pod.is_at(target)]
    if not found:
        return Replacement(None, None, f"no pod has the address of {', '.join(target.words for target in targets)}")
    staying = sorted(
        (each for each in found if not each[0].terminating), key=lambda each: (each[0].ready, each[0].name)
    )
    if not staying:
        names = ", ".join(sorted({pod.name for pod, _ in found}))
        return Replacement(None, None, f"{names} is being replaced already", going=True)
    pod, target = staying[0]
    return Replacement(pod, target, f"{pod.name} is at {target.words}")
