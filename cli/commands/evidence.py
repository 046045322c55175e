"""`ops evidence`: what the workflows left as proof, and whether it still is what they left."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.exits import ExitCode, Failure
from cli.options import Context, command, not_empty
from cli.output import Output, brief, facts, moment, nested, table

if TYPE_CHECKING:
    from rich.console import Console

    from opskit.decisions.evidence import ChainReport
    from opskit.evidence_records import Found

# Off a terminal, how often the number of records read so far is told.
_EVERY_SECONDS = 10.0


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    group = typer.Typer(no_args_is_help=True, help="List, show and verify the evidence that workflows leave.")
    command(group, "list")(list_records)
    command(group, "show")(show)
    command(group, "verify")(verify)
    app.add_typer(group, name="evidence")


def list_records(
    context: Context,
    kind: Annotated[
        str | None,
        typer.Option("--kind", callback=not_empty, help="Only these: release, snapshot, restore, drill, ..."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many.")] = 20,
) -> ExitCode:
    """List the newest records.

    The exit code is 1 if one of them is not what was recorded; only `verify` checks the whole chain.
    """
    records = context.session.evidence_records
    found = records.read_all(records.newest(kind, limit))
    told = [_summary(one) for one in found]
    context.output.result(told, lambda console: _show_list(console, told))
    return ExitCode.FAILED if any(one.problem for one in found) else ExitCode.SUCCESS


def show(
    context: Context,
    which: Annotated[str, typer.Argument(metavar="SEQUENCE|KEY", callback=not_empty, help="Number or object key.")],
) -> ExitCode:
    """Show one record.

    The exit code is 1 if it is not what was recorded.
    """
    records = context.session.evidence_records
    ref = records.of(which)
    if ref is None:
        message = f"there is no evidence record {which}; `ops evidence list` shows the newest"
        raise Failure(ExitCode.UNREACHABLE, "EvidenceNotFound", message)
    found = records.read(ref)
    context.output.result(found.as_dict(), lambda console: _show_one(console, found))
    return ExitCode.FAILED if found.problem else ExitCode.SUCCESS


def verify(context: Context) -> ExitCode:
    """Check the whole chain: every record there, none changed, moved or put in.

    The exit code is 1 if anything is wrong.
    """
    with _counting(context.output) as count:
        report = context.session.evidence.verify(count)
    context.output.result(report.as_dict(), lambda console: _show_report(console, report))
    return ExitCode.SUCCESS if report.intact else ExitCode.FAILED


def _summary(found: "Found") -> dict[str, Any]:
    record = found.record or {}
    body = record.get("body")
    body = body if isinstance(body, dict) else {}
    # evidence/<kind>/<year>/<month>/<sequence>-<name>.json: what is known of a record that cannot be read
    return found.ref.as_dict() | {
        "kind": found.ref.key.split("/")[1],
        "name": record.get("name"),
        "recorded_at": record.get("recorded_at"),
        "outcome": body.get("outcome"),
        "reason": body.get("outcome_reason") or body.get("reason"),
        "problem": found.problem,
    }


def _show_list(console: "Console", told: list[dict[str, Any]]) -> None:
    if not told:
        console.print("there is no evidence yet")
        return
    rows = [
        (
            str(one["sequence"]),
            moment(one["recorded_at"]),
            one["kind"],
            str(one["name"] or one["key"].rpartition("/")[2]),
            "DAMAGED" if one["problem"] else str(one["outcome"] or "-"),
            brief(str(one["problem"] or one["reason"] or "")),
        )
        for one in told
    ]
    table(console, ("SEQUENCE", "RECORDED", "KIND", "NAME", "OUTCOME", "REASON"), rows)


def _show_one(console: "Console", found: "Found") -> None:
    if found.problem:
        console.print(f"DAMAGED: {found.problem}", style="red")
    record = found.record or {}
    facts(
        console,
        [
            ("sequence", found.ref.sequence),
            ("key", found.ref.key),
            ("sha256", found.ref.sha256),
            ("previous", found.ref.previous),
            ("recorded", moment(record.get("recorded_at"))),
            ("kind", record.get("kind")),
            ("name", record.get("name")),
        ],
    )
    body = record.get("body")
    if isinstance(body, dict):
        console.print()
        nested(console, body)
    elif body is not None:
        console.print(json.dumps(body, ensure_ascii=False))


def _show_report(console: "Console", report: "ChainReport") -> None:
    for problem in report.problems:
        place = f"record {problem.sequence}" if problem.sequence is not None else "somewhere"
        where = f" ({problem.key})" if problem.key else ""
        console.print(f"{problem.fault.value:<10} {place}{where}: {problem.detail}", style="red")
    records = f"{report.records} record{'' if report.records == 1 else 's'}"
    if report.intact:
        console.print(f"intact: {records}, each as it was written, none missing", style="green")
    else:
        count = len(report.problems)
        console.print(f"NOT INTACT: {count} problem{'' if count == 1 else 's'} in {records}", style="red")


@contextmanager
def _counting(output: Output) -> Iterator[Callable[[int], None]]:
    """Shows how many records were read: a spinner on a terminal, now and then a line elsewhere."""
    people = output.people
    if people.is_terminal:
        with people.status("reading the evidence") as status:
            yield lambda count: status.update(f"reading the evidence: {count} records")
        return
    last = time.monotonic()

    def tell(count: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _EVERY_SECONDS:
            last = time.monotonic()
            people.print(f"reading the evidence: {count} records")

    yield tell
