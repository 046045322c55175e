"""`ops drill` and `ops drills`: rehearse the restore, and what the rehearsals have shown."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.commands.run import PATIENCE, Dry, Name, NoWait, Patience, Reason, execute
from cli.commands.snapshot import Components
from cli.exits import ExitCode
from cli.options import Context, command
from cli.output import brief, elapsed, moment, table
from cli.workflows import Workflow

if TYPE_CHECKING:
    from rich.console import Console

    from opskit.ledger import OperationRecord


class Method(StrEnum):
    """Where the copies come from."""

    LATEST = "latest"
    SNAPSHOT = "snapshot"


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    command(app, "drill")(drill)
    command(app, "drills")(drills)


def drill(
    context: Context,
    *,
    method: Annotated[
        Method | None,
        typer.Option("--method", help="From the log, or from the last complete manifest. [default: latest]"),
    ] = None,
    component: Components = None,
    recovery_time: Annotated[
        int | None,
        typer.Option("--recovery-time", metavar="SECONDS", help="Target: it must take less. [default: 1800]"),
    ] = None,
    recovery_point: Annotated[
        int | None,
        typer.Option("--recovery-point", metavar="SECONDS", help="Target: less data must be lost. [default: 300]"),
    ] = None,
    lifetime: Annotated[
        int | None,
        typer.Option("--lifetime", metavar="SECONDS", help="Then the reaper removes whatever is left. [default: 7200]"),
    ] = None,
    reason: Reason = None,
    name: Name = None,
    dry_run: Dry = False,
    no_wait: NoWait = False,
    timeout: Patience = PATIENCE,
) -> ExitCode:
    """Rehearse a restore beside production, and measure it.

    Restores copies, checks their data, measures recovery time and point, tears the copies down, leaves evidence.
    Touches nothing that is not its own. The exit code is 0 only if the drill passed.
    """
    request: dict[str, Any] = {
        "environment": context.session.environment,
        "method": method and method.value,
        "components": [one.value for one in dict.fromkeys(component)] if component else None,
        "recovery_time_seconds": recovery_time,
        "recovery_point_seconds": recovery_point,
        "lifetime_seconds": lifetime,
        "dry_run": dry_run or None,
        "reason": reason,
    }
    headline = f"drill from {'the last complete manifest' if method is Method.SNAPSHOT else 'the log'}"
    return execute(context, Workflow.DRILL, request, headline=headline, name=name, wait=not no_wait, timeout=timeout)


def drills(
    context: Context,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many.")] = 20,
) -> ExitCode:
    """List the drills and what they measured, newest first."""
    records = context.session.ledger.operations(Workflow.DRILL.value, limit)
    told = [drill_facts(record) for record in records]
    context.output.result(told, lambda console: _show(console, told))
    return ExitCode.SUCCESS


def drill_facts(record: "OperationRecord") -> dict[str, Any]:
    """What a drill's record says of it, in one flat document; None where it was not measured."""
    return {
        "id": record.facts.get("drill_id"),
        "execution": record.execution_name,
        "started_at": record.started_at,
        "ended_at": record.ended_at,
        "outcome": record.outcome,
        "reason": record.outcome_reason,
        "recovery_time_seconds": record.facts.get("rto_seconds"),
        "recovery_point_seconds": record.facts.get("rpo_seconds"),
        "evidence": record.evidence,
    }


def _show(console: "Console", told: list[dict[str, Any]]) -> None:
    if not told:
        console.print("there has been no drill yet: ops drill")
        return
    rows = [
        (
            moment(one["started_at"]),
            str(one["id"] or "-"),
            str(one["outcome"] or "running"),
            _seconds(one["recovery_time_seconds"]),
            _seconds(one["recovery_point_seconds"]),
            str(one["evidence"] or "-"),
            brief(one["reason"] or ""),
        )
        for one in told
    ]
    table(console, ("STARTED", "ID", "OUTCOME", "RTO", "RPO", "EVIDENCE", "REASON"), rows)


def _seconds(value: Any) -> str:
    return elapsed(float(value)) if isinstance(value, int | float) else "-"
