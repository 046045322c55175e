"""Which sessions and queries of the service's database a repair may end.

Only those of the service's own role are ever candidates; the caller passes these alone. Ages are in seconds, as the
database measured them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from opskit.clock import moment_of, timestamp

IDLE = "idle"
IN_TRANSACTION = ("idle in transaction", "idle in transaction (aborted)")
ACTIVE = "active"
# What pg_stat_activity calls waiting for another session's lock.
LOCK = "Lock"


@dataclass(frozen=True, slots=True)
class SessionState:
    """One session: what it does and for how long. `state_seconds` since the state changed, `query_seconds` since the
    present (or last) statement began. `wait` is `<type>:<event>`, None while it runs.
    """

    pid: int
    started: datetime
    state: str
    changed: datetime
    state_seconds: float
    query_began: datetime | None = None
    query_seconds: float = 0.0
    wait: str | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """A session as it was seen: it is ended only if nothing about it has changed since.

    `since` is when it fell idle, or when its query began.
    """

    pid: int
    started: datetime
    since: datetime
    seconds: float
    state: str

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "pid": self.pid,
            "started": timestamp(self.started),
            "since": timestamp(self.since),
            "seconds": round(self.seconds, 1),
            "state": self.state,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        return cls(
            pid=int(data["pid"]),
            started=moment_of(data["started"]),
            since=moment_of(data["since"]),
            seconds=float(data["seconds"]),
            state=str(data["state"]),
        )


def choose_sessions(
    sessions: Sequence[SessionState],
    *,
    idle_in_transaction_seconds: float,
    idle_seconds: float,
    at_most: int,
    keep: int,
) -> tuple[Target, ...]:
    """The sessions to end: those idle in a transaction for too long, then the long idle ones, the oldest first.

    Never an active one, never more than `at_most`, and never so many that fewer than `keep` of them all remain.
    """
    stuck = [s for s in sessions if s.state in IN_TRANSACTION and s.state_seconds > idle_in_transaction_seconds]
    idle = [s for s in sessions if s.state == IDLE and s.state_seconds > idle_seconds]
    ordered = [*_oldest_first(stuck), *_oldest_first(idle)]
    allowed = max(0, min(at_most, len(sessions) - keep))
    return tuple(Target(s.pid, s.started, s.changed, s.state_seconds, s.state) for s in ordered[:allowed])


def choose_queries(sessions: Sequence[SessionState], *, longer_than_seconds: float, at_most: int) -> tuple[Target, ...]:
    """The queries to end: those that have run for longer than the bound, the oldest first, `at_most` of them.

    Those that only wait for another's lock come last, for they use no processor.
    """
    long = [
        (s, s.query_began)
        for s in sessions
        if s.state == ACTIVE and s.query_began is not None and s.query_seconds > longer_than_seconds
    ]
    long.sort(key=lambda found: (_waits_for_lock(found[0]), -found[0].query_seconds, found[0].pid))
    return tuple(Target(s.pid, s.started, began, s.query_seconds, s.state) for s, began in long[: max(0, at_most)])


def _oldest_first(sessions: Sequence[SessionState]) -> list[SessionState]:
    return sorted(sessions, key=lambda s: (-s.state_seconds, s.pid))


def _waits_for_lock(session: SessionState) -> bool:
    return (session.wait or "").partition(":")[0] == LOCK
