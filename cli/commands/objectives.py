"""`ops objectives`: whether the recovery objectives hold."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.commands.run import PATIENCE, Patience
from cli.executions import new_name
from cli.exits import ExitCode, Failure
from cli.options import Context, command
from cli.output import elapsed, moment, table
from cli.workflows import Workflow

if TYPE_CHECKING:
    from rich.console import Console

REPORT = "objectives/latest.json"
# They are judged every five minutes; after three times that nobody has, the report says nothing about now.
STALE = timedelta(minutes=15)

# It takes seconds; with every retry of an unreachable source, a minute.
NOW_SECONDS = 120.0
POLL_SECONDS = 0.3

_STYLES = {"PASS": "green", "FAIL": "red", "INCONCLUSIVE": "yellow"}


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    command(app, "objectives")(objectives)


def objectives(
    context: Context,
    now: Annotated[bool, typer.Option("--now", help="Judge them now, instead of showing the last report.")] = False,
    timeout: Patience = PATIENCE,
) -> ExitCode:
    """Show whether the recovery objectives hold, and why not.

    The exit code is 0 only if every one holds: 1 if one does not, 6 if one could not be judged, or if the last report
    is older than 15 minutes.
    """
    report = _judged_now(context, timeout or NOW_SECONDS) if now else last_report(context)
    if report is None:
        message = f"there is no report {REPORT} in {context.session.platform.backup_bucket} yet; ops objectives --now"
        raise Failure(ExitCode.UNREACHABLE, "ReportNotFound", message)
    context.output.result(report, lambda console: _show(console, report))
    return verdict_code(report)


def _judged_now(context: Context, seconds: float) -> dict[str, Any]:
    """Start an execution and wait for its report: an express one cannot be followed in any other way."""
    session = context.session
    name = new_name(Workflow.OBJECTIVES.value)
    session.client("stepfunctions").start_execution(
        stateMachineArn=session.machine_arn(Workflow.OBJECTIVES), name=name, input="{}"
    )
    context.output.say(f"objectives, judged now on {session.name}, execution {name}", "bold")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        report = last_report(context)
        if report is not None and report.get("execution") == name:
            return report
        time.sleep(POLL_SECONDS)
    message = (
        f"no report of {name} after {seconds:.0f} s. If the execution failed, its log says why: "
        f"/aws/vendedlogs/states/{session.machine_name(Workflow.OBJECTIVES)}; `ops objectives` shows the last report"
    )
    raise Failure(ExitCode.TIMED_OUT, "NoReport", message)


def last_report(context: Context) -> dict[str, Any] | None:
    """The last report with its `age_seconds` and whether it is `stale`, by this machine's clock; None if none is there.

    Raises Failure if it cannot be understood.
    """
    from opskit.clock import moment_of  # noqa: PLC0415 - not needed for --help
    from opskit.errors import NotFoundError  # noqa: PLC0415

    try:
        content = context.session.backups.get(REPORT)
    except NotFoundError:
        return None
    try:
        report = json.loads(content)
        judged_at = moment_of(report["judged_at"])
        outcome, reason, judged = str(report["outcome"]), str(report["reason"]), dict(report["objectives"])
    except (KeyError, TypeError, ValueError) as error:
        problem = f"{REPORT} is not a report: {type(error).__name__}: {error}; ops objectives --now writes a new one"
        raise Failure(ExitCode.FAILED, "ReportMalformed", problem) from None
    age = datetime.now(UTC) - judged_at
    return {
        **report,
        "outcome": outcome,
        "reason": reason,
        "objectives": judged,
        "judged_at": judged_at,
        "age_seconds": round(age.total_seconds(), 1),
        "stale": age > STALE,
    }


def verdict_code(report: dict[str, Any]) -> ExitCode:
    """What a report exits with."""
    if report["outcome"] == "FAIL":
        return ExitCode.FAILED
    if report["outcome"] != "PASS" or report["stale"]:
        return ExitCode.INCONCLUSIVE
    return ExitCode.SUCCESS


def _show(console: "Console", report: dict[str, Any]) -> None:
    rows = [
        (
            name.replace("_", " "),
            str(verdict["outcome"]),
            _below(verdict["facts"].get("target_seconds")),
            _seconds(verdict["facts"].get("seconds")),
            str(verdict["reason"]),
        )
        for name, verdict in report["objectives"].items()
    ]
    table(console, ("OBJECTIVE", "VERDICT", "TARGET", "VALUE", "REASON"), rows)
    console.print()
    for problem in report.get("problems") or ():
        console.print(f"note: {problem}", style="yellow")
    since = f", so since {moment(report['since'])}" if report.get("since") else ""
    outcome = report["outcome"]
    console.print(f"{outcome}, judged {moment(report['judged_at'])}{since}", style=_STYLES.get(outcome))
    if report["stale"]:
        old = elapsed(report["age_seconds"])
        console.print(f"STALE: the report is {old} old; nobody has judged since. ops objectives --now", style="red")


def _below(seconds: Any) -> str:
    return f"< {elapsed(seconds)}" if isinstance(seconds, int | float) else "-"


def _seconds(seconds: Any) -> str:
    return elapsed(seconds) if isinstance(seconds, int | float) else "-"
