"""Remediate: the service's own queries that run for too long are cancelled, and ended if they do not heed that."""

from typing import Any

from opskit.acting import acted, decided, refused
from opskit.adapters.database_activity import REMEDY, DatabaseActivity, until_gone
from opskit.adapters.service_database import live_endpoint, open_database
from opskit.decisions.sessions import Target, choose_queries
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
    bounds = event["plan"]["bounds"]
    with open_database(
        run.platform,
        live_endpoint(run.platform),
        REMEDY,
        timeout_seconds=CONNECT_SECONDS,
        statement_seconds=STATEMENT_SECONDS,
    ) as session:
        activity = DatabaseActivity(session)
        capture = activity.capture()

        def choose() -> dict[str, Any] | str:
            longest = bounds["longer_than_seconds"]
            chosen = choose_queries(activity.sessions(), longer_than_seconds=longest, at_most=int(bounds["at_most"]))
            if not chosen:
                return f"no query of the service has run for more than {longest:g} s"
            return {"action": "end_queries", "chosen": [target.as_dict() for target in chosen]}

        facts = decided(run, lock, choose)
        if isinstance(facts, str):
            return refused(facts, capture=capture)
        targets = [Target.from_dict(each) for each in facts["chosen"]]
        for target in targets:
            activity.cancel_query(target)
        running = until_gone(activity, targets, queries=True)
        for target in running:
            activity.end_query(target)
        left = until_gone(activity, running, queries=True)
    cancelled, ended = len(targets) - len(running), len(running) - len(left)
    told = {"cancelled": cancelled, "sessions_ended": ended, "left": len(left), "chosen": facts["chosen"]}
    if not cancelled + ended:
        return refused(f"{len(left)} queries were told to end and go on", told, capture)
    return acted(f"{cancelled} queries of the service were cancelled, {ended} ended with their sessions", told, capture)
