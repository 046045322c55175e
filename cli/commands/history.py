"""`ops history`: what was released, rolled back, refused."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.executions import find
from cli.exits import ExitCode, Failure
from cli.options import Context, command, not_empty
from cli.output import brief, elapsed, facts, moment, short_image, table

if TYPE_CHECKING:
    from rich.console import Console

    from opskit.ledger import ReleaseRecord


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    command(app, "history")(history)


def history(
    context: Context,
    execution: Annotated[
        str | None, typer.Argument(metavar="EXECUTION", callback=not_empty, help="Name or ARN: this one in detail.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many.")] = 20,
) -> ExitCode:
    """List what was done, newest first; or show one."""
    if execution is not None:
        return _one(context, execution.rpartition(":")[2])
    records = context.session.ledger.history(limit)
    context.output.result([record.as_dict() for record in records], lambda console: _list(console, records))
    return ExitCode.SUCCESS


def _list(console: "Console", records: "list[ReleaseRecord]") -> None:
    if not records:
        console.print("nothing has been released yet")
        return
    columns = ("STARTED", "EXECUTION", "OUTCOME", "OPERATION", "TOOK", "IMAGE", "REASON")
    rows = [
        (
            moment(record.started_at),
            record.execution_name,
            record.outcome or "running",
            record.operation,
            _took(record),
            short_image(record.image),
            brief(record.outcome_reason or ""),
        )
        for record in records
    ]
    table(console, columns, rows)


def _one(context: Context, name: str) -> ExitCode:
    record = context.session.ledger.record_of(name)
    ran = find(context.session, name)
    if record is None and ran is None:
        raise Failure(
            ExitCode.UNREACHABLE,
            "ExecutionNotFound",
            f"there is no execution {name}; `ops history` lists them",
        )
    document: dict[str, Any] = record.as_dict() if record else {}
    document["ran"] = ran.as_dict() if ran else None

    def render(console: "Console") -> None:
        if record is not None:
            facts(console, _facts(record))
            for event in record.events:
                console.print(f"  {moment(event.at)}  {event.what}  {_words(event.facts)}".rstrip())
        elif ran is not None:
            facts(
                console,
                [
                    ("execution", ran.name),
                    ("operation", ran.operation),
                    ("started", moment(ran.started)),
                    ("outcome", ran.outcome),
                    ("reason", ran.reason),
                    ("note", "it ended before it took the lock, so the ledger has no record of it"),
                ],
            )

    context.output.result(document, render)
    return ExitCode.SUCCESS


def _facts(record: "ReleaseRecord") -> list[tuple[str, Any]]:
    return [
        ("execution", record.execution_name),
        ("operation", record.operation),
        ("strategy", record.strategy),
        ("image", record.image),
        ("digest", record.digest),
        ("from", record.from_colour and record.from_colour.value),
        ("to", record.to_colour and record.to_colour.value),
        ("requested by", record.requested_by),
        ("reason", record.reason),
        ("override", record.override_alarms),
        ("approval", record.approval),
        ("started", moment(record.started_at)),
        ("ended", moment(record.ended_at)),
        ("took", _took(record)),
        ("outcome", record.outcome or "running"),
        ("because", record.outcome_reason),
        ("clients", _suffered(record)),
        ("weights", record.weights and record.weights.as_dict()),
        ("intent", record.intent and record.intent.as_dict()),
        ("evidence", record.evidence),
    ]


def _suffered(record: "ReleaseRecord") -> str:
    """How many requests the new version got, and failed, where that was measured."""
    told = next((event.facts.get("suffered") for event in reversed(record.events) if event.what == "closed"), None)
    if not told or not told.get("measured"):
        return ""
    return f"{told['requests']} requests reached the new version, {told['failed']} of them failed"


def _took(record: "ReleaseRecord") -> str:
    return elapsed((record.ended_at - record.started_at).total_seconds()) if record.ended_at else "-"


def _words(values: dict[str, Any]) -> str:
    """The plain facts of an event; `--json` has the nested ones."""
    plain = {name: value for name, value in values.items() if not isinstance(value, dict | list)}
    return brief(", ".join(f"{name} {value}" for name, value in plain.items() if value not in (None, "")))
