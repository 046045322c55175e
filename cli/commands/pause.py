"""`ops pause` and `ops resume`: the kill switch of the repairs."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.alarms import Firing, firing, repaired
from cli.exits import ExitCode, Failure
from cli.moments import as_future_moment, as_span, parse_moment, parse_span
from cli.options import Context, command, not_empty
from cli.output import brief, elapsed, facts, moment

if TYPE_CHECKING:
    from rich.console import Console

    from opskit.adapters.switch import SwitchState


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    command(app, "pause")(pause)
    command(app, "resume")(resume)


def pause(
    context: Context,
    *,
    reason: Annotated[str, typer.Option("--reason", callback=not_empty, help="Why; recorded, and shown by `status`.")],
    span: Annotated[
        str | None,
        typer.Option("--for", metavar="TIME", callback=as_span, help="90s, 15m, 2h, 3d. [default: until `ops resume`]"),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="MOMENT", callback=as_future_moment, help="ISO 8601 with a time zone."),
    ] = None,
) -> ExitCode:
    """Let no alarm repair anything, from now on.

    Alarms go on telling people. A repair that waits does nothing more; one that has acted already only watches on.
    Pausing again replaces reason and end.
    """
    if span and until:
        raise Failure(ExitCode.USAGE, "UsageError", "--for and --until exclude each other")
    now = datetime.now(UTC)
    end = now + parse_span(span) if span else parse_moment(until, now) if until else None
    before = _read(context)
    _write(context, paused=True, until=end, reason=reason, now=now)
    after = _read(context)
    document = _told(after) | {"before": _told(before)}
    context.output.result(document, lambda console: _show_pause(console, context.session.name, after, before))
    return ExitCode.SUCCESS


def resume(
    context: Context,
    *,
    reason: Annotated[str | None, typer.Option("--reason", callback=not_empty, help="Why; recorded.")] = None,
    alarm: Annotated[
        str | None,
        typer.Option(
            "--alarm", callback=not_empty, help="Not the pause: let this runbook act again, which its strikes stopped."
        ),
    ] = None,
) -> ExitCode:
    """Let alarms repair again, and show which are firing.

    An alarm that went off during the pause starts nothing by itself any more: `ops remediate --alarm` does.
    With --alarm: clears the strikes of one runbook, once a person has looked why its repairs did not help.
    """
    return _unblock(context, alarm) if alarm else _lift(context, reason)


def _lift(context: Context, reason: str | None) -> ExitCode:
    session = context.session
    before = _read(context)
    if before.paused:
        _write(context, paused=False, until=None, reason=reason or "resumed", now=datetime.now(UTC))
    after = _read(context)
    alarms = firing(session, session.runbooks)
    document = _told(after) | {"before": _told(before), "firing": [one.as_dict() for one in alarms]}

    def render(console: "Console") -> None:
        if not before.paused:
            console.print(f"repairs of {session.name} were not paused", style="green")
        else:
            console.print(f"repairs of {session.name} are on again; they were paused {_why(before)}", style="green")
        _show_firing(console, alarms)

    context.output.result(document, render)
    return ExitCode.SUCCESS


def _unblock(context: Context, alarm: str) -> ExitCode:
    session = context.session
    suffix = repaired(session, alarm)
    before = session.ledger.remedy_state(suffix)
    session.ledger.cleared(suffix)
    switch = _read(context)
    document = {"alarm": suffix, "strikes_cleared": before.strikes, "paused": _told(switch)}

    def render(console: "Console") -> None:
        if before.strikes:
            console.print(f"{suffix} may repair again; cleared: {before.strikes} without effect in a row", style="green")
        else:
            console.print(f"{suffix} had no repair without effect to clear", style="green")
        if switch.paused:
            console.print(f"all repairs are still paused {_why(switch)}: ops resume", style="yellow")

    context.output.result(document, render)
    return ExitCode.SUCCESS
