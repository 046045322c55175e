"""`ops pause` and `ops resume`: the kill switch of the repairs."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.alarms import Firing, firing, repaired
from cli.exits import ExitCode, Failure
from cli.failures import explain
from cli.moments import as_future_moment, as_span, parse_moment, parse_span
from cli.options import Context, command, not_empty
from cli.output import elapsed, moment

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
    from opskit.adapters.switch import SwitchState  # noqa: PLC0415 - not needed for --help

    now = datetime.now(UTC)
    before = _read(context)
    end = now + parse_span(span) if span else parse_moment(until, now) if until else None
    state = SwitchState(paused=True, until=end, reason=reason, by=context.session.caller["arn"], at=now)
    context.session.switch.write(state)
    document = told(state, now) | {"before": told(before, now)}

    def render(console: "Console") -> None:
        ends = f"until {moment(end)}, in {elapsed((end - now).total_seconds())}" if end else "until `ops resume`"
        console.print(f"repairs of {context.session.name} are paused {ends}", style="yellow")
        if before.unreadable:
            console.print(f"the switch was broken before: {before.reason}")
        elif before.holds(now):
            console.print(f"this replaces an earlier pause: {before.words}")
        console.print("alarms go on telling people; what has acted already is not undone, see `ops remediations`")

    context.output.result(document, render)
    return ExitCode.SUCCESS


def resume(
    context: Context,
    *,
    reason: Annotated[str | None, typer.Option("--reason", callback=not_empty, help="Why; recorded.")] = None,
    alarm: Annotated[
        str | None,
        typer.Option(
            "--alarm", callback=not_empty, help="Not the pause: let this runbook act again after three strikes."
        ),
    ] = None,
) -> ExitCode:
    """Let alarms repair again, and show which are firing.

    An alarm that went off during the pause starts nothing by itself any more: `ops remediate --alarm` does.
    With --alarm: lifts the block of one runbook, once a person has looked why its repairs did not help.
    """
    return _unblock(context, alarm, reason) if alarm else _lift(context, reason)


def told(state: "SwitchState", now: datetime) -> dict[str, Any]:
    """The switch as `--json` has it; `paused` is whether it holds at `now`."""
    return state.as_dict() | {"paused": state.holds(now), "unreadable": state.unreadable}


def _read(context: Context) -> "SwitchState":
    """The switch as it is now; Failure where there is none: one that `ops` made would be in the stack's way."""
    session = context.session
    client = session.client("ssm")
    try:
        client.get_parameter(Name=session.switch.name)
    except client.exceptions.ParameterNotFound:
        # Raises where there is no such environment at all.
        session.ledger.live()
        message = (
            f"there is no parameter {session.switch.name}, so nothing repairs. The stack of {session.environment} is "
            f"older than the repairs, or somebody has deleted it: `sam deploy --config-env {session.environment}`"
        )
        raise Failure(ExitCode.UNREACHABLE, "SwitchNotFound", message) from None
    return session.switch.read()


def _lift(context: Context, reason: str | None) -> ExitCode:
    from opskit.adapters.switch import SwitchState  # noqa: PLC0415 - not needed for --help

    session = context.session
    now = datetime.now(UTC)
    before = _read(context)
    after = before
    if before.paused:
        by = session.caller["arn"]
        after = SwitchState(paused=False, reason=reason or "resumed", by=by, at=now)
        session.switch.write(after)
    alarms, problem = _firing(context)
    document = told(after, now) | {
        "before": told(before, now),
        "firing": {"unreadable": problem.message} if problem else [one.as_dict() for one in alarms],
    }

    def render(console: "Console") -> None:
        if before.holds(now):
            console.print(f"repairs of {session.name} are on again; they were {before.words}", style="green")
        else:
            console.print(f"repairs of {session.name} were not paused", style="green")
        if problem:
            console.print(f"which alarms fire could not be read: {problem.message}", style="red")
        else:
            _show_firing(console, alarms)

    context.output.result(document, render)
    return problem.code if problem else ExitCode.SUCCESS


def _firing(context: Context) -> tuple[list[Firing], Failure | None]:
    """The alarms that fire, or why they could not be read: the switch has been set by then, and that is told first."""
    try:
        return firing(context.session), None
    except Exception as error:
        failure = explain(error, context.session)
        if failure is None:
            raise
        return [], failure


def _unblock(context: Context, alarm: str, reason: str | None) -> ExitCode:
    session = context.session
    suffix = repaired(session, alarm)
    before = session.ledger.remedy_state(suffix)
    session.ledger.unblock(suffix, session.caller["arn"], reason or "")
    now = datetime.now(UTC)
    switch = session.switch.read()
    document = {
        "alarm": suffix,
        "strikes": before.strikes,
        "blocked_by": before.blocked_by,
        "switch": told(switch, now),
    }

    def render(console: "Console") -> None:
        if before.blocked_by:
            words = f"{suffix} may be repaired again; {before.blocked_by} was its last repair without effect"
        elif before.strikes:
            words = f"{suffix} was not blocked; {before.strikes} repairs without effect are forgotten"
        else:
            words = f"{suffix} was not blocked"
        console.print(words, style="green")
        if switch.holds(now):
            console.print(f"all repairs are still {switch.words}; ops resume", style="yellow")

    context.output.result(document, render)
    return ExitCode.SUCCESS


def _show_firing(console: "Console", alarms: list[Firing]) -> None:
    if not alarms:
        console.print("no alarm is firing")
        return
    console.print("firing now; an alarm starts its runbook only when it goes off, so start what went off meanwhile:")
    width = max(len(one.suffix) for one in alarms)
    for one in alarms:
        start = f"ops remediate --alarm {one.suffix}" if one.runbook else "no runbook: look yourself"
        console.print(f"  {one.suffix:<{width}}  since {moment(one.since)}  {start}")
