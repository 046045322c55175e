"""`ops watch`: attach to an execution, running or ended."""

from typing import Annotated

import typer

from cli.commands.run import PATIENCE, Patience, see_through
from cli.executions import locate, running
from cli.exits import ExitCode, Failure
from cli.options import Context, command, not_empty


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    command(app, "watch")(watch)


def watch(
    context: Context,
    execution: Annotated[
        str | None,
        typer.Argument(
            metavar="EXECUTION", callback=not_empty, help="Name or ARN; by default the one that is running."
        ),
    ] = None,
    timeout: Patience = PATIENCE,
) -> ExitCode:
    """Watch an execution; show one that has ended.

    The exit code tells how it ended. Ctrl-C stops watching, not the execution.
    """
    arn = locate(context.session, execution).arn if execution else _the_running_one(context)
    return see_through(context, arn, timeout)


def _the_running_one(context: Context) -> str:
    found = running(context.session)
    if not found:
        raise Failure(ExitCode.UNREACHABLE, "NothingRunning", "nothing is running; `ops history` lists what has run")
    if len(found) > 1:
        others = ", ".join(arn.rpartition(":")[2] for arn in found[1:])
        context.output.say(f"of {len(found)} that run, this is the newest; the others: {others}", "yellow")
    return found[0]
