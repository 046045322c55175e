"""Drill: begin to restore the copy of the database, and read at the source what the cut is measured against."""

from typing import Any

from opskit.adapters.copies import Copies
from opskit.adapters.database_contents import newest_heartbeat, read_contents
from opskit.adapters.endpoints import Endpoint
from opskit.adapters.service_database import READER, open_database
from opskit.clock import timestamp
from opskit.decisions.copies import DatabaseCopy
from opskit.decisions.drill import WORKFLOW
from opskit.decisions.drill_checks import carried
from opskit.decisions.rehearsal import LATEST
from opskit.errors import DatabaseError, NotFoundError, UnavailableError
from opskit.ledger import OperationRecord
from opskit.step import Run, step

# Counting may take its time once a week; the function has five minutes.
STATEMENT_SECONDS = 120.0


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return `{"outcome": "WAIT", "asked_at", "source"}`; `source` has the heartbeat and, for the log, the contents.

    The source is read right after the restore was asked for: so nothing that the copy holds can be newer than what was
    read, whatever moment RDS takes for the end of the log. A source that cannot be read does not stop the drill; its
    recovery point is then not known.

    Raises:
        LockLostError: another drill has taken the lock; nothing was begun.
        NameTakenError, NotFoundError, NotReadyError, QuotaExceededError: RDS refuses the restore.
    """
    plan = event["plan"]
    copy = DatabaseCopy.from_dict(plan["database"])
    key = OperationRecord.key_of(WORKFLOW, run.execution.started_at, run.execution.name)
    lock = run.hold(event)
    run.ledger.note(key, "restoring", {"name": copy.name}, lock=lock)
    Copies().begin(copy)
    asked_at = run.clock.now()
    run.ledger.note(key, "restore begun", {"name": copy.name})
    return {
        "outcome": "WAIT",
        "asked_at": timestamp(asked_at),
        "source": _read_source(run, plan["sources"]["database"]["endpoint"], contents=plan["method"] == LATEST),
    }


def _read_source(run: Run, endpoint: str, *, contents: bool) -> dict[str, Any]:
    host, _, port = endpoint.rpartition(":")
    source = Endpoint(host, int(port), version=0)
    try:
        with open_database(run.platform, source, READER, statement_seconds=STATEMENT_SECONDS) as session:
            heartbeat = newest_heartbeat(session)
            found = carried(read_contents(session)) if contents else None
    except (DatabaseError, NotFoundError, UnavailableError) as error:
        run.logger.warning("the source could not be read at the cut", exc_info=True)
        return {"heartbeat": None, "contents": None, "problem": str(error)}
    problem = "it has too many tables for a state to carry" if contents and found is None else None
    return {"heartbeat": timestamp(heartbeat) if heartbeat else None, "contents": found, "problem": problem}
