"""Which action of a runbook applies now, and what it would do, in words."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

from opskit.clock import timestamp
from opskit.decisions.capacity import CacheNodes, NodeGroup, Pods, larger_nodes, more_nodes, more_pods, more_replicas
from opskit.decisions.runbook import Action, Runbook


@dataclass(frozen=True, slots=True)
class LastRelease:
    """What made the live version live: `operation` is `release` or `rollback`, `previous` what was live before it."""

    name: str
    operation: str
    finished_at: datetime
    image: str
    previous: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What the choice rests on, as it was read at `now`; each is None where it was not read.

    A fact that was not read rules no action out but the rollback: each action looks for itself before it changes
    anything, and does nothing beyond its bounds.
    """

    now: datetime
    last_release: LastRelease | None = None
    node_group: NodeGroup | None = None
    cache: CacheNodes | None = None
    pods: Pods | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be done: the action, its bounds, on which resource, and that in `words` for a person."""

    action: str
    bounds: dict[str, Any]
    approval: bool
    reversible: bool
    resource_arn: str
    words: str

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`; other members are left out."""
        return cls(**{name: data[name] for name in cls.__dataclass_fields__})

    @property
    def digest(self) -> str:
        """SHA-256 of the plan: what a person approved is what is done."""
        text = json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Chosen:
    """The plan, or None if no action applies; and why, with each action that was passed over."""

    plan: Plan | None
    reason: str
    passed_over: tuple[str, ...] = ()


def choose(runbook: Runbook, resource_arn: str, facts: Facts) -> Chosen:
    """The first action of the runbook that applies."""
    passed_over: list[str] = []
    for action in runbook.actions:
        refusal, words = _RULES[action.name](action, facts)
        if refusal is None:
            plan = Plan(action.name, action.bounds, action.approval, action.reversible, resource_arn, words)
            return Chosen(plan, words, tuple(passed_over))
        passed_over.append(f"{action.name}: {refusal}")
    return Chosen(None, f"no action applies: {'; '.join(passed_over)}", tuple(passed_over))


# Why the action does not apply, or None; and what it would do.
_Answer = tuple[str | None, str]


def _node_group(action: Action, facts: Facts) -> _Answer:
    step = action.bounds["step"]
    if facts.node_group is None:
        return None, f"raise the node group by {step}, within its own maximum"
    more = more_nodes(facts.node_group, step)
    return (None if more.possible else more.reason), f"raise the {more.reason}"


def _queries(action: Action, _: Facts) -> _Answer:
    bounds = action.bounds
    return None, (
        f"record what runs; cancel at most {bounds['at_most']} queries of the service that run for more than "
        f"{bounds['longer_than_seconds']:g} s, the longest first"
    )


def _sessions(action: Action, _: Facts) -> _Answer:
    bounds = action.bounds
    return None, (
        f"end at most {bounds['at_most']} sessions of the service that are idle in a transaction for more than "
        f"{bounds['idle_in_transaction_seconds']:g} s or idle for more than {bounds['idle_seconds']:g} s, "
        f"the oldest first; keep {bounds['keep']}, and {bounds['keep_of_client']} idle ones of each client"
    )


def _replica(action: Action, facts: Facts) -> _Answer:
    if facts.cache is None:
        return None, f"add a replica to the cache, up to {action.bounds['at_most']}"
    more = more_replicas(facts.cache, action.bounds["at_most"])
    return (None if more.possible else more.reason), f"add a replica to the cache: {more.reason}"


def _resize(action: Action, facts: Facts) -> _Answer:
    if facts.cache is None:
        return None, f"give the cache larger nodes, the next of {', '.join(action.bounds['sizes'])}"
    more = larger_nodes(facts.cache, action.bounds["sizes"])
    return (None if more.possible else more.reason), f"give the cache larger nodes: {more.reason}"


def _rollback(action: Action, facts: Facts) -> _Answer:
    last, within = facts.last_release, action.bounds["within_seconds"]
    if last is None:
        return "no release is recorded", ""
    if last.operation != "release":
        return f"the live version came by a {last.operation} ({last.name})", ""
    if last.previous is None:
        return f"there is no version before {last.image}", ""
    age = (facts.now - last.finished_at).total_seconds()
    if age > within:
        return f"{last.name} finished {age:.0f} s ago, more than {within:g} s", ""
    return None, f"roll back {last.name}, finished {timestamp(last.finished_at)}: {last.image} to {last.previous}"


def _pods(action: Action, facts: Facts) -> _Answer:
    step, at_most = action.bounds["step"], action.bounds["at_most"]
    if facts.pods is None:
        return None, f"raise the service's pods by {step}, up to {at_most}"
    more = more_pods(facts.pods, step, at_most)
    return (None if more.possible else more.reason), f"raise the service's pods {more.reason}"


def _pod(action: Action, _: Facts) -> _Answer:
    age = action.bounds["older_than_seconds"]
    return None, f"replace one pod with an unhealthy target and older than {age:g} s, within the disruption budget"


_RULES: dict[str, Callable[[Action, Facts], _Answer]] = {
    "scale_node_group": _node_group,
    "end_queries": _queries,
    "end_sessions": _sessions,
    "add_cache_replica": _replica,
    "resize_cache": _resize,
    "roll_back_release": _rollback,
    "scale_service": _pods,
    "replace_pod": _pod,
}
ACTIONS = tuple(_RULES)
