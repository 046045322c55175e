"""The way back from a restore that replaced: its swaps the other way, while what it replaced is still kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from opskit.decisions.manifest import Kind
from opskit.decisions.status import CACHE, DATABASE
from opskit.decisions.swaps import Swap, swaps_of
from opskit.ledger import OperationRecord


@dataclass(frozen=True, slots=True)
class Former:
    """A restore (or an undo) that ended: what it cut over, the other way, and the tags of what was live before."""

    name: str
    swaps_back: tuple[Swap, ...] = ()
    tags: Mapping[str, Mapping[str, str]] = field(default_factory=dict, hash=False)
    problem: str | None = None

    @classmethod
    def of(cls, name: str, record: OperationRecord | None) -> Self:
        """From its record in the ledger: `facts.swapped` says what is cut over for good, `facts.tags` the tags."""
        if record is None:
            return cls(
                name, problem=f"there is no restore {name} on record; `ops history --workflow restore` lists them"
            )
        swapped: list[dict[str, Any]] = record.facts.get("swapped") or []
        if not swapped:
            ended = f"ended {record.outcome}" if record.outcome else "has not ended"
            return cls(name, problem=f"{name} {ended} without having replaced anything, so there is nothing to undo")
        back = swaps_of([swap.back.as_dict() for swap in swaps_of(swapped)])
        return cls(name, back, record.facts.get("tags") or {})


@dataclass(frozen=True, slots=True)
class Undo:
    """The swaps of an undo, or why there are none."""

    swaps: tuple[Swap, ...]
    refusals: tuple[str, ...]

    @property
    def reason(self) -> str:
        """For people."""
        return "; ".join(self.refusals or [swap.words for swap in self.swaps])


def plan_undo(
    former: Former,
    *,
    live: Mapping[Kind, str],
    status: Mapping[Kind, str | None],
    endpoints: Mapping[Kind, str | None],
) -> Undo:
    """The way back, if every part of it is free.

    `live`: the endpoint that the service uses now. `status` and `endpoints`: of what was replaced; None if it is gone.
    """
    refusals = [former.problem] if former.problem else []
    for swap in former.swaps_back:
        good = (DATABASE if swap.kind is Kind.DATABASE else CACHE).good
        found = status[swap.kind]
        if live[swap.kind] != swap.from_endpoint:
            refusals.append(
                f"the service's {swap.kind} is {live[swap.kind]} now, no longer the {swap.from_endpoint} that "
                f"{former.name} made live: undo what came after it first"
            )
        elif found in (None, "deleting"):
            refusals.append(f"{swap.to_name}, which {former.name} replaced, is gone: restore to a moment instead")
        elif found not in good:
            refusals.append(f"{swap.to_name} is {found}: it must be available first")
        elif endpoints[swap.kind] != swap.to_endpoint:
            refusals.append(f"{swap.to_name} is at {endpoints[swap.kind]} now, not at {swap.to_endpoint}")
    return Undo((), tuple(refusals)) if refusals else Undo(former.swaps_back, ())
