"""The longest chain of engine operations in a recovery, which nothing can shorten, and what came on top of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

_READS = ("Describe", "List", "Get")
_NAMES = ("TargetDBInstanceIdentifier", "DBInstanceIdentifier", "ReplicationGroupId")


@dataclass(frozen=True, slots=True)
class Look:
    """A resource, `rds:<name>` or `elasticache:<name>`, as it was seen at a moment: whether it was `ready`."""

    resource: str
    at: datetime
    ready: bool


@dataclass(frozen=True, slots=True)
class Operation:
    """Something that an engine did for a call: `ended` when it was last seen at it."""

    action: str
    resource: str
    began: datetime
    ended: datetime

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.ended - self.began).total_seconds()


@dataclass(frozen=True, slots=True)
class Chain:
    """Operations on one resource, in order; `seconds` in which any of them was under way."""

    resource: str
    seconds: float
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class Overhead:
    """What a recovery took on top of its path, in seconds here.

    `waited`: in waits that are scaled. `late`: of these, the ones after the engines had ended, in which nobody looked.
    `worked`: the rest, which this machine does at its own speed, and which therefore counts `scale` times.
    """

    seconds: float
    waited: float
    late: float

    @property
    def worked(self) -> float:
        """What is not waiting."""
        return max(0.0, self.seconds - self.waited)


def operations_of(calls: Iterable[Mapping[str, Any]], looks: Sequence[Look], until: datetime) -> tuple[Operation, ...]:
    """The changes of databases and caches among `calls` (as the platform's journal has them) before `until`.

    Each ends with the last look at which its resource was not ready: a little too early, never too late.
    """
    found = []
    for call in calls:
        service, _, operation = call["action"].partition(":")
        began = datetime.fromisoformat(call["time"])
        if service not in ("rds", "elasticache") or operation.startswith(_READS) or call["error"] or began >= until:
            continue
        parameters = call.get("parameters") or {}
        name = next((str(parameters[name]) for name in _NAMES if name in parameters), "")
        resource = f"{service}:{name}"
        at_it = [look.at for look in _first_stretch(resource, looks, began) if look.at < until]
        found.append(Operation(call["action"], resource, began, max(at_it, default=began)))
    return tuple(found)


def _first_stretch(resource: str, looks: Sequence[Look], began: datetime) -> list[Look]:
    """The looks at which the resource was not ready, from `began` to the first at which it was."""
    stretch = []
    for look in looks:
        if look.resource == resource and look.at >= began:
            if look.ready:
                break
            stretch.append(look)
    return stretch


def longest_chain(operations: Sequence[Operation]) -> Chain:
    """The resource on which there was work for the longest; raises ValueError if there was none at all."""
    if not operations:
        raise ValueError("no engine did anything")
    chains = []
    for resource in {operation.resource for operation in operations}:
        own = sorted((one for one in operations if one.resource == resource), key=lambda one: one.began)
        seconds, reached = 0.0, own[0].began
        for one in own:
            seconds += max(0.0, (one.ended - max(one.began, reached)).total_seconds())
            reached = max(reached, one.ended)
        chains.append(Chain(resource, seconds, tuple(own)))
    return max(chains, key=lambda chain: chain.seconds)


def reckon(
    path_seconds: float,
    recovery_seconds: float,
    overhead: Overhead,
    *,
    scale: float,
    poll_seconds: float,
    cold_starts_seconds: float,
) -> dict[str, Any]:
    """The recovery on production's clock, and what is left of the ratio's truth when the scale is taken out of it.

    `path_seconds`, `recovery_seconds`, `overhead` and `poll_seconds` are as measured here. `as_measured` has all of it
    `scale` times. `as_production` counts the machine's work once, supposes that the copies are seen to be there as
    late as can be, and adds the functions' cold starts.
    """
    path = path_seconds * scale
    latest = overhead.waited - overhead.late + poll_seconds
    expected = path + latest * scale + overhead.worked + cold_starts_seconds
    return {
        "as_measured": _compared(recovery_seconds * scale, path),
        "as_production": _compared(expected, path),
        "path_seconds": round(path, 1),
    }


def _compared(seconds: float, path_seconds: float) -> dict[str, float]:
    if path_seconds <= 0:
        raise ValueError("the path has no length: nothing was measured")
    return {"recovery_seconds": round(seconds, 1), "ratio": round(seconds / path_seconds, 4)}
