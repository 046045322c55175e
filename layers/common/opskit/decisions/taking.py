"""One resource's snapshot in a run: from waiting for its source to verified, failed or skipped.

A part is carried from look to look. What happens to one never concerns another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from opskit.adapters.cache_state import CacheSnapshot
from opskit.adapters.database_state import DatabaseSnapshot
from opskit.clock import moment_of, timestamp
from opskit.decisions.manifest import Component, Kind, Status
from opskit.decisions.status import CACHE, CACHE_SNAPSHOT, DATABASE, DATABASE_SNAPSHOT, judge_source, judge_status
from opskit.verdict import Outcome

GIB = 2**30


class Phase(StrEnum):
    """How far a part has got. EXPORTED: a cache's dump is in the bucket, and its bytes are still to be read."""

    WAITING = "WAITING"
    TAKEN = "TAKEN"
    EXPORTING = "EXPORTING"
    EXPORTED = "EXPORTED"
    VERIFIED = "VERIFIED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"


PENDING = frozenset({Phase.WAITING, Phase.TAKEN, Phase.EXPORTING})


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds for which a source that is not available is waited for, and a snapshot that was begun."""

    source: float
    snapshot: float


@dataclass(frozen=True, slots=True)
class Part:
    """The snapshot `snapshot` of `resource`; `since` (Unix seconds) is when it came into its phase.

    `status` and `replica_of` are the source's, `encrypted` says that its snapshot must be. Of a cache: the `node` that
    is backed up (None: the group) and how many `shards` it has. `exports` are objects: key, bytes, later SHA-256.
    """

    kind: Kind
    resource: str
    snapshot: str
    since: float
    phase: Phase = Phase.WAITING
    reason: str | None = None
    status: str = "available"
    replica_of: str | None = None
    encrypted: bool = False
    node: str | None = None
    shards: int = 1
    taken_at: datetime | None = None
    bytes: int = 0
    exports: tuple[dict[str, Any], ...] = ()

    @property
    def pending(self) -> bool:
        """Whether it is to be looked at again."""
        return self.phase in PENDING

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; what is as by default is left out, for a fleet has a thousand of them."""
        found = {
            name: value
            for name, field in type(self).__dataclass_fields__.items()
            if (value := getattr(self, name)) != field.default
        }
        if self.taken_at:
            found["taken_at"] = timestamp(self.taken_at)
        if self.exports:
            found["exports"] = list(self.exports)
        return found

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        moment = data.get("taken_at")
        return cls(
            **{
                **data,
                "kind": Kind(data["kind"]),
                "phase": Phase(data.get("phase", Phase.WAITING)),
                "taken_at": moment_of(moment) if moment else None,
                "exports": tuple(data.get("exports", ())),
            }
        )

    def moved(self, phase: Phase, now: datetime, reason: str | None = None, **changes: Any) -> Self:
        """This part, in `phase` from `now` on."""
        return replace(self, phase=phase, since=now.timestamp(), reason=reason, **changes)

    def waited(self, now: datetime) -> float:
        """Seconds in its phase."""
        return now.timestamp() - self.since

    def component(self) -> Component:
        """What the manifest says of it; one that is still pending failed."""
        status = {Phase.VERIFIED: Status.VERIFIED, Phase.SKIPPED: Status.SKIPPED}.get(self.phase, Status.FAILED)
        reason = self.reason or (None if status is Status.VERIFIED else f"it was still {self.phase} at the end")
        return Component(
            kind=self.kind,
            resource=self.resource,
            status=status,
            reason=reason,
            id=None if status is Status.SKIPPED else self.snapshot,
            taken_at=self.taken_at,
            bytes=self.bytes or None,
            sha256=self.exports[0].get("sha256") if len(self.exports) == 1 else None,
            contents={"exports": list(self.exports)} if self.exports else {},
        )


def judge_waiting(part: Part, now: datetime, limits: Limits) -> tuple[Part, bool]:
    """The part after a look at its source (`part.status`), and whether its snapshot is to be taken now."""
    statuses = DATABASE if part.kind is Kind.DATABASE else CACHE
    verdict = judge_source(
        statuses,
        part.resource,
        part.status,
        waited_seconds=part.waited(now),
        limit_seconds=limits.source,
        replica_of=part.replica_of,
    )
    if verdict.outcome is Outcome.FAIL:
        return part.moved(Phase.SKIPPED, now, verdict.reason), False
    return replace(part, reason=verdict.reason), verdict.outcome is Outcome.PASS


def put_off(part: Part, reason: str, now: datetime, limits: Limits) -> Part:
    """The part after AWS refused for now: it waits on, until its source's time is over."""
    if part.waited(now) >= limits.source:
        return part.moved(Phase.FAILED, now, f"refused for {part.waited(now):.0f} s: {reason}")
    return replace(part, reason=reason)


def judge_database_snapshot(part: Part, found: DatabaseSnapshot | None, now: datetime, limits: Limits) -> Part:
    """The part after a look at its snapshot: VERIFIED only if it is whole, of this database, and encrypted as that."""
    verdict = judge_status(
        DATABASE_SNAPSHOT,
        part.snapshot,
        found.status if found else None,
        waited_seconds=part.waited(now),
        limit_seconds=limits.snapshot,
    )
    if verdict.outcome is Outcome.FAIL:
        return part.moved(Phase.FAILED, now, verdict.reason)
    if verdict.outcome is not Outcome.PASS or found is None:
        return part
    wrong = _doubts(part, found)
    facts = {"taken_at": found.taken_at, "bytes": found.allocated_gib * GIB}
    return part.moved(Phase.FAILED if wrong else Phase.VERIFIED, now, wrong, **facts)


def judge_cache_snapshot(part: Part, found: CacheSnapshot | None, now: datetime, limits: Limits) -> Part:
    """The part after a look at its snapshot: still TAKEN, FAILED, or EXPORTING once it can be exported."""
    verdict = judge_status(
        CACHE_SNAPSHOT,
        part.snapshot,
        found.status if found else None,
        waited_seconds=part.waited(now),
        limit_seconds=limits.snapshot,
    )
    if verdict.outcome is Outcome.FAIL:
        return part.moved(Phase.FAILED, now, verdict.reason)
    if verdict.outcome is not Outcome.PASS or found is None:
        return part
    return part.moved(Phase.EXPORTING, now, taken_at=found.taken_at, bytes=found.bytes)


def judge_export(part: Part, status: str, objects: Sequence[dict[str, Any]], now: datetime, limits: Limits) -> Part:
    """The part after a look into the bucket: EXPORTED once each shard's object is there and none is being written."""
    if len(objects) >= part.shards and status == "available":
        return part.moved(Phase.EXPORTED, now, exports=tuple(objects))
    if part.waited(now) >= limits.snapshot:
        reason = f"{len(objects)} of {part.shards} objects were exported after {part.waited(now):.0f} s"
        return part.moved(Phase.FAILED, now, reason)
    return part


def _doubts(part: Part, found: DatabaseSnapshot) -> str | None:
    wrong = []
    if found.database != part.resource:
        wrong.append(f"it is of {found.database}")
    if found.allocated_gib <= 0:
        wrong.append("it has no size")
    if part.encrypted and not found.encrypted:
        wrong.append("it is not encrypted, and its source is")
    if found.taken_at is None:
        wrong.append("it has no moment")
    return "; ".join(wrong) or None
