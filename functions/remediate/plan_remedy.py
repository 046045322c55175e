"""Remediate, step 2: does the alarm persist, what do the guardrails say, and what would be done? Changes nothing."""

from typing import Any

from opskit.remediation import look
from opskit.step import Run, step


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return the view (`opskit.remediation.View`): its verdict, every guardrail's, and the action that applies.

    Raises:
        MeasurementError: the alarm, or one that comes before it, cannot be read.
    """
    view = look(run, event["admission"], event["settings"]).as_dict()
    run.ledger.note(run.operation_key, "planned", {name: view[name] for name in ("verdict", "reason", "action")})
    return view
