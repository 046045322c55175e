"""The DB snapshots that are there, as retention sees them; kept from run to run, so that not every run lists them.

RDS lists 100 snapshots a call: 240 calls for a thousand databases with a day of hours, where a run needs two thousand
in all. So a run leaves what it knows to the next one, which lists everything anew once a day, when little is known,
or when the run before did not leave anything. What is about to be deleted is always looked at again first.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from opskit.adapters.cache_state import CacheSnapshot
from opskit.adapters.database_state import DatabaseSnapshot
from opskit.clock import moment_of, timestamp
from opskit.decisions.retention import Held, State
from opskit.decisions.snapshot import hour_tagged
from opskit.decisions.status import CACHE_SNAPSHOT, DATABASE_SNAPSHOT

LISTED_EVERY = timedelta(hours=24)
# Five calls: then it is not worth remembering.
FEW = 500

# Rows hold the hour as whole hours of the epoch: there are tens of thousands of them.
_HOUR_SECONDS = 3600
_IN_USE = frozenset({"creating", "copying", "restoring", "backing-up"})


@dataclass(frozen=True, slots=True)
class Holdings:
    """Our DB snapshots, how many `others` the account has, and when all of that was last listed (aware)."""

    listed_at: datetime
    held: tuple[Held, ...] = ()
    others: int = 0

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, one short row for each snapshot."""
        rows = [
            [one.name, one.resource, int(one.hour.timestamp()) // _HOUR_SECONDS, one.state.value] for one in self.held
        ]
        return {"listed_at": timestamp(self.listed_at), "others": self.others, "held": rows}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        held = tuple(
            Held(name, resource, datetime.fromtimestamp(hour * _HOUR_SECONDS, UTC), State(state))
            for name, resource, hour, state in data["held"]
        )
        return cls(moment_of(data["listed_at"]), held, int(data["others"]))

    def enough(self, now: datetime) -> bool:
        """Whether a run may go by these instead of a listing."""
        return len(self.held) > FEW and now - self.listed_at < LISTED_EVERY

    def after(self, taken: Iterable[Held], gone: Iterable[str]) -> Self:
        """These, with what a run has taken and without what is gone."""
        left = {one.name: one for one in self.held} | {one.name: one for one in taken}
        for name in gone:
            left.pop(name, None)
        return replace(self, held=tuple(left.values()))


def database_holdings(
    snapshots: Iterable[DatabaseSnapshot], service: str, environment: str, listed_at: datetime
) -> Holdings:
    """From a whole listing: what our tags say is ours, the rest counted."""
    held, others = [], 0
    for snapshot in snapshots:
        one = held_database(snapshot, service, environment)
        if one is None:
            others += 1
        else:
            held.append(one)
    return Holdings(listed_at, tuple(held), others)


def held_database(snapshot: DatabaseSnapshot, service: str, environment: str) -> Held | None:
    """The snapshot as retention sees it; None if its tags do not say that it is ours."""
    tagged = hour_tagged(snapshot.tags, service, environment)
    if tagged is None:
        return None
    return Held(snapshot.name, *tagged, _state(snapshot.status, whole=snapshot.status in DATABASE_SNAPSHOT.good))


def held_caches(snapshots: Iterable[CacheSnapshot], service: str, environment: str) -> tuple[Held, ...]:
    """Our cache snapshots as retention sees them."""
    found = ((snapshot, hour_tagged(snapshot.tags, service, environment)) for snapshot in snapshots)
    return tuple(
        Held(one.name, *tagged, _state(one.status, whole=one.status in CACHE_SNAPSHOT.good))
        for one, tagged in found
        if tagged
    )


def failed_remains(
    snapshots: Iterable[DatabaseSnapshot | CacheSnapshot], wanted: Iterable[str], service: str, environment: str
) -> tuple[str, ...]:
    """Of `wanted` names, those under which a snapshot of ours failed: nothing is in it, and the name is needed."""
    names = set(wanted)
    return tuple(
        snapshot.name
        for snapshot in snapshots
        if snapshot.name in names
        and snapshot.status in ("failed", "incompatible-restore", "incompatible-parameters")
        and hour_tagged(snapshot.tags, service, environment)
    )


def _state(status: str, *, whole: bool) -> State:
    if status in _IN_USE:
        return State.IN_PROGRESS
    return State.VERIFIED if whole else State.UNVERIFIED
