"""Remediate, last step of every path: the outcome, strikes, evidence, record, lock, and people are told."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from opskit.adapters.notifier import Notifier
from opskit.clock import moment_of, timestamp
from opskit.decisions.remedy_outcome import STRIKES, Ending, judge_remediation
from opskit.ledger import Lock, OperationRecord
from opskit.step import Run, step

WORKFLOW = "remediate"
# These leave everything as it was and are no news: another execution is at it, or the alarm itself has told people.
QUIET = frozenset({"DUPLICATE", "STALE", "RECOVERED"})

# What a record has a place of its own for.
NO_FACTS = frozenset({"outcome", "error", "reason", "evidence"})


@dataclass(frozen=True, slots=True)
class _Closing:
    """What is being closed: its ending, its record, and whether its runbook is left to people from now on."""

    ending: Ending
    record: OperationRecord
    blocked: bool

    @property
    def began_at(self) -> datetime | None:
        """When the action was announced, None if nothing was changed."""
        return next((event.at for event in self.record.events if event.what == "acting"), None)


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return the report: `outcome`, `error` (empty for an execution that ends well), `reason` and what was done.

    Runs also for an execution whose first step failed. Safe to repeat. The lock is freed after the record is closed:
    whatever fails before leaves the duty with `settle_interrupted_remediation`.
    """
    ending = judge_remediation(event)
    record = _record(run, event)
    closing = _Closing(ending, record, _strike(run, event, ending, record))
    report = _report(event, closing)
    if ending.outcome != "DUPLICATE":
        body = record.as_dict() | {"outcome": ending.outcome, "outcome_reason": report["reason"]}
        left = {name: event[name] for name in ("admission", "plan", "approval", "reservation", "acted", "watched")}
        evidence = run.evidence.append(
            WORKFLOW, run.execution.name, body | {"report": report, **left}, at=run.execution.started_at
        )
        report["evidence"] = evidence.key
    run.ledger.close_operation(
        record.key,
        ending.outcome,
        report["reason"],
        facts=record.facts | {name: value for name, value in report.items() if name not in NO_FACTS},
        evidence=report["evidence"],
    )
    _free_lock(run, event)
    _tell(run, event, report)
    return report


def _record(run: Run, event: dict[str, Any]) -> OperationRecord:
    """The record as the first step opened it, or one for what was refused before it had any."""
    known = run.ledger.operation_of(WORKFLOW, run.execution.name)
    if known is not None and known.started_at == run.execution.started_at:  # names come again after 90 days
        return known
    given = event["input"] if isinstance(event["input"], dict) else {}
    record = OperationRecord(
        workflow=WORKFLOW,
        execution_id=run.execution.id,
        execution_name=run.execution.name,
        started_at=run.execution.started_at,
        requested_by=_text(given.get("requested_by")),
        reason=_text(given.get("reason")),
        facts={"alarm": _text(given.get("alarm")), "event_id": _text(given.get("id")), "dry_run": False},
    )
    run.ledger.open_operation(record)
    return record


def _text(given: Any) -> str | None:
    """An input that was refused may have anything anywhere."""
    return given if isinstance(given, str) else None


def _strike(run: Run, event: dict[str, Any], ending: Ending, record: OperationRecord) -> bool:
    """Count an action that did not help, and forget those before one that did; True if people must act from now on."""
    admission = event["admission"]
    if not admission or not any(one.what == "acting" for one in record.events):
        return False
    alarm = admission["alarm"]["suffix"]
    if ending.outcome == "RESOLVED":
        run.ledger.cleared(alarm)
        return False
    if ending.outcome not in STRIKES:
        return False
    state = run.ledger.struck(alarm, run.execution.name, admission["strikes_allowed"])
    return state.blocked_by is not None


def _report(event: dict[str, Any], closing: _Closing) -> dict[str, Any]:
    admission, plan = event["admission"] or {}, (event["reservation"] or {}).get("plan") or event["plan"] or {}
    alarm, acted, watched = admission.get("alarm") or {}, event["acted"] or {}, event["watched"] or {}
    reason = closing.ending.reason
    if closing.blocked:
        reason += f"; from now on only people act, until `ops resume --alarm {alarm['suffix']}`"
    return {
        "outcome": closing.ending.outcome,
        "error": closing.ending.error,
        "reason": reason,
        "alarm": alarm.get("suffix") or closing.record.facts.get("alarm"),
        "alarm_since": alarm.get("since"),
        "runbook": (admission.get("runbook") or {}).get("alarm"),
        "action": plan.get("action"),
        "words": plan.get("words"),
        "resource": plan.get("resource_arn"),
        "acted": closing.began_at is not None,
        "done": acted.get("what") if acted.get("done") else None,
        "acted_at": timestamp(closing.began_at) if closing.began_at else None,
        "verified_at": watched.get("at") if watched.get("outcome") == "PASS" else None,
        "seconds": _seconds(alarm.get("since"), closing.began_at, watched),
        "checks": plan.get("checks"),
        "blocked": closing.blocked,
        "evidence": None,
    }


def _seconds(since: str | None, began: datetime | None, watched: dict[str, Any]) -> dict[str, float] | None:
    """From the alarm to the action, and from there to OK."""
    if since is None or began is None:
        return None
    took = {"alarm_to_action": round((began - moment_of(since)).total_seconds(), 3)}
    if watched.get("outcome") == "PASS":
        took["action_to_ok"] = round((moment_of(watched["at"]) - began).total_seconds(), 3)
    return took


def _free_lock(run: Run, event: dict[str, Any]) -> None:
    """Also one that was taken by a step whose answer was lost."""
    runbook = (event["admission"] or {}).get("runbook")
    if runbook is None:
        return
    name = f"remedy:{runbook['about']}"
    holder = run.ledger.holder(name)
    if holder is not None and holder.owner == run.execution.id:
        run.ledger.release(Lock(holder.owner, holder.fence, name=name))


def _tell(run: Run, event: dict[str, Any], report: dict[str, Any]) -> None:
    admission = event["admission"] or {}
    asked = (admission.get("request") or {}).get("dry_run", False)
    if report["outcome"] in QUIET or asked or (report["outcome"] == "UNKNOWN" and admission["told_elsewhere"]):
        return
    here = run.settings
    subject = f"{here.service} {here.environment}: {report['alarm']}: remediation {report['outcome'].lower()}"
    try:
        Notifier(here.topic_arn).publish(subject, {"kind": "REMEDIATION", "execution": run.execution.id} | report)
    except Exception:
        run.logger.warning("nobody could be told", exc_info=True)
