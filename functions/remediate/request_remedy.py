"""Remediate: ask a person; the execution waits on the task token until `ops approve`, `ops reject` or expiry."""

from datetime import timedelta
from typing import Any

from opskit.adapters.notifier import Notifier
from opskit.clock import timestamp
from opskit.step import Run, step


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Keep the task token in the ledger, bound to what would be done, and tell people that a decision is needed.

    No lock is held through the wait: everything is judged again when the answer has come.
    """
    admission, plan = event["admission"], event["plan"]
    expires_at = run.clock.now() + timedelta(seconds=event["settings"]["approval_seconds"])
    run.ledger.request_approval(
        run.execution.name,
        event["task_token"],
        subject=plan["words"],
        digest=plan["digest"],
        expires_at=expires_at,
        workflow=run.workflow,
    )
    run.ledger.note(run.operation_key, "approval asked", {"words": plan["words"], "expires_at": timestamp(expires_at)})
    here = run.settings
    Notifier(here.topic_arn).publish(
        f"{here.service} {here.environment}: approval needed to repair {admission['alarm']['suffix']}",
        {
            "kind": "APPROVAL_NEEDED",
            "execution": run.execution.name,
            "alarm": admission["alarm"],
            "action": plan["action"],
            "would_be_done": plan["words"],
            "expires_at": timestamp(expires_at),
            "approve": f"ops approve {run.execution.name} --environment {here.environment}",
            "reject": f"ops reject {run.execution.name} --environment {here.environment} --reason TEXT",
        },
    )
    return {"expires_at": timestamp(expires_at)}
