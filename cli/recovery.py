"""What `ops status` tells of recovery: where the data is, the last backup, the last drill, the objectives."""

from typing import TYPE_CHECKING, Any

from cli.commands.objectives import last_report
from cli.options import Context
from cli.output import brief, elapsed, moment
from cli.workflows import Workflow

if TYPE_CHECKING:
    from opskit.ledger import OperationRecord

# Among so many records there is one that tells something, or none.
_LOOKED_THROUGH = 50
# They say nothing about backups and drills: they made none.
_EMPTY = frozenset({"PLANNED", "DUPLICATE", "REFUSED"})


def read_endpoints(context: Context) -> dict[str, str]:
    """`host:port` of the database and the cache that the service uses now."""
    from opskit.adapters.endpoints import CACHE, DATABASE, Endpoints  # noqa: PLC0415 - not needed for --help

    session = context.session
    endpoints = Endpoints(session.service, session.environment, session.client("ssm"))
    return {kind: endpoints.read(kind).text for kind in (DATABASE, CACHE)}


def last_snapshot(context: Context) -> dict[str, Any] | None:
    """The last snapshot run that ended, and when the last complete one did; None if there was none."""
    records = _ended(context, Workflow.SNAPSHOT)
    if not records:
        return None
    complete = next((record for record in records if record.outcome == "COMPLETE"), None)
    return _told(records[0]) | {"last_complete_at": complete and complete.ended_at}


def last_drill(context: Context) -> dict[str, Any] | None:
    """The last drill that ended, and when the last one passed; None if there was none."""
    records = _ended(context, Workflow.DRILL)
    if not records:
        return None
    passed = next((record for record in records if record.outcome == "PASS"), None)
    return _told(records[0]) | {"last_passed_at": passed and passed.ended_at}


def objectives_now(context: Context) -> dict[str, Any] | None:
    """The overall verdict of the last report, when it was made, and whether it is stale; None without a report."""
    report = last_report(context)
    if report is None:
        return None
    return {name: report[name] for name in ("outcome", "reason", "judged_at", "age_seconds", "stale")}


def rows_of(told: dict[str, Any]) -> list[tuple[str, Any]]:
    """The lines of `ops status` for what the functions above gave."""
    rows: list[tuple[str, Any]] = []
    endpoints = told["endpoints"]
    if "unreadable" in endpoints:
        rows.append(("endpoints", f"unreadable: {endpoints['unreadable']}"))
    else:
        rows += [(kind, f"at {text}") for kind, text in endpoints.items()]
    rows.append(("last snapshot", _run_words(told["last_snapshot"], "COMPLETE", "last_complete_at", "complete")))
    rows.append(("last drill", _run_words(told["last_drill"], "PASS", "last_passed_at", "passed")))
    rows.append(("objectives", _objectives_words(told["objectives"])))
    return rows


def _ended(context: Context, workflow: Workflow) -> "list[OperationRecord]":
    """The records that ended and tell something, newest first."""
    records = context.session.ledger.operations(workflow.value, _LOOKED_THROUGH)
    return [record for record in records if record.outcome and record.outcome not in _EMPTY]


def _told(record: "OperationRecord") -> dict[str, Any]:
    return {
        "execution_name": record.execution_name,
        "outcome": record.outcome,
        "outcome_reason": record.outcome_reason,
        "started_at": record.started_at,
        "ended_at": record.ended_at,
    }


def _run_words(run: dict[str, Any] | None, good: str, last_good: str, word: str) -> str:
    if run is None:
        return "none yet"
    if "unreadable" in run:
        return f"unreadable: {run['unreadable']}"
    words = f"{run['execution_name']}  {run['outcome']}  {moment(run['ended_at'])}"
    if run["outcome"] == good:
        return words
    last = f"the last that was {word}: {moment(run[last_good])}" if run[last_good] else f"none was {word} lately"
    return f"{words}  {brief(run['outcome_reason'] or '')}; {last}"


def _objectives_words(told: dict[str, Any] | None) -> str:
    if told is None:
        return "not judged yet"
    if "unreadable" in told:
        return f"unreadable: {told['unreadable']}"
    stale = f"STALE, judged {elapsed(told['age_seconds'])} ago: " if told["stale"] else ""
    return f"{stale}{told['outcome']}  {brief(told['reason'])}"
