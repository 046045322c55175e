"""Who does what in the service's database, and the end of what the service's role does too long.

As the role `ops_remedy` of `scripts/database-roles.sql`: it sees everybody's activity; what it ends, it ends by
functions that run as the service's role, so that PostgreSQL refuses it anybody else's sessions.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from opskit.adapters.sql import Session
from opskit.decisions.sessions import SessionState, Target
from opskit.decisions.statement_text import redacted
from opskit.errors import DatabaseError

REMEDY = "ops_remedy"

# Enough to see what goes on, and together a few KB: it travels with the execution.
MOST_SESSIONS = 8
MOST_STATEMENTS = 5
STATEMENT_LENGTH = 160
# What was told to end needs a moment to clear up.
LOOKS = 8
PAUSE_SECONDS = 0.5

# Whose sessions may be ended is said by who owns the function that ends them.
_SERVICE_ROLE = """
    SELECT proowner FROM pg_catalog.pg_proc
    WHERE oid = 'ops.end_session(integer, timestamptz, timestamptz)'::pg_catalog.regprocedure
"""
# Without parallel workers, which end with their leader. https://www.postgresql.org/docs/current/monitoring-stats.html
_SESSIONS = f"""
    SELECT pid, backend_start, state, state_change,
        greatest(0, extract(epoch FROM clock_timestamp() - state_change))::float8, query_start,
        coalesce(greatest(0, extract(epoch FROM clock_timestamp() - query_start)), 0)::float8,
        wait_event_type || ':' || wait_event
    FROM pg_catalog.pg_stat_activity
    WHERE backend_type = 'client backend' AND state IS NOT NULL AND usesysid = ({_SERVICE_ROLE})
    ORDER BY pid
"""  # noqa: S608 - of this module's own text
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


class DatabaseActivity:
    """The activity of the database that `session` is with; raises as `Session` does."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def sessions(self) -> tuple[SessionState, ...]:
        """Every session of the service's role, by process number.

        Raises DatabaseError if `scripts/database-roles.sql` has not been run since the functions came.
        """
        return tuple(SessionState(*row) for row in self._session.rows(_SESSIONS))

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

    def end_session(self, target: Target) -> bool:
        """End an idle session, if it is still as it was seen; whether it was told to end."""
        return self._call("SELECT ops.end_session(:pid, :started, :since)", target)

    def cancel_query(self, target: Target) -> bool:
        """Cancel a query, if it still runs; whether it was told so. Its session stays."""
        return self._call("SELECT ops.cancel_query(:pid, :started, :since)", target)

    def end_query(self, target: Target) -> bool:
        """End the session of a query, if that still runs; whether it was told so."""
        return self._call("SELECT ops.end_query(:pid, :started, :since)", target)

    def remaining(self, targets: Sequence[Target], *, queries: bool) -> tuple[Target, ...]:
        """Those of `targets` that are still there; with `queries`, whose query still runs."""
        there = {(s.pid, s.started): s for s in self.sessions()}

        def left(target: Target) -> bool:
            found = there.get((target.pid, target.started))
            if found is None or not queries:
                return found is not None
            return found.state == "active" and found.query_began == target.since

        return tuple(target for target in targets if left(target))

    def _call(self, statement: str, target: Target) -> bool:
        rows = self._session.rows(statement, pid=target.pid, started=target.started, since=target.since)
        return bool(rows[0][0])

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
    activity: DatabaseActivity,
    targets: Sequence[Target],
    *,
    queries: bool,
    looks: int = LOOKS,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[Target, ...]:
    """Those of `targets` that `remaining` still finds after up to `looks` looks, half a second apart."""
    left = tuple(targets)
    for look in range(looks):
        if look:
            sleep(PAUSE_SECONDS)
        left = activity.remaining(left, queries=queries)
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
