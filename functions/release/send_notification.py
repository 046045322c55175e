"""Release: tell people, once per fact."""

from typing import Any

from opskit.adapters.notifier import Notifier
from opskit.step import Run, step


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Publish `kind` (STARTED, SUCCEEDED, ROLLED_BACK, …) with who, what and why to the operations topic."""
    plan, request = event.get("plan") or {}, event.get("request") or {}
    here, what = run.settings, plan.get("operation", "release")
    message_id = Notifier(here.topic_arn).publish(
        f"{here.service} {here.environment}: {what} {event['kind'].lower()}",
        {
            "kind": event["kind"],
            "service": here.service,
            "environment": here.environment,
            "operation": plan.get("operation"),
            "execution": run.execution.id,
            "image": plan.get("image"),
            "from": plan.get("from_image"),
            "requested_by": request.get("requested_by"),
            "request_reason": request.get("reason"),
            "reason": event.get("reason"),
        },
    )
    return {"message_id": message_id}
