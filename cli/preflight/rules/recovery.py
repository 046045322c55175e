"""Whether there is a way back: a backup, a drill that passed, objectives that hold."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from cli.output import brief, elapsed, moment
from cli.preflight.finding import Finding, failed, passed, unknown
from opskit.decisions.objectives import Targets

RUNBOOK = "docs/runbooks/recovery.md"
_DEFAULTS = Targets()


def target_of(report: Mapping[str, Any] | None, objective: str) -> timedelta:
    """How old it may be, by the last report of the objectives, whose targets are the stack's; else the default."""
    judged = ((report or {}).get("objectives") or {}).get(objective) or {}
    seconds = (judged.get("facts") or {}).get("target_seconds", getattr(_DEFAULTS, objective))
    return timedelta(seconds=float(seconds))


def judge_backup(run: Mapping[str, Any] | None, limit: timedelta, now: datetime) -> Finding:
    """The last snapshot run: complete, and young enough. `run` is as `cli.recovery.last_snapshot` tells it."""
    return _judge_run(run, limit, now, good="COMPLETE", last="last_complete_at", what="backup", command="ops snapshot")


def judge_drill(run: Mapping[str, Any] | None, limit: timedelta, now: datetime) -> Finding:
    """The last drill: passed, and young enough."""
    return _judge_run(run, limit, now, good="PASS", last="last_passed_at", what="drill", command="ops drill")


def judge_report(report: Mapping[str, Any] | None) -> Finding:
    """The last report of the recovery objectives."""
    again = "ops objectives --now"
    if report is None:
        return unknown("the objectives were never judged", again)
    facts = {name: report[name] for name in ("outcome", "judged_at", "age_seconds", "stale")}
    reason = brief(str(report["reason"]))
    if report["outcome"] == "FAIL":
        return failed(reason, f"{RUNBOOK}; then {again}", **facts)
    if report["stale"]:
        return unknown(f"the last report is {elapsed(report['age_seconds'])} old: {reason}", again, **facts)
    if report["outcome"] != "PASS":
        return unknown(reason, f"{RUNBOOK}; then {again}", **facts)
    return passed(f"{reason}, judged {moment(report['judged_at'])}", **facts)


def _judge_run(
    run: Mapping[str, Any] | None, limit: timedelta, now: datetime, *, good: str, last: str, what: str, command: str
) -> Finding:
    if run is None:
        return failed(f"there was no {what} yet", command)
    facts = dict(run)
    name, outcome, good_at = run["execution_name"], run["outcome"], run[last]
    if outcome != good:
        since = f"the last good one was {moment(good_at)}" if good_at else "none was good lately"
        reason = f"the last {what}, {name}, came to {outcome}: {brief(run['outcome_reason'] or '')}; {since}"
        return failed(reason, f"ops history {name}, {RUNBOOK}; then {command}", **facts)
    age = now - run["ended_at"]
    words = f"{name}: {outcome} {elapsed(age.total_seconds())} ago"
    if age > limit:
        advice = f"see why its schedule did not run; {command}"
        return failed(f"{words}; it may be {elapsed(limit.total_seconds())} old", advice, **facts)
    return passed(words, **facts)
