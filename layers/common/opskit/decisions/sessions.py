"""Which sessions of the database may be ended: idle ones of the service, those that are idle for longest first.

A pool keeps idle connections on purpose, and not every pool gives up those that it has not used for long. It cannot be
told from a leak by age, so of every client some idle sessions stay: as many as its pool may have.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from opskit.clock import timestamp

CLIENT = "client backend"
# The states in which a session does nothing, as pg_stat_activity calls them:
# https://www.postgresql.org/docs/15/monitoring-stats.html#MONITORING-PG-STAT-ACTIVITY-VIEW
IDLE = "idle"
IDLE_IN_TRANSACTION = ("idle in transaction", "idle in transaction (aborted)")


@dataclass(frozen=True, slots=True)
class Session:
    """A row of pg_stat_activity. `state_change`: since when it is in `state`. `pid` and `backend_start` identify it.

    `application` and `address` are those of the client; a pod has an address of its own.
    """

    pid: int
    backend_start: datetime
    role: str | None
    database: str | None
    state: str | None
    state_change: datetime | None
    application: str = ""
    backend_type: str = CLIENT
    address: str = ""

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {
            "backend_start": timestamp(self.backend_start),
            "state_change": timestamp(self.state_change) if self.state_change else None,
        }


@dataclass(frozen=True, slots=True)
class SessionBounds:
    """The bounds of the action `end_sessions`: from which age on, how many at once, how many of the service stay.

    `keep` stay in all, and of every client those `keep_of_client` idle ones that it used last: its pool.
    """

    idle_in_transaction_seconds: float
    idle_seconds: float
    at_most: int
    keep: int
    keep_of_client: int


@dataclass(frozen=True, slots=True)
class Endings:
    """The sessions to end, in this order; how many the service has, and others have; and what this rests on."""

    sessions: tuple[Session, ...]
    of_service: int
    of_others: int
    reason: str


def sessions_to_end(
    sessions: Sequence[Session], now: datetime, *, role: str, database: str, bounds: SessionBounds
) -> Endings:
    """The service's sessions that idle for longer than the bounds, those in a transaction first, the oldest first.

    `role` and `database` are the service's; a session of anybody else, or one that works, is never among them, and
    `bounds.keep` of the service's are left, and `bounds.keep_of_client` of each of its clients. One that is idle in a
    transaction is of no use to a pool either. `now` is the database's own clock, to which `state_change` belongs.
    """
    clients = [one for one in sessions if one.backend_type == CLIENT]
    ours = [one for one in clients if one.role == role and one.database == database]
    in_transaction = _idle(ours, IDLE_IN_TRANSACTION, now, bounds.idle_in_transaction_seconds)
    pooled = {one.pid for one in _pooled(ours, bounds.keep_of_client)}
    idle = [one for one in _idle(ours, (IDLE,), now, bounds.idle_seconds) if one.pid not in pooled]
    room = max(0, min(bounds.at_most, len(ours) - bounds.keep))
    chosen = (*in_transaction, *idle)[:room]
    others = len(clients) - len(ours)
    words = (
        f"{len(ours)} sessions of {role}: {len(in_transaction)} idle in a transaction for too long, {len(idle)} idle"
    )
    words = f"{words} for too long; at most {bounds.at_most} are ended, {bounds.keep} kept"
    words = f"{words}, of each client {bounds.keep_of_client}; {others} of others"
    return Endings(chosen, len(ours), others, words)


def _pooled(sessions: Sequence[Session], each: int) -> Iterator[Session]:
    """Of every client the idle sessions that it used last."""
    kept: Counter[tuple[str, str]] = Counter()
    idle = [(one.state_change, one.pid, one) for one in sessions if one.state == IDLE and one.state_change is not None]
    for _, _, one in sorted(idle, key=lambda item: item[:2], reverse=True):
        client = (one.application, one.address)
        if kept[client] < each:
            kept[client] += 1
            yield one


def _idle(sessions: Sequence[Session], states: Sequence[str], now: datetime, seconds: float) -> list[Session]:
    found = [
        (one.state_change, one.pid, one)
        for one in sessions
        if one.state in states and one.state_change is not None and (now - one.state_change).total_seconds() >= seconds
    ]
    return [one for _, _, one in sorted(found, key=lambda item: item[:2])]
