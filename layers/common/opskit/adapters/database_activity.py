"""Who does what in the service's database, and the end of what the service's role does too long.

As the role `ops_remedy` of `scripts/database-roles.sql`: it sees everybody's activity; what it ends, it ends by
functions that run as the service's role, so that PostgreSQL refuses it anybody else's sessions.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from opskit.adapters.sql import Session as Connection
from opskit.decisions.queries import ACTIVE, Query
from opskit.decisions.sessions import Session
from opskit.decisions.statement_text import redacted
from opskit.errors import DatabaseError

REMEDY = "ops_remedy"

T = TypeVar("T")

# Enough to see what goes on, and together a few KB: it travels with the execution.
MOST_SESSIONS = 8
MOST_STATEMENTS = 5
STATEMENT_LENGTH = 160
# What was told to end needs a moment to clear up.
LOOKS = 8
PAUSE_SECONDS = 0.5

# Whose sessions may be ended is said by who owns the function that ends them.
_SERVICE_ROLE = """
    SELECT pg_get_userbyid(proowner) FROM pg_catalog.pg_proc
    WHERE oid = 'ops.end_session(integer, timestamptz, timestamptz)'::pg_catalog.regprocedure
"""
# Parallel workers are no client backends: they end with their leader.
# https://www.postgresql.org/docs/15/monitoring-stats.html#MONITORING-PG-STAT-ACTIVITY-VIEW
_LOOK = """
    SELECT pid, backend_start, usename, datname, state, state_change, coalesce(application_name, ''), backend_type,
        coalesce(host(client_addr), ''), query_start, wait_event_type, coalesce(query, ''), clock_timestamp()
    FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend' ORDER BY pid
"""
_COUNTS = """
    SELECT coalesce(usename, 'system'), coalesce(state, 'none'), count(*) FROM pg_catalog.pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() GROUP BY 1, 2 ORDER BY 1, 2
"""
# Active ones first, then those that hold a transaction open; the longest first.
_DETAIL = """
    SELECT pid, coalesce(usename, 'system'), coalesce(application_name, ''), coalesce(state, 'none'),
        wait_event_type || ':' || wait_event,
        coalesce(extract(epoch FROM clock_timestamp() - state_change), 0)::float8,
        extract(epoch FROM clock_timestamp() - xact_start)::float8, pg_blocking_pids(pid), query
    FROM pg_catalog.pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
_BUSIEST = f"""
    {_DETAIL} AND state <> 'idle' ORDER BY state <> 'active', state_change LIMIT {MOST_SESSIONS}
"""
_BLOCKED = f"""
    {_DETAIL} AND wait_event_type = 'Lock' ORDER BY state_change LIMIT {MOST_SESSIONS}
"""
_EXTENSION = """
    SELECT quote_ident(nspname) FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
    WHERE extname = 'pg_stat_statements'
"""


@dataclass(frozen=True, slots=True)
class Look:
    """What there was at `now`, by the database's own clock."""

    now: datetime
    sessions: tuple[Session, ...]
    queries: tuple[Query, ...]


class DatabaseActivity:
    """The activity of the server that `session` is with; raises as `sql.Session` does."""

    def __init__(self, session: Connection) -> None:
        self._session = session

    def service_role(self) -> str:
        """The role whose sessions may be ended.

        Raises DatabaseError if `scripts/database-roles.sql` has not been run since it makes the functions for that.
        """
        return str(self._session.rows(_SERVICE_ROLE)[0][0])

    def look(self) -> Look:
        """All clients' sessions, and the queries of those that are active."""
        rows = self._session.rows(_LOOK)
        return Look(
            # There is always a row: this session's own.
            now=max(row[12] for row in rows),
            sessions=tuple(Session(*row[:9]) for row in rows),
            queries=tuple(
                Query(pid, began, role, database, state, wait, redacted(text, STATEMENT_LENGTH), kind)
                for pid, _, role, database, state, _, _, kind, _, began, wait, text, _ in rows
                if state == ACTIVE
            ),
        )

    def capture(self) -> dict[str, Any]:
        """What goes on now, JSON-ready and a few KB at most: a record for people.

        `sessions` are counts by role and state; `busiest` and `blocked` the longest of each with their statements,
        `blocked` with the process numbers that they wait for. `statements` are those that took most time in all since
        the statistics were reset; None with the reason in `statements_absent` where the database does not count them.
        """
        counts: dict[str, dict[str, int]] = {}
        for role, state, count in self._session.rows(_COUNTS):
            counts.setdefault(role, {})[state] = count
        statements, absent = self._statements()
        return {
            "sessions": counts,
            "busiest": [_described(row) for row in self._session.rows(_BUSIEST)],
            "blocked": [_described(row) for row in self._session.rows(_BLOCKED)],
            "statements": statements,
            "statements_absent": absent,
        }

    def end_session(self, pid: int, started: datetime, since: datetime) -> bool:
        """End the service's session that `started` then and does nothing `since` then; whether it was told to end."""
        return self._call("SELECT ops.end_session(:pid, :started, :since)", pid=pid, started=started, since=since)

    def cancel_query(self, pid: int, since: datetime) -> bool:
        """Cancel the service's query that runs `since` then; whether it was told so. Its session stays."""
        return self._call("SELECT ops.cancel_query(:pid, :since)", pid=pid, since=since)

    def end_query(self, pid: int, since: datetime) -> bool:
        """End the session of the service's query that runs `since` then; whether it was told so."""
        return self._call("SELECT ops.end_query(:pid, :since)", pid=pid, since=since)

    def _call(self, statement: str, **params: Any) -> bool:
        return bool(self._session.rows(statement, **params)[0][0])

    def _statements(self) -> tuple[list[dict[str, Any]] | None, str | None]:
        schema = self._session.rows(_EXTENSION)
        if not schema:
            return None, "the extension pg_stat_statements is not there"
        # The schema that holds the extension itself: a view of that name elsewhere could be anybody's.
        statement = f"""
            SELECT calls, total_exec_time, mean_exec_time, rows, query FROM {schema[0][0]}.pg_stat_statements
            WHERE dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
            ORDER BY total_exec_time DESC LIMIT {MOST_STATEMENTS}
        """  # noqa: S608 - quoted by quote_ident
        try:
            rows = self._session.rows(statement)
        except DatabaseError as error:
            return None, str(error)
        return [
            {
                "calls": int(calls),
                "total_ms": round(float(total), 1),
                "mean_ms": round(float(mean), 2),
                "rows": int(touched),
                "statement": redacted(text or "", STATEMENT_LENGTH),
            }
            for calls, total, mean, touched, text in rows
        ], None


def until_gone(
    there: Callable[[], set[T]], told: Iterable[T], *, looks: int = LOOKS, sleep: Callable[[float], None] = time.sleep
) -> set[T]:
    """Those of `told` that are still `there` after up to `looks` looks, half a second apart."""
    left = set(told)
    for look in range(looks):
        if look:
            sleep(PAUSE_SECONDS)
        left &= there()
        if not left:
            break
    return left


def _described(row: tuple[Any, ...]) -> dict[str, Any]:
    pid, role, application, state, wait, seconds, transaction, blockers, text = row
    return {
        "pid": pid,
        "role": role,
        "application": application[:40],
        "state": state,
        "wait": wait,
        "seconds": round(max(0.0, seconds), 1),
        "transaction_seconds": None if transaction is None else round(max(0.0, transaction), 1),
        "blocked_by": list(blockers or [])[:MOST_SESSIONS],
        "statement": redacted(text or "", STATEMENT_LENGTH),
    }
