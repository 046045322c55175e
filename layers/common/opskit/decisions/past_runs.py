"""What the records of earlier snapshot runs mean for the one that begins."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from opskit.clock import moment_of, timestamp
from opskit.ledger import OperationRecord

COMPLETE = "COMPLETE"
# Ends at which nothing had been taken or deleted.
_IDLE = frozenset({"DUPLICATE", "REFUSED"})


@dataclass(frozen=True, slots=True)
class PastRuns:
    """Drawn from the last records.

    Attributes:
        done: the run that has completed this hour already, or None.
        tried: whether another run has begun this hour, so that its snapshots are there.
        holdings: what the run before left about the snapshots that are there; None if it did not.
        last_complete: where the last complete manifest is (key, sha256), or None.
        newest_cache: the newest verified backup of the service's cache, as it was recorded, or None.
        manifests: where those of this hour and the hours just before are, newest first.
    """

    done: OperationRecord | None = None
    tried: bool = False
    holdings: Mapping[str, Any] | None = None
    last_complete: Mapping[str, Any] | None = None
    newest_cache: Mapping[str, Any] | None = None
    manifests: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def of(cls, records: Sequence[OperationRecord], hour: datetime, execution: str, *, recent: timedelta) -> Self:
        """From `records` (newest first), for a run of `hour`; `execution` is its own name."""
        acted = [one for one in records if one.execution_name != execution and one.outcome not in _IDLE]
        same = [one for one in acted if one.facts.get("hour") == timestamp(hour)]
        known = [one for one in acted if _between(one, hour - recent, hour) and one.facts.get("manifest")]
        return cls(
            done=next((one for one in same if one.outcome == COMPLETE), None),
            tried=bool(same),
            holdings=acted[0].facts.get("holdings") if acted else None,
            last_complete=_newest(acted, "last_complete"),
            newest_cache=_newest(acted, "newest_cache"),
            manifests=tuple(one.facts["manifest"] for one in known),
        )


def names_in_use(records: Iterable[OperationRecord]) -> dict[str, str]:
    """Every text in the facts of operations that still run, with which that is: whatever they name must stay."""
    return {
        text: f"the {record.workflow} {record.execution_name} uses it"
        for record in records
        if record.outcome is None
        for text in _texts(record.facts)
    }


def _between(record: OperationRecord, earliest: datetime, latest: datetime) -> bool:
    try:
        return earliest <= moment_of(str(record.facts.get("hour"))) <= latest
    except ValueError:
        return False


def _newest(records: Iterable[OperationRecord], fact: str) -> Mapping[str, Any] | None:
    return next((found for record in records if (found := record.facts.get(fact))), None)


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
