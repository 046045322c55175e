"""Remediate: the service's own sessions that are stuck in a transaction or long idle end, the oldest first."""

from datetime import datetime
from typing import Any

from opskit.acting import acted, decided, refused
from opskit.adapters.database_activity import REMEDY, DatabaseActivity, until_gone
from opskit.adapters.service_database import live_endpoint, open_database
from opskit.clock import moment_of
from opskit.decisions.sessions import SessionBounds, sessions_to_end
from opskit.step import Run, step

CONNECT_SECONDS = 5
STATEMENT_SECONDS = 10


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """End sessions of the service's role within the bounds, after a record of what went on in the database.

    Safe to repeat: every attempt is about the sessions that were announced first, each only while it is as it was
    seen then. Not done where no session exceeds the bounds, or none of them was still idle.

    Raises:
        LockLostError: another execution has taken the lock.
        UnavailableError: the database cannot be reached.
        DatabaseError: it refused; `scripts/database-roles.sql` may have to be run again.
    """
    lock = run.hold(event)
    given = event["plan"]["bounds"]
    bounds = SessionBounds(
        idle_in_transaction_seconds=float(given["idle_in_transaction_seconds"]),
        idle_seconds=float(given["idle_seconds"]),
        at_most=int(given["at_most"]),
        keep=int(given["keep"]),
        keep_of_client=int(given["keep_of_client"]),
    )
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
            found = sessions_to_end(
                look.sessions, look.now, role=role, database=run.platform.database_name, bounds=bounds
            )
            if not found.sessions:
                return f"no session may be ended: {found.reason}"
            chosen = [one.as_dict() for one in found.sessions]
            return {"action": "end_sessions", "why": found.reason, "sessions": found.of_service, "chosen": chosen}

        facts = decided(run, lock, choose)
        if isinstance(facts, str):
            return refused(facts, capture=capture)
        told = {
            (one["pid"], moment_of(one["backend_start"])): moment_of(one["state_change"]) for one in facts["chosen"]
        }
        for (pid, started), since in told.items():
            activity.end_session(pid, started, since)

        def there() -> set[tuple[int, datetime]]:
            return {(one.pid, one.backend_start) for one in activity.look().sessions}

        ended = len(told) - len(until_gone(there, told))
        after = sum(one.role == role for one in activity.look().sessions)
    result = {"sessions_before": facts["sessions"], "sessions_after": after, "ended": ended, "why": facts["why"]}
    if not ended:
        return refused("the sessions that idled for too long have begun to work: none was ended", result, capture)
    return acted(f"{ended} of {facts['sessions']} sessions of {role} were ended; {after} remain", result, capture)
