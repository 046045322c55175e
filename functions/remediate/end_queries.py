"""Remediate: the service's own queries that run for too long are cancelled, and ended if they do not heed that."""

from datetime import datetime
from typing import Any

from opskit.acting import acted, decided, refused
from opskit.adapters.database_activity import REMEDY, DatabaseActivity, until_gone
from opskit.adapters.service_database import live_endpoint, open_database
from opskit.clock import moment_of
from opskit.decisions.queries import QueryBounds, queries_to_end
from opskit.step import Run, step

CONNECT_SECONDS = 5
STATEMENT_SECONDS = 10


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Cancel queries of the service's role within the bounds, after a record of what went on in the database.

    One that still runs after a few seconds loses its session: it may be a client that does not heed a cancellation.
    Safe to repeat: every attempt is about the queries that were announced first. Not done where no query exceeds the
    bounds; the record says then what there is.

    Raises:
        LockLostError: another execution has taken the lock.
        UnavailableError: the database cannot be reached.
        DatabaseError: it refused; `scripts/database-roles.sql` may have to be run again.
    """
    lock = run.hold(event)
    given = event["plan"]["bounds"]
    bounds = QueryBounds(float(given["longer_than_seconds"]), int(given["at_most"]))
    with open_database(
        run.platform,
        live_endpoint(run.platform),
        REMEDY,
        timeout_seconds=CONNECT_SECONDS,
        statement_seconds=STATEMENT_SECONDS,
    ) as session:
        activity = DatabaseActivity(session)
        capture, role = activity.capture(), activity.service_role()

        def choose() -> dict[str, Any] | str:
            look = activity.look()
            found = queries_to_end(
                look.queries, look.now, role=role, database=run.platform.database_name, bounds=bounds
            )
            if not found.queries:
                return f"no query may be ended: {found.reason}"
            return {"action": "end_queries", "why": found.reason, "chosen": [one.as_dict() for one in found.queries]}

        facts = decided(run, lock, choose)
        if isinstance(facts, str):
            return refused(facts, capture=capture)
        told = {(one["pid"], moment_of(one["query_start"])) for one in facts["chosen"]}

        def there() -> set[tuple[int, datetime]]:
            return {(one.pid, one.query_start) for one in activity.look().queries if one.query_start}

        for pid, since in told:
            activity.cancel_query(pid, since)
        heedless = until_gone(there, told)
        for pid, since in heedless:
            activity.end_query(pid, since)
        left = until_gone(there, heedless)
    cancelled, ended = len(told) - len(heedless), len(heedless) - len(left)
    result = {"cancelled": cancelled, "sessions_ended": ended, "left": len(left), "why": facts["why"]}
    if not cancelled + ended:
        return refused(f"{len(left)} queries were told to end and go on", result, capture)
    return acted(f"{cancelled} queries of {role} were cancelled, {ended} ended with their sessions", result, capture)
