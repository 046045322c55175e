"""`ops remediate`: start the runbook of an alarm, as the alarm itself does."""

from typing import Annotated, Any

import typer

from cli.alarms import repaired
from cli.commands.run import PATIENCE, Dry, Name, NoWait, Patience, Reason, execute
from cli.exits import ExitCode
from cli.options import Context, command, not_empty
from cli.workflows import Workflow


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    command(app, "remediate")(remediate)


def remediate(
    context: Context,
    *,
    alarm: Annotated[
        str,
        typer.Option(
            "--alarm", callback=not_empty, help="Which, e.g. database-connections; its full name or ARN will do, too."
        ),
    ],
    reason: Reason = None,
    name: Name = None,
    dry_run: Dry = False,
    no_wait: NoWait = False,
    timeout: Patience = PATIENCE,
) -> ExitCode:
    """Start the runbook of an alarm that is firing.

    Alarms start theirs by themselves; this is for one that was missed, as during a pause. Every guardrail holds.
    The exit code is 0 if the alarm is OK at the end, or was not firing.
    """
    suffix = repaired(context.session, alarm)
    request: dict[str, Any] = {
        "environment": context.session.environment,
        "alarm": suffix,
        "dry_run": dry_run or None,
        "reason": reason,
    }
    headline = f"runbook of {suffix}"
    return execute(
        context, Workflow.REMEDIATE, request, headline=headline, name=name, wait=not no_wait, timeout=timeout
    )
