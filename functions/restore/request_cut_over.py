"""Restore: ask a person; the execution waits on the task token until `ops approve`, `ops reject` or expiry."""

from datetime import timedelta
from typing import Any

from opskit.adapters.notifier import Notifier
from opskit.decisions.swaps import digest_of, swaps_of
from opskit.step import Run, step


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Keep the task token in the ledger, bound to what would be cut over, and tell people that a decision is needed.

    The lock is held through the wait: its lease is extended to the end of the approval.
    """
    seconds, swaps = event["request"]["approval_seconds"], swaps_of(event["swaps"])
    run.hold(event, lease_seconds=seconds + event["settings"]["lease_seconds"])
    expires_at = run.clock.now() + timedelta(seconds=seconds)
    words = [swap.words for swap in swaps]
    run.ledger.request_approval(
        run.execution.name,
        event["task_token"],
        subject="; ".join(words),
        digest=digest_of(swaps),
        expires_at=expires_at,
        workflow=run.workflow,
    )
    Notifier(run.settings.topic_arn).publish(
        f"{run.settings.service} {run.settings.environment}: approval needed to cut over",
        {
            "kind": "APPROVAL_NEEDED",
            "execution": run.execution.name,
            "execution_arn": run.execution.id,
            "cut_over": words,
            "data": event["verified"],
            "requested_by": event["request"].get("requested_by"),
            "request_reason": event["request"].get("reason"),
            "expires_at": expires_at.isoformat(),
            "approve": f"ops approve {run.execution.name} --environment {run.settings.environment}",
            "reject": f"ops reject {run.execution.name} --environment {run.settings.environment} --reason TEXT",
        },
    )
    return {"expires_at": expires_at.isoformat()}
