"""`ops rollback`: back to the version before, or out of a release that is under way."""

from typing import Any

import typer

from cli.commands.abort import REPAIR_SECONDS, current, stop_and_report
from cli.commands.run import PATIENCE, Dry, NoWait, Patience, Reason, execute
from cli.executions import Execution
from cli.exits import ExitCode, Failure
from cli.options import Context, command
from cli.workflows import Workflow


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    command(app, "rollback")(rollback)


def rollback(
    context: Context,
    reason: Reason = None,
    dry_run: Dry = False,
    no_wait: NoWait = False,
    timeout: Patience = PATIENCE,
) -> ExitCode:
    """Bring back the version before the live one.

    Needs neither approval nor analysis. A release that is under way is stopped instead, which returns all
    traffic to the live version.
    """
    under_way = current(context, (Workflow.RELEASE,))
    if under_way is not None:
        if under_way.workflow is not Workflow.RELEASE:
            raise Failure(
                ExitCode.REFUSED,
                "LockHeldError",
                f"{under_way.operation} {under_way.name} holds the lock: watch it with `ops watch {under_way.name}`, "
                f"or stop it with `ops abort {under_way.name}`",
            )
        if under_way.operation == "rollback":
            raise Failure(
                ExitCode.REFUSED,
                "LockHeldError",
                f"a rollback is running already: watch it with `ops watch {under_way.name}`",
            )
        if dry_run:
            return _plan_to_stop(context, under_way)
        return stop_and_report(context, under_way, reason or "stopped with ops rollback", timeout or REPAIR_SECONDS)
    request: dict[str, Any] = {
        "operation": "rollback",
        "environment": context.session.environment,
        "dry_run": dry_run or None,
        "reason": reason,
    }
    return execute(
        context, Workflow.RELEASE, request, headline="rollback", name=None, wait=not no_wait, timeout=timeout
    )


def _plan_to_stop(context: Context, execution: Execution) -> ExitCode:
    reason = f"{execution.name} is under way: it would be stopped, and all traffic return to the live version"
    context.output.result(
        {"outcome": "PLANNED", "reason": reason, "execution": execution.name},
        lambda console: console.print(f"PLANNED: {reason}", style="green"),
    )
    return ExitCode.SUCCESS
