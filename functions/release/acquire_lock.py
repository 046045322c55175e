"""Release, step 3: one operation at a time for a service and environment."""

from typing import Any

from opskit.ledger import ReleaseRecord
from opskit.step import Run, step
from opskit.traffic import Colour, Weights


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Take the lock and open the history record; return `{"owner", "fence"}`.

    Raises:
        LockHeldError: another execution holds the lock; the message names it.
    """
    request, plan = event["request"], event["plan"]
    lock = run.ledger.acquire(
        run.execution.id,
        purpose=f"{plan['operation']} of {plan['image']}",
        lease_seconds=event["settings"]["lease_seconds"],
    )
    run.ledger.open_record(
        ReleaseRecord(
            execution_id=run.execution.id,
            execution_name=run.execution.name,
            operation=plan["operation"],
            requested_by=request.get("requested_by"),
            reason=request.get("reason"),
            image=plan["image"],
            digest=plan["digest"],
            from_colour=Colour(plan["from_colour"]),
            to_colour=Colour(plan["to_colour"]),
            strategy=request["strategy"],
            override_alarms=request.get("override_alarms"),
            started_at=run.execution.started_at,
            weights=Weights.from_dict(plan["weights_before"]),
        )
    )
    return lock.as_dict()
