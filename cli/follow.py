"""Live progress: polls an execution's history and prints each line as it becomes final."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cli.executions import Execution, History, describe
from cli.options import Context
from cli.output import brief, elapsed
from cli.progress import Line, Progress, Status

if TYPE_CHECKING:
    from rich.text import Text

# Off a terminal a long state says this often, in seconds, that it is still there: no CI job must look dead.
HEARTBEAT_SECONDS = 30.0
# Seconds between two reads of the history; AWS throttles GetExecutionHistory per account, the sandbox does not.
POLL_SECONDS = 1.0
LOCAL_POLL_SECONDS = 0.5
# An execution stopped from outside shows in its history; this many polls without news ask for its status too.
_QUIET_POLLS = 5

_STYLES = {
    Status.DONE: ("ok", "green"),
    Status.FAILED: ("failed", "red"),
    Status.ABORTED: ("aborted", "yellow"),
    Status.WAITING: ("ended", "yellow"),
    Status.RUNNING: ("...", "cyan"),
    Status.DECISION: ("...", "magenta"),
}


class Detached(Exception):  # noqa: N818 - a way to leave, not an error
    """The command stopped watching while the execution goes on."""


class TimedOut(Detached):
    """The time to wait was over."""


def follow(context: Context, arn: str, timeout: float | None = None) -> Execution:
    """Watch the execution until it ends and return it.

    Args:
        context: of the command.
        arn: the execution.
        timeout: seconds to wait at most, by this machine's clock; None waits on.

    Raises:
        TimedOut: `timeout` seconds are over.
        Detached: Ctrl-C.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    try:
        with _display(context) as show:
            return _watch(context, arn, deadline, show)
    except KeyboardInterrupt:
        raise Detached from None


def _watch(context: Context, arn: str, deadline: float | None, show: Callable[[Line | None, float], None]) -> Execution:
    history = History(context.session, arn)
    progress = Progress()
    pause = LOCAL_POLL_SECONDS if context.session.is_local else POLL_SECONDS
    quiet: int | None = None
    asked = ""
    seen_at = time.monotonic()
    while True:
        events = history.new_events()
        if events:
            # The first look may come long after what it sees; from then on, this machine's pace is exact enough.
            seen_at = time.monotonic() - (0.0 if quiet is not None else _age(events[-1]))
        quiet = 0 if events else (quiet or 0) + 1
        for line in progress.feed(events):
            context.output.people.print(render(line))
        current = progress.current
        if current is not None and current.status is Status.DECISION and current.state != asked:
            asked = current.state
            name = arn.rpartition(":")[2]
            context.output.say(
                f"{'':>8}  waiting for a decision: ops approve {name}  |  ops reject {name} --reason TEXT", "magenta"
            )
        show(current, time.monotonic() - seen_at)
        if progress.ending is not None or quiet >= _QUIET_POLLS:
            quiet = 0
            execution = describe(context.session, arn)
            if not execution.running:
                return execution
        if deadline is not None and time.monotonic() >= deadline:
            raise TimedOut
        time.sleep(pause)


def _age(event: Mapping[str, Any]) -> float:
    """Seconds since the event, never less than 0, which a clock that differs from AWS's would make it."""
    at: datetime = event["timestamp"]
    return max(0.0, (datetime.now(UTC) - at).total_seconds())


def render(line: Line, since: float = 0.0) -> "Text":
    """One line of progress; `since` is the seconds since the last event, for a line under way."""
    from rich.text import Text  # noqa: PLC0415 - slow to import, and --help needs none

    word, style = _STYLES[line.status]
    text = Text(f"{elapsed(line.total + since):>8}  ")
    text.append(f"{word:<8}", style)
    text.append(line.state, "bold")
    if line.status in (Status.DONE, Status.FAILED, Status.ABORTED, Status.WAITING):
        text.append(f"  {elapsed(line.seconds)}")
    if line.visits > 1:
        text.append(f"  x{line.visits}")
    if line.attempts > 1:
        text.append(f"  after {line.attempts} attempts")
    if line.reason:
        unsettled = f"{line.outcome}: " if line.outcome == "INCONCLUSIVE" else ""
        text.append(f"  {unsettled}{brief(line.reason)}", "red" if line.status is Status.FAILED else "dim")
    if line.pause and line.status is Status.WAITING:
        text.append(f"  ({line.pause})", "dim")
    return text


@contextlib.contextmanager
def _display(context: Context) -> Iterator[Callable[[Line | None, float], None]]:
    """How the line under way is shown: a spinner on a terminal, now and then a plain line elsewhere."""
    people = context.output.people
    if people.is_terminal:
        with people.status("starting") as status:

            def spin(line: Line | None, since: float) -> None:
                status.update(render(line, since) if line else "starting")

            yield spin
        return
    last = time.monotonic()

    def beat(line: Line | None, since: float) -> None:
        nonlocal last
        if not since:
            last = time.monotonic()
        elif line is not None and time.monotonic() - last >= HEARTBEAT_SECONDS:
            last = time.monotonic()
            people.print(render(line, since))

    yield beat
