"""What the commands that start or watch an execution share: start it, follow it, tell how it ended."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.executions import Execution, describe, new_name, start
from cli.exits import ExitCode
from cli.follow import Detached, TimedOut, follow
from cli.options import Context
from cli.output import brief, elapsed, facts, moment
from cli.plans import render_plan
from cli.results import result_facts
from cli.workflows import RECORDED, Workflow

if TYPE_CHECKING:
    from rich.console import Console

    from opskit.ledger import OperationRecord

# Every execution ends by its own deadline; a CI job that wants to wait for less says so.
PATIENCE: float | None = None

_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")


def _name(text: str | None) -> str | None:
    # Step Functions allows more, but such names break links, logs and shells.
    if text is not None and not _NAME.fullmatch(text):
        raise typer.BadParameter("1 to 80 of A-Z a-z 0-9 _ -")
    return text


Name = Annotated[
    str | None,
    typer.Option("--name", callback=_name, help="Name of the execution: the same name and request start only once."),
]
Reason = Annotated[str | None, typer.Option("--reason", help="Why; recorded.")]
Dry = Annotated[bool, typer.Option("--dry-run", help="Plan only; change nothing.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Start it and return.")]
Patience = Annotated[
    float | None,
    typer.Option("--timeout", metavar="SECONDS", min=1, help="Wait at most this long; exit code 5 then."),
]


def execute(
    context: Context,
    workflow: Workflow,
    request: Mapping[str, Any],
    *,
    headline: str,
    name: str | None,
    wait: bool,
    timeout: float | None,
) -> ExitCode:
    """`begin`, and see it through if `wait`."""
    execution = begin(context, workflow, request, headline=headline, name=name)
    if not wait and execution.running:
        context.output.result(
            execution.as_dict(),
            lambda console: console.print(f"started; watch it with: ops watch {execution.name}"),
        )
        return ExitCode.SUCCESS
    return see_through(context, execution.arn, timeout)


def begin(
    context: Context, workflow: Workflow, request: Mapping[str, Any], *, headline: str, name: str | None
) -> Execution:
    """Start `workflow` with `request`, without what is None in it. `headline`: what is begun, in words."""
    session, output = context.session, context.output
    asked = {key: value for key, value in request.items() if value is not None}
    check(workflow, asked, session.environment)
    asked["requested_by"] = session.caller["arn"]
    operation = str(asked.get("operation", workflow.value))
    execution, is_new = start(session, workflow, asked, name or new_name(operation))
    dry = " (dry run)" if asked.get("dry_run") else ""
    output.say(f"{headline}{dry} on {session.name}, execution {execution.name}", "bold")
    if not is_new:
        output.say(f"it was started before, at {moment(execution.started)}: this is the same one")
    return execution


def check(workflow: Workflow, request: Mapping[str, Any], environment: str) -> None:
    """Refuse here what the state machine's first step would refuse; raises InvalidInputError."""
    from opskit.decisions.request import refuse_contradictions  # noqa: PLC0415 - not needed for --help
    from opskit.schema import validate  # noqa: PLC0415 - not needed for --help

    valid = validate(workflow.value, dict(request))
    if workflow is Workflow.RELEASE:
        refuse_contradictions(valid, environment)


def see_through(context: Context, arn: str, timeout: float | None) -> ExitCode:
    """Follow the execution to its end and report it; leave it running on Ctrl-C or when `timeout` is over."""
    try:
        execution = follow(context, arn, timeout)
    except Detached as detached:
        return leave(context, arn, detached)
    record = _recorded(context, execution)
    document = execution.as_dict() | ({"recorded": record.as_dict()} if record else {})
    context.output.result(document, lambda console: tell(console, execution, record))
    return execution.exit_code


def _recorded(context: Context, execution: Execution) -> "OperationRecord | None":
    """What the ledger has of it: a Fail state has no output, but its record says what was measured."""
    if execution.workflow not in RECORDED:
        return None
    return context.session.ledger.operation_of(execution.workflow.value, execution.name)


def leave(context: Context, arn: str, detached: Detached) -> ExitCode:
    """Tell that the execution goes on while the command stops watching it."""
    code = ExitCode.TIMED_OUT if isinstance(detached, TimedOut) else ExitCode.INTERRUPTED
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


def tell(console: "Console", execution: Execution, record: "OperationRecord | None" = None) -> None:
    """How an ended execution ended, for people."""
    if record is not None and record.outcome:
        facts(console, result_facts(record))
    # What stands in a repair's way is a part of its plan.
    if execution.plan and (not execution.would_be_refused or execution.workflow is Workflow.REMEDIATE):
        render_plan(console, execution.workflow, execution.plan)
    good = execution.exit_code is ExitCode.SUCCESS
    seconds = (execution.stopped - execution.started).total_seconds() if execution.stopped else 0.0
    head = f"{execution.outcome} after {elapsed(seconds)}"
    if execution.error:
        head += f" ({execution.error})"
    if execution.would_be_refused:
        head += ", it would be refused"
    console.print(f"{head}: {brief(execution.reason)}" if execution.reason else head, style="green" if good else "red")
