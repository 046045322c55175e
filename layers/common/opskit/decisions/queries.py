"""Which queries may be cancelled: the service's own that run for too long, the longest first."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from opskit.clock import timestamp
from opskit.decisions.sessions import CLIENT

ACTIVE = "active"
# What waits for these uses no CPU: https://www.postgresql.org/docs/15/monitoring-stats.html#WAIT-EVENT-TABLE
NO_CPU = ("Lock", "Client", "Timeout")


@dataclass(frozen=True, slots=True)
class Query:
    """A row of pg_stat_activity. `pid` and `query_start` identify the query, `text` is its beginning, for people."""

    pid: int
    query_start: datetime | None
    role: str | None
    database: str | None
    state: str | None
    wait_event_type: str | None = None
    text: str = ""
    backend_type: str = CLIENT

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"query_start": timestamp(self.query_start) if self.query_start else None}


@dataclass(frozen=True, slots=True)
class QueryBounds:
    """The bounds of the action `end_queries`: from which age on, and how many at once."""

    longer_than_seconds: float
    at_most: int


@dataclass(frozen=True, slots=True)
class Cancellations:
    """The queries to cancel, in this order, and what this rests on."""

    queries: tuple[Query, ...]
    reason: str


def queries_to_end(
    queries: Sequence[Query], now: datetime, *, role: str, database: str, bounds: QueryBounds
) -> Cancellations:
    """The service's queries that run for longer than the bound and may be using CPU; the longest first.

    `role` and `database` are the service's; nobody else's query is ever among them. One that waits for a lock or its
    client uses no CPU, so that cancelling it would cost somebody an answer and help nobody. `now` is the database's
    own clock.
    """
    running = [
        one for one in queries if one.backend_type == CLIENT and one.state == ACTIVE and one.query_start is not None
    ]
    ours = [one for one in running if one.role == role and one.database == database]
    working = [one for one in ours if one.wait_event_type not in NO_CPU]
    old = [(one.query_start, one.pid, one) for one in working if _age(one, now) > bounds.longer_than_seconds]
    chosen = tuple(one for _, _, one in sorted(old, key=lambda item: (str(item[0]), item[1])))[: bounds.at_most]
    words = (
        f"{len(running)} queries run, {len(ours)} of {role}, of which {len(ours) - len(working)} only wait and "
        f"{len(old)} work for more than {bounds.longer_than_seconds:g} s; at most {bounds.at_most} are cancelled"
    )
    return Cancellations(chosen, words)


def _age(query: Query, now: datetime) -> float:
    return (now - query.query_start).total_seconds() if query.query_start else 0.0
