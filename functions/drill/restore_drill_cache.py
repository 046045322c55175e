"""Drill: begin to restore the copy of the cache from the manifest's backup."""

from typing import Any

from opskit.adapters.copies import Copies
from opskit.clock import timestamp
from opskit.decisions.copies import CacheCopy
from opskit.decisions.drill import WORKFLOW
from opskit.ledger import OperationRecord
from opskit.step import Run, step


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return `{"outcome": "WAIT", "asked_at"}`.

    Raises:
        LockLostError: another drill has taken the lock; nothing was begun.
        NameTakenError, NotFoundError, NotReadyError, QuotaExceededError: ElastiCache refuses the restore.
    """
    copy = CacheCopy.from_dict(event["plan"]["cache"])
    key = OperationRecord.key_of(WORKFLOW, run.execution.started_at, run.execution.name)
    lock = run.hold(event)
    run.ledger.note(key, "restoring", {"name": copy.name}, lock=lock)
    Copies().begin(copy)
    run.ledger.note(key, "restore begun", {"name": copy.name})
    return {"outcome": "WAIT", "asked_at": timestamp(run.clock.now())}
