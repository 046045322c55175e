"""Remediate: an execution ended without closing; its record is closed, its action counted, its lock freed.

Told by the rule on Step Functions execution status changes, which AWS sends with best effort
(https://docs.aws.amazon.com/eventbridge/latest/ref/events-ref-states.html); therefore also run on a schedule, which
looks for open records whose execution has ended. What an action has changed stays: it was within its bounds.
"""

from datetime import UTC, datetime
from typing import Any

from opskit.adapters.executions import Ended, ended_execution
from opskit.adapters.notifier import Notifier
from opskit.decisions.runbook import Runbooks
from opskit.errors import RunbooksError
from opskit.ledger import Lock, OperationRecord
from opskit.runbooks import load_runbooks
from opskit.step import Run, step

WORKFLOW = "remediate"
# An action that had begun before the execution ended runs on: its function's timeout, and some. So long nobody else
# repairs the resource.
ACTION_SECONDS = 65
SETTLING = "#settling"
# How many of the last records are looked through for one that was never closed: more than an hour of a storm has.
RECORDS = 250


@step(standalone=True)
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return what was settled. Does nothing for an execution that has closed, so it is idempotent."""
    found = [_from_event(event, run)] if "detail" in event else _overlooked(run)
    return {"settled": [done for ended, record in found if (done := _settle(run, ended, record)) is not None]}


def _from_event(event: dict[str, Any], run: Run) -> tuple[Ended, OperationRecord]:
    """The execution that has ended and its record; one that ended before it was on record gets one now."""
    detail = event["detail"]
    ended = Ended(
        arn=detail["executionArn"],
        name=detail["name"],
        status=detail["status"],
        cause=detail.get("cause"),
        stopped_at=_moment(detail["stopDate"]) if detail.get("stopDate") else None,
    )
    known = run.ledger.operation_of(WORKFLOW, ended.name)
    if known is not None and known.execution_id == ended.arn:
        return ended, known
    record = OperationRecord(WORKFLOW, ended.arn, ended.name, _moment(detail["startDate"]))
    run.ledger.open_operation(record)
    return ended, record


def _overlooked(run: Run) -> list[tuple[Ended, OperationRecord]]:
    opened = [record for record in run.ledger.operations(WORKFLOW, RECORDS) if record.outcome is None]
    looked = [(ended_execution(record.execution_id), record) for record in opened]
    return [(ended, record) for ended, record in looked if ended is not None]


def _settle(run: Run, ended: Ended, record: OperationRecord) -> dict[str, Any] | None:
    lock = _seize(run, ended, record)
    # Its action could begin until the lock was seized.
    record = run.ledger.operation_of(WORKFLOW, ended.name) or record
    if lock is None and record.outcome is not None:
        return None
    reason = f"{ended.status.lower()}: {ended.cause or 'stopped from outside'}"
    if record.outcome is None:
        reason = _close(run, ended, record, reason)
        # A reservation that was under way may have taken the lock as long as the record was open; later ones do not.
        lock = lock or _seize(run, ended, record)
    if lock is not None and not _acted(record):
        run.ledger.release(lock)
    return {"execution": ended.name, "reason": reason}


def _seize(run: Run, ended: Ended, record: OperationRecord) -> Lock | None:
    """The lock that the execution had, if any. It goes by itself after an action, which may still be under way."""
    runbooks = _runbooks(run)
    runbook = runbooks.by_alarm.get(record.facts.get("alarm") or "") if runbooks else None
    if runbook is None:
        return None
    owner, purpose = f"{ended.arn}{SETTLING}", f"settling after {ended.status}"
    return run.ledger.seize(ended.arn, owner=owner, purpose=purpose, lease_seconds=ACTION_SECONDS, name=runbook.lock)


def _close(run: Run, ended: Ended, record: OperationRecord, reason: str) -> str:
    alarm, acted = record.facts.get("alarm"), _acted(record)
    reason += "; whether its action helped was not seen" if acted else "; it had not acted"
    # Who stops an execution has looked at it; what ended by itself counts like any action that did not help.
    if acted and alarm and ended.status != "ABORTED":
        runbooks = _runbooks(run)
        if runbooks and run.ledger.struck(alarm, ended.name, runbooks.strikes).blocked_by is not None:
            reason += f"; from now on only people act, until `ops resume --alarm {alarm}`"
    evidence = None
    facts = record.facts | {"acted": acted}
    try:
        body = record.as_dict() | {"outcome": "INTERRUPTED", "outcome_reason": reason, "facts": facts}
        evidence = run.evidence.append(WORKFLOW, ended.name, body, at=record.started_at).key
    except Exception:
        run.logger.exception("no evidence of the interruption could be written")
        reason += "; no evidence could be written"
    run.ledger.close_operation(record.key, "INTERRUPTED", reason, facts=facts, evidence=evidence)
    here = run.settings
    Notifier(here.topic_arn).publish(
        f"{here.service} {here.environment}: {alarm or 'an alarm'}: remediation interrupted",
        {"kind": "REMEDIATION", "outcome": "INTERRUPTED", "execution": ended.arn, "alarm": alarm, "reason": reason},
    )
    return reason


def _runbooks(run: Run) -> Runbooks | None:
    """Where there are none, nothing has been locked and nothing done."""
    try:
        return load_runbooks(run.settings.environment)
    except RunbooksError:
        return None


def _acted(record: OperationRecord) -> bool:
    return any(event.what == "acting" for event in record.events)


def _moment(milliseconds: float) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
