"""Restore, step 2: on record first; the lock, if production is to be cut over; then the copies, side by side."""

from typing import Any

from opskit.adapters.copies import Copies
from opskit.clock import timestamp
from opskit.decisions.copies import copy_of
from opskit.errors import InvalidInputError, NameTakenError, NotFoundError, QuotaExceededError
from opskit.ledger import Lock, OperationRecord
from opskit.step import Run, step


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return `lock` (None for an isolated restore), `begun_at`, and `refused`: why a component could not be begun.

    Safe to repeat: the copies have names and tags by which a second call finds what the first began. An undo begins
    no copy.

    Raises:
        LockHeldError: a release or another restore is under way.
        NotReadyError: a snapshot is in use just now.
    """
    plan, request = event["plan"], event["request"]
    names = {kind: part["copy"]["name"] for kind, part in plan["parts"].items()}
    run.ledger.open_operation(
        OperationRecord(
            workflow=run.workflow,
            execution_id=run.execution.id,
            execution_name=run.execution.name,
            started_at=run.execution.started_at,
            requested_by=request.get("requested_by"),
            reason=request.get("reason"),
            facts={"mode": plan["mode"], "restore_id": plan["restore_id"], "copies": names, "plan": plan},
        )
    )
    lock: Lock | None = None
    if plan["mode"] != "isolated":
        purpose = f"restore ({plan['mode']})"
        lock = run.ledger.acquire(run.execution.id, purpose, event["settings"]["lease_seconds"])
    refused: dict[str, str] = {}
    if plan["parts"]:
        run.ledger.note(run.operation_key, "restoring", {"copies": names}, lock=lock)
        refused = _begin(plan)
    now = timestamp(run.clock.now())
    return {"lock": lock.as_dict() if lock else None, "begun_at": now, "refused": refused}


def _begin(plan: dict[str, Any]) -> dict[str, str]:
    """Begin each copy; what AWS refuses for good is an outcome, for the other copy is worth having alone."""
    copies, refused = Copies(), {}
    for kind, part in plan["parts"].items():
        try:
            copies.begin(copy_of(part["copy"]))
        except (InvalidInputError, NameTakenError, NotFoundError, QuotaExceededError) as error:
            refused[kind] = f"{type(error).__name__}: {error}"
    return refused
