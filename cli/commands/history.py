"""`ops history`: what was released, backed up, restored, rehearsed, refused."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.executions import find
from cli.exits import ExitCode, Failure
from cli.options import Context, command, not_empty
from cli.output import brief, facts, moment, table
from cli.records import as_dict, facts_of, operation, recent, record_of, subject, took, words
from cli.workflows import OPERATIONS, Workflow

if TYPE_CHECKING:
    from rich.console import Console

    from cli.records import Record


def _recorded(text: str | None) -> str | None:
    if text is not None and text not in OPERATIONS:
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(OPERATIONS)}")
    return text


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    command(app, "history")(history)


def history(
    context: Context,
    execution: Annotated[
        str | None, typer.Argument(metavar="EXECUTION", callback=not_empty, help="Name or ARN: this one in detail.")
    ] = None,
    workflow: Annotated[
        str | None,
        typer.Option("--workflow", metavar="|".join(OPERATIONS), callback=_recorded, help="Only these. [default: all]"),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many.")] = 20,
) -> ExitCode:
    """List what was done, newest first; or show one."""
    if execution is not None:
        return _one(context, execution)
    chosen = (Workflow(workflow),) if workflow else OPERATIONS
    records = recent(context.session.ledger, chosen, limit)
    context.output.result([as_dict(record) for record in records], lambda console: _list(console, records))
    return ExitCode.SUCCESS


def _list(console: "Console", records: "list[Record]") -> None:
    if not records:
        console.print("nothing has been recorded yet")
        return
    columns = ("STARTED", "EXECUTION", "OUTCOME", "OPERATION", "TOOK", "OF", "REASON")
    rows = [
        (
            moment(record.started_at),
            record.execution_name,
            record.outcome or "running",
            operation(record),
            took(record),
            subject(record),
            brief(record.outcome_reason or ""),
        )
        for record in records
    ]
    table(console, columns, rows)


def _one(context: Context, name_or_arn: str) -> ExitCode:
    ran = find(context.session, name_or_arn)
    record = record_of(context.session.ledger, ran.workflow if ran else None, name_or_arn.rpartition(":")[2])
    if record is None and ran is None:
        raise Failure(
            ExitCode.UNREACHABLE,
            "ExecutionNotFound",
            f"there is no execution {name_or_arn}; `ops history` lists them",
        )
    document: dict[str, Any] = as_dict(record) if record else {}
    document["ran"] = ran.as_dict() if ran else None

    def render(console: "Console") -> None:
        if record is not None:
            facts(console, facts_of(record))
            for event in record.events:
                console.print(f"  {moment(event.at)}  {event.what}  {words(event.facts)}".rstrip())
        elif ran is not None:
            facts(
                console,
                [
                    ("execution", ran.name),
                    ("operation", ran.operation),
                    ("started", moment(ran.started)),
                    ("outcome", ran.outcome),
                    ("reason", ran.reason),
                    ("note", "the ledger has no record of it: it ended before it began one, or keeps none"),
                ],
            )

    context.output.result(document, render)
    return ExitCode.SUCCESS
