"""`ops remediations`: what alarms have set off, what was done about them, and whether it helped."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.alarms import suffix_of
from cli.exits import ExitCode, Failure
from cli.moments import FORMS, as_moment
from cli.options import Context, command, group, not_empty
from cli.output import brief, elapsed, facts, moment, nested, table
from cli.records import facts_of, words
from cli.remedies import guards, told
from cli.workflows import Workflow

if TYPE_CHECKING:
    from rich.console import Console

    from opskit.ledger import OperationRecord

# A filter looks through so many records, newest first: months of them, but not for ever.
LOOKED_THROUGH = 2000
OUTCOMES = (
    "RESOLVED", "RECOVERED", "SUPPRESSED", "DUPLICATE", "STALE", "UNKNOWN", "PLANNED",
    "ESCALATED", "INEFFECTIVE", "INCONCLUSIVE", "REFUSED", "FAILED", "INTERRUPTED",
)  # fmt: skip


def _outcome(text: str | None) -> str | None:
    wanted = text and text.strip().upper().replace("-", "_")
    if wanted is not None and wanted not in OUTCOMES:
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(OUTCOMES)}")
    return wanted


def _since(text: str | None) -> str | None:
    found = as_moment(text)
    return found.isoformat() if found else None


Alarm = Annotated[str | None, typer.Option("--alarm", callback=not_empty, help="Only of this alarm.")]
Outcome = Annotated[
    str | None,
    typer.Option("--outcome", metavar="OUTCOME", callback=_outcome, help=f"Only these: {', '.join(OUTCOMES)}."),
]
Acted = Annotated[bool, typer.Option("--acted", help="Only those that changed something.")]
Since = Annotated[
    str | None, typer.Option("--since", metavar="MOMENT", callback=_since, help=f"Only since then: {FORMS}.")
]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    made = group(app, "remediations")(remediations)
    command(made, "list")(remediations)
    command(made, "show")(show)


def remediations(
    context: Context,
    *,
    alarm: Alarm = None,
    outcome: Outcome = None,
    acted: Acted = False,
    since: Since = None,
    limit: Limit = 20,
) -> ExitCode:
    """List what alarms have set off, newest first.

    What was done about each, why, and with what result.
    """
    chosen = any((alarm, outcome, acted, since))
    records = context.session.ledger.operations(Workflow.REMEDIATE.value, LOOKED_THROUGH if chosen else limit)
    wanted = suffix_of(context.session, alarm) if alarm else None
    begin = datetime.fromisoformat(since) if since else None
    found = [
        one
        for record in records
        if (one := told(record))
        and (wanted is None or one["alarm"] == wanted)
        and (outcome is None or one["outcome"] == outcome)
        and (not acted or one["acted"])
        and (begin is None or one["started_at"] >= begin)
    ][:limit]
    context.output.result(found, lambda console: _list(console, found, chosen=chosen))
    return ExitCode.SUCCESS


def show(
    context: Context,
    which: Annotated[
        str,
        typer.Argument(
            metavar="EXECUTION|latest", callback=not_empty, help="Name or ARN; latest: the last that changed something."
        ),
    ],
) -> ExitCode:
    """Show one: guardrails, what was changed, what was there before.

    What an action changed and captured comes from the evidence; the exit code is 1 if that is not what was recorded.
    """
    record = _found(context, which)
    if record is None:
        missing = "no remediation has changed anything yet" if which == "latest" else f"there is no remediation {which}"
        message = f"{missing}; `ops remediations` lists them"
        raise Failure(ExitCode.UNREACHABLE, "RemediationNotFound", message)
    acted, problem = _acted(context, record)
    document = record.as_dict() | {"result": acted, "problem": problem}
    context.output.result(document, lambda console: _show(console, record, acted, problem))
    return ExitCode.FAILED if problem else ExitCode.SUCCESS


def _found(context: Context, which: str) -> "OperationRecord | None":
    ledger = context.session.ledger
    if which != "latest":
        return ledger.operation_of(Workflow.REMEDIATE.value, which.rpartition(":")[2])
    records = ledger.operations(Workflow.REMEDIATE.value, LOOKED_THROUGH)
    return next((record for record in records if told(record)["acted"]), None)


def _list(console: "Console", found: list[dict[str, Any]], *, chosen: bool) -> None:
    if not found:
        console.print("none of them fits" if chosen else "no alarm has set off anything yet")
        return
    rows = [
        (
            moment(one["started_at"]),
            one["alarm"] or "-",
            one["outcome"] or "running",
            (one["action"] or "-") if one["acted"] else "-",
            _took(one),
            one["execution"],
            brief(one["reason"] or ""),
        )
        for one in found
    ]
    table(console, ("STARTED", "ALARM", "OUTCOME", "ACTION", "TOOK", "EXECUTION", "REASON"), rows)


def _acted(context: Context, record: "OperationRecord") -> tuple[dict[str, Any] | None, str | None]:
    """What the action returned, as the evidence has it; or None, and what is wrong with the evidence if anything is."""
    if not record.evidence:
        return None, None
    evidence = context.session.evidence_records
    ref = evidence.of(record.evidence)
    if ref is None:
        return None, f"the evidence {record.evidence} is not in the chain"
    found = evidence.read(ref)
    body = (found.record or {}).get("body")
    acted = body.get("acted") if isinstance(body, dict) else None
    return acted if isinstance(acted, dict) else None, found.problem and f"the evidence {ref.key}: {found.problem}"


def _show(console: "Console", record: "OperationRecord", acted: dict[str, Any] | None, problem: str | None) -> None:
    facts(console, facts_of(record))
    if problem:
        console.print(problem, style="red")
    guards(console, record.facts.get("checks") or ())
    for title, name in (("changed", "facts"), ("captured", "capture")):
        if acted and acted.get(name):
            console.print()
            console.print(title, style="bold")
            nested(console, acted[name], indent=2)
    console.print()
    for event in record.events:
        console.print(f"  {moment(event.at)}  {event.what}  {words(event.facts)}".rstrip())


def _took(one: dict[str, Any]) -> str:
    return elapsed((one["ended_at"] - one["started_at"]).total_seconds()) if one["ended_at"] else "-"
