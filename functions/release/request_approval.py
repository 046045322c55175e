"""Release: ask a person; the execution waits on the task token until `ops approve`, `ops reject` or expiry."""

from datetime import timedelta
from typing import Any

from opskit.adapters.notifier import Notifier
from opskit.step import Run, step


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Keep the task token in the ledger, bound to the image digest, and tell people that a decision is needed.

    The lock is held through the wait: its lease is extended to the end of the approval.
    """
    seconds = event["request"]["approval_seconds"]
    run.hold(event, lease_seconds=seconds + event["settings"]["lease_seconds"])
    plan = event["plan"]
    expires_at = run.clock.now() + timedelta(seconds=seconds)
    run.ledger.request_approval(
        run.execution.name,
        event["task_token"],
        subject=plan["image"],
        digest=plan["digest"],
        expires_at=expires_at,
    )
    Notifier(run.settings.topic_arn).publish(
        f"{run.settings.service} {run.settings.environment}: approval needed",
        {
            "kind": "APPROVAL_NEEDED",
            "execution": run.execution.name,
            "execution_arn": run.execution.id,
            "requested_by": event["request"].get("requested_by"),
            "request_reason": event["request"].get("reason"),
            "plan": plan,
            "expires_at": expires_at.isoformat(),
            "approve": f"ops approve {run.execution.name} --environment {run.settings.environment}",
            "reject": f"ops reject {run.execution.name} --environment {run.settings.environment} --reason TEXT",
        },
    )
    return {"expires_at": expires_at.isoformat()}
