"""Remediate: the service's own sessions that are stuck in a transaction or long idle end, the oldest first."""

from typing import Any

from opskit.acting import acted, decided, refused
from opskit.adapters.database_activity import REMEDY, DatabaseActivity, until_gone
from opskit.adapters.service_database import live_endpoint, open_database
from opskit.decisions.sessions import Target, choose_sessions
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
    bounds = event["plan"]["bounds"]
    with open_database(
        run.platform,
        live_endpoint(run.platform),
        REMEDY,
        timeout_seconds=CONNECT_SECONDS,
        statement_seconds=STATEMENT_SECONDS,
    ) as session:
        activity = DatabaseActivity(session)
        capture, before = activity.capture(), activity.sessions()

        def choose() -> dict[str, Any] | str:
            chosen = choose_sessions(
                before,
                idle_in_transaction_seconds=bounds["idle_in_transaction_seconds"],
                idle_seconds=bounds["idle_seconds"],
                at_most=int(bounds["at_most"]),
                keep=int(bounds["keep"]),
            )
            if not chosen:
                return f"none of the service's {len(before)} sessions is idle beyond the bounds and may end"
            targets = [target.as_dict() for target in chosen]
            return {"action": "end_sessions", "sessions": len(before), "chosen": targets}

        facts = decided(run, lock, choose)
        if isinstance(facts, str):
            return refused(facts, {"sessions": len(before)}, capture)
        targets = [Target.from_dict(each) for each in facts["chosen"]]
        for target in targets:
            activity.end_session(target)
        left = until_gone(activity, targets, queries=False)
        after = len(activity.sessions())
    ended = len(targets) - len(left)
    told = {"sessions_before": facts["sessions"], "sessions_after": after, "ended": ended, "chosen": facts["chosen"]}
    if not ended:
        return refused(
            "the sessions that were idle beyond the bounds have begun to work: none was ended", told, capture
        )
    return acted(f"{ended} of the service's {facts['sessions']} sessions were ended; {after} remain", told, capture)
