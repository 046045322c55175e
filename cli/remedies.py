"""What is known of repairs, for people: the record of one, the plan of one, and what `ops status` tells of them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cli.output import brief, elapsed, facts, moment, table
from cli.workflows import Workflow

if TYPE_CHECKING:
    from rich.console import Console

    from cli.options import Context
    from opskit.ledger import OperationRecord

_LOOKED_THROUGH = 50
# They say nothing about repairs: there was nothing to do, or nothing that could be.
_NOTHING = frozenset({"DUPLICATE", "STALE", "UNKNOWN", "PLANNED"})


def told(record: "OperationRecord") -> dict[str, Any]:
    """What alarm, what was done about it, and what came of it, in one flat document; None for what there is not.

    `acted`: whether something was, or may have been, changed.
    """
    known = record.facts
    return {
        "alarm": known.get("alarm"),
        "execution": record.execution_name,
        "requested_by": record.requested_by,
        "started_at": record.started_at,
        "ended_at": record.ended_at,
        "outcome": record.outcome,
        "reason": record.outcome_reason,
        "action": known.get("action"),
        "acted": any(event.what == "acting" for event in record.events),
        "done": known.get("done"),
        "seconds": known.get("seconds"),
        "evidence": record.evidence,
    }


def remedy_times(record: "OperationRecord") -> list[tuple[str, str]]:
    """How long it took from the alarm to the action, and from there until the alarm was OK; only what was measured."""
    took = record.facts.get("seconds") if record.workflow == Workflow.REMEDIATE else None
    if not isinstance(took, Mapping):
        return []
    names = {"alarm_to_action": "alarm to action", "action_to_ok": "action to OK"}
    return [(words, elapsed(took[name])) for name, words in names.items() if name in took]


def would_be_left(plan: Mapping[str, Any]) -> bool:
    """Whether what was planned would not be done: a guardrail leaves it to people, or no action applies."""
    judged = plan.get("checks")
    if not isinstance(judged, list):
        return False
    against = next((check["verdict"] for check in judged if check["verdict"] not in ("ACT", "PLANNED")), None)
    return against in ("SUPPRESS", "ESCALATE") or (against is None and not plan.get("action"))


def render_remedy_plan(console: "Console", plan: Mapping[str, Any]) -> None:
    """What would be done, and what each guardrail says of it."""
    facts(
        console,
        [
            ("action", plan.get("action")),
            ("would", plan.get("words")),
            ("on", plan.get("resource")),
        ],
    )
    guards(console, plan.get("checks") or ())


def guards(console: "Console", judged: Any) -> None:
    """One line for each guardrail: what it says, and why."""
    rows = [(one["guard"].replace("_", " "), one["verdict"], brief(one.get("reason") or "")) for one in judged]
    if rows:
        console.print()
        table(console, ("GUARDRAIL", "SAYS", "WHY"), rows)


def repairs(context: "Context") -> dict[str, Any]:
    """The switch, the mode of the runbooks, and the runbooks that only people may start."""
    from opskit.errors import RunbooksError  # noqa: PLC0415 - not needed for --help

    session = context.session
    now = datetime.now(UTC)
    state = session.switch.read()
    switch = state.as_dict() | {"paused": state.holds(now), "unreadable": state.unreadable, "words": state.words}
    try:
        runbooks = session.runbooks
    except RunbooksError as error:
        return {"switch": switch, "mode": None, "blocked": [], "problem": str(error)}
    states = {alarm: session.ledger.remedy_state(alarm) for alarm in runbooks.by_alarm}
    blocked = [
        {"alarm": alarm, "strikes": one.strikes, "blocked_by": one.blocked_by}
        for alarm, one in states.items()
        if one.blocked_by
    ]
    return {"switch": switch, "mode": runbooks.mode, "blocked": blocked, "problem": None}


def last_repair(context: "Context") -> dict[str, Any] | None:
    """The last remediation that ended and was about something; None if there was none."""
    records = context.session.ledger.operations(Workflow.REMEDIATE.value, _LOOKED_THROUGH)
    ended = (told(record) for record in records if record.outcome and record.outcome not in _NOTHING)
    return next(ended, None)


def repairs_rows(found: Mapping[str, Any], last: Mapping[str, Any] | None) -> list[tuple[str, Any]]:
    """The lines of `ops status` for what `repairs` and `last_repair` found."""
    return [*_switch_rows(found), ("last repair", _last_words(last))]


def _last_words(last: Mapping[str, Any] | None) -> str:
    if last is None:
        return "none yet"
    if "unreadable" in last:
        return f"unreadable: {last['unreadable']}"
    words = (last["execution"], last["alarm"], last["outcome"], moment(last["ended_at"]), brief(last["reason"] or ""))
    return "  ".join(str(word) for word in words if word)


def _switch_rows(found: Mapping[str, Any]) -> list[tuple[str, Any]]:
    if "unreadable" in found:
        return [("repairs", f"unreadable: {found['unreadable']}")]
    switch = found["switch"]
    if switch["unreadable"]:
        words = f"PAUSED: {switch['words']}"
    elif switch["paused"]:
        ends = f"until {moment(switch['until'])}" if switch["until"] else "until `ops resume`"
        words = f"PAUSED {ends} by {switch['by'] or 'somebody'}: {switch['reason'] or 'no reason given'}"
    elif found["mode"] == "dry_run":
        words = "planned and told, nothing is changed (mode dry_run)"
    else:
        words = found["problem"] or "on"
    rows = [("repairs", words)]
    rows += [
        (
            "blocked",
            f"{one['alarm']}: {one['strikes']} repairs in a row did not help, the last {one['blocked_by']}; "
            f"ops resume --alarm {one['alarm']}",
        )
        for one in found["blocked"]
    ]
    return rows
