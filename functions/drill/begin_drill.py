"""Drill, step 2: one drill at a time; on record, with the names of its copies, before any of them is made."""

from typing import Any

from opskit.decisions.drill import LOCK, WORKFLOW
from opskit.errors import LockHeldError
from opskit.ledger import OperationRecord
from opskit.step import Run, step


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Take the lock and open the record; return `{"decision", "reason", "lock"}`. Safe to repeat.

    DUPLICATE, without a lock: the same scheduled event has started another drill, which runs, or has ended since this
    one was planned.

    Raises:
        LockHeldError: another drill is under way; the message names it.
    """
    request, plan = event["request"], event["plan"]
    scheduled = request.get("scheduled_at")
    purpose = f"the drill of {scheduled}" if scheduled else f"drill {plan['drill']}"
    try:
        lock = run.ledger.acquire(run.execution.id, purpose, event["settings"]["lease_seconds"], LOCK)
    except LockHeldError as error:
        holder = run.ledger.holder(LOCK)
        if scheduled and holder and holder.purpose == purpose:
            return {"decision": "DUPLICATE", "reason": str(error), "lock": None}
        raise
    if scheduled and (earlier := run.ledger.started_by(WORKFLOW, scheduled, other_than=run.execution.id)):
        run.ledger.release(lock)
        return {"decision": "DUPLICATE", "reason": f"the drill of {scheduled} is {earlier}", "lock": None}
    run.ledger.open_operation(
        OperationRecord(
            workflow=WORKFLOW,
            execution_id=run.execution.id,
            execution_name=run.execution.name,
            started_at=run.execution.started_at,
            requested_by=request.get("requested_by"),
            reason=request.get("reason"),
            facts={
                "drill_id": plan["drill"],
                "expires_at": plan["expires_at"],
                "names": plan["names"],
                "method": plan["method"],
                "components": plan["components"],
                "manifest": plan["manifest"],
                "scheduled_at": scheduled,
            },
        )
    )
    return {"decision": "PROCEED", "reason": plan["reason"], "lock": lock.as_dict()}
