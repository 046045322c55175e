"""The arithmetic of a rolling update: how many pods of each ReplicaSet there should be next. Pure.

https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#rolling-update-deployment, and its
implementation, pkg/controller/deployment/rolling.go
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counts:
    """A ReplicaSet in numbers: pods asked for, and pods available."""

    wanted: int
    available: int


def limits(replicas: int, max_surge: int | str, max_unavailable: int | str) -> tuple[int, int]:
    """(surge, unavailable) in pods: percentages round up and down; if both are 0, one may be unavailable."""
    surge = _pods(replicas, max_surge, up=True)
    unavailable = _pods(replicas, max_unavailable, up=False)
    return (surge, unavailable) if surge or unavailable else (0, 1)


def _pods(replicas: int, value: int | str, *, up: bool) -> int:
    if isinstance(value, int):
        return value
    share = replicas * int(value.removesuffix("%")) / 100
    return math.ceil(share) if up else math.floor(share)


def new_size(replicas: int, surge: int, new: Counts, old: list[Counts]) -> int:
    """How large the new ReplicaSet may be now."""
    if new.wanted >= replicas:
        return replicas
    room = replicas + surge - new.wanted - sum(each.wanted for each in old)
    return new.wanted + max(0, min(room, replicas - new.wanted))


def old_sizes(replicas: int, unavailable: int, new: Counts, old: list[Counts]) -> list[int]:
    """How large each old ReplicaSet, oldest first, should be now: unhealthy pods go before healthy ones."""
    sizes = [each.wanted for each in old]
    minimum = replicas - unavailable
    new_missing = new.wanted - new.available
    removable = new.wanted + sum(sizes) - minimum - new_missing
    if removable <= 0:
        return sizes
    for index, each in enumerate(old):
        unhealthy = min(max(0, each.wanted - each.available), removable)
        sizes[index] -= unhealthy
        removable -= unhealthy
    spare = new.available + sum(each.available for each in old) - minimum
    for index in range(len(old)):
        if spare <= 0:
            break
        gone = min(sizes[index], spare)
        sizes[index] -= gone
        spare -= gone
    return sizes
