"""What `release`, `rollback` and `watch` share: start an execution, follow it, tell how it ended."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.executions import Execution, describe, new_name, start
from cli.exits import ExitCode
from cli.follow import Detached, TimedOut, follow
from cli.options import Context
from cli.output import brief, elapsed, facts, moment, short_image

if TYPE_CHECKING:
    from rich.console import Console

# A release ends by its own deadline; a CI job that wants to wait for less says so.
PATIENCE: float | None = None

Reason = Annotated[str | None, typer.Option("--reason", help="Why; recorded.")]
Dry = Annotated[bool, typer.Option("--dry-run", help="Plan only; change nothing.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Start it and return.")]
Patience = Annotated[
    float | None,
    typer.Option("--timeout", metavar="SECONDS", min=1, help="Wait at most this long; exit code 5 then."),
]


def execute(
    context: Context, request: Mapping[str, Any], *, name: str | None, wait: bool, timeout: float | None
) -> ExitCode:
    """Start the state machine with `request`, without what is None in it; see it through if `wait`."""
    session, output = context.session, context.output
    asked = {key: value for key, value in request.items() if value is not None}
    check(asked, session.environment)
    asked["requested_by"] = session.caller["arn"]
    execution, is_new = start(session, asked, name or new_name(str(asked["operation"])))
    output.say(f"{_headline(asked)} on {session.name}, execution {execution.name}", "bold")
    if not is_new:
        output.say(f"it was started before, at {moment(execution.started)}: this is the same one")
    if not wait and execution.running:
        output.result(
            execution.as_dict(),
            lambda console: console.print(f"started; watch it with: ops watch {execution.name}"),
        )
        return ExitCode.SUCCESS
    return see_through(context, execution.arn, timeout)


def check(request: Mapping[str, Any], environment: str) -> None:
    """Refuse here what the state machine's first step would refuse; raises InvalidInputError."""
    from opskit.decisions.request import refuse_contradictions  # noqa: PLC0415 - not needed for --help
    from opskit.schema import validate  # noqa: PLC0415 - not needed for --help

    refuse_contradictions(validate("release", dict(request)), environment)


def see_through(context: Context, arn: str, timeout: float | None) -> ExitCode:
    """Follow the execution to its end and report it; leave it running on Ctrl-C or when `timeout` is over."""
    try:
        execution = follow(context, arn, timeout)
    except Detached as detached:
        return _leave(context, arn, ExitCode.TIMED_OUT if isinstance(detached, TimedOut) else ExitCode.INTERRUPTED)
    context.output.result(execution.as_dict(), lambda console: tell(console, execution))
    return execution.exit_code


def _leave(context: Context, arn: str, code: ExitCode) -> ExitCode:
    execution = describe(context.session, arn)
    why = "timed out waiting" if code is ExitCode.TIMED_OUT else "stopped watching"
    ways = f"watch it with: ops watch {execution.name}; stop it with: ops abort {execution.name}"
    context.output.say()
    context.output.result(
        execution.as_dict() | {"waiting": why},
        lambda console: console.print(f"{why}; the {execution.operation} goes on. {ways}", style="yellow"),
    )
    if context.output.as_json:
        context.output.say(f"{why}; the {execution.operation} goes on. {ways}", "yellow")
    return code


def tell(console: "Console", execution: Execution) -> None:
    """How an ended execution ended, for people."""
    if execution.plan and not execution.would_be_refused:
        facts(console, _plan_facts(execution.plan))
    good = execution.exit_code is ExitCode.SUCCESS
    seconds = (execution.stopped - execution.started).total_seconds() if execution.stopped else 0.0
    head = f"{execution.outcome} after {elapsed(seconds)}"
    if execution.error:
        head += f" ({execution.error})"
    if execution.would_be_refused:
        head += ", it would be refused"
    console.print(f"{head}: {brief(execution.reason)}" if execution.reason else head, style="green" if good else "red")


def _plan_facts(plan: Mapping[str, Any]) -> list[tuple[str, Any]]:
    steps = plan.get("steps") or ()
    return [
        ("decision", plan.get("decision")),
        ("from", _side(plan.get("from_colour"), plan.get("from_image"))),
        ("to", _side(plan.get("to_colour"), plan.get("image"))),
        ("replicas", plan.get("replicas")),
        ("needs healthy", plan.get("required_healthy")),
        ("steps", ", ".join(f"{step['weight']}% for {step['bake_seconds']}s" for step in steps)),
        *(("warning", warning) for warning in plan.get("warnings") or ()),
    ]


def _side(colour: str | None, image: str | None) -> str:
    return f"{colour} {short_image(image)}" if colour else ""


def _headline(request: Mapping[str, Any]) -> str:
    dry = " (dry run)" if request.get("dry_run") else ""
    if request["operation"] == "rollback":
        return f"rollback{dry}"
    return f"release of {short_image(str(request.get('image')))}, {request.get('strategy', 'blue-green')}{dry}"
