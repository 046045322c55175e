"""Drill, last step of every path: judge, write evidence, close the record, free the lock, tell people."""

from typing import Any

from opskit.adapters.notifier import Notifier
from opskit.decisions.drill import LOCK, WORKFLOW, drill_id
from opskit.decisions.drill_outcome import RECOVERED, judge_drill
from opskit.ledger import Lock, OperationRecord
from opskit.step import Run, step
from opskit.verdict import Outcome, Verdict


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return the drill's outcome, PASS or FAIL, with what was measured. Safe to repeat.

    Runs also for an execution that was refused before it had a record, or the lock. What fails before the lock is freed
    leaves the rest to the reaper; that people could not be told fails nothing.
    """
    judged = _judge(event, run)
    facts = judged.facts
    record = run.ledger.operation_of(WORKFLOW, run.execution.name)
    if record is None or record.started_at != run.execution.started_at:  # names come again after 90 days
        record = _open(event, run)
    measured = {name: facts[name] for name in ("rto_seconds", "rpo_seconds", "checks")}
    evidence = run.evidence.append(
        WORKFLOW,
        run.execution.name,
        record.as_dict()
        | {"outcome": judged.outcome.value, "outcome_reason": judged.reason, "facts": record.facts | measured}
        | {name: event[name] for name in ("request", "plan", "results", "teardown")}
        | {"recovery_time": facts["recovery_time"], "recovery_point": facts["recovery_point"]},
        at=run.execution.started_at,
    )
    run.ledger.close_operation(
        record.key, judged.outcome.value, judged.reason, facts=record.facts | measured, evidence=evidence.key
    )
    _free_lock(event, run)
    run.metrics.add_metric(name="DrillPassed", unit="Count", value=int(judged.outcome is Outcome.PASS))
    answer = {"outcome": judged.outcome.value, "reason": judged.reason, "evidence": evidence.key}
    answer |= {"drill_id": record.facts["drill_id"], **measured}
    _tell(run, record, answer)
    return answer


def _judge(event: dict[str, Any], run: Run) -> Verdict:
    plan, request = event["plan"] or {}, event["request"] or {}
    failure = event["failure"]
    words = f"{failure['state']}: {failure['cause']}" if failure["state"] else None
    if plan.get("decision") == "REFUSE":
        words = plan["reason"]
    components = plan.get("components", ())
    return judge_drill(
        event["results"] or [],
        expected=[*(name for name in RECOVERED if name in components), "objects"],
        declared_at=run.execution.started_at,
        target_seconds=request.get("recovery_time_seconds", 0),
        failure=words,
        left=(event["teardown"] or {}).get("left", ()),
    )


def _open(event: dict[str, Any], run: Run) -> OperationRecord:
    """A record of what was refused: nothing was made, so it names nothing."""
    given = event["request"] or event["input"]
    asked = given if isinstance(given, dict) else {}
    plan = event["plan"] or {}
    record = OperationRecord(
        workflow=WORKFLOW,
        execution_id=run.execution.id,
        execution_name=run.execution.name,
        started_at=run.execution.started_at,
        requested_by=_text(asked.get("requested_by")),
        reason=_text(asked.get("reason")),
        facts={
            "drill_id": drill_id(run.execution.name, run.execution.started_at),
            "names": {},
            **{name: plan[name] for name in ("method", "components", "manifest") if name in plan},
        },
    )
    run.ledger.open_operation(record)
    return record


def _text(given: Any) -> str | None:
    """An input that was refused may have anything anywhere."""
    return given if isinstance(given, str) else None


def _free_lock(event: dict[str, Any], run: Run) -> None:
    """Also one that was taken by a step whose answer was lost."""
    if event["lock"]:
        run.ledger.release(Lock.from_dict(event["lock"]))
        return
    holder = run.ledger.holder(LOCK)
    if holder is not None and holder.owner == run.execution.id:
        run.ledger.release(Lock(holder.owner, holder.fence, name=LOCK))


def _tell(run: Run, record: OperationRecord, answer: dict[str, Any]) -> None:
    here = run.settings
    who = {"requested_by": record.requested_by, "request_reason": record.reason}
    about = {"kind": WORKFLOW, "service": here.service, "environment": here.environment, "execution": run.execution.id}
    subject = f"{here.service} {here.environment}: drill {answer['outcome'].lower()}"
    try:
        Notifier(here.topic_arn).publish(subject, about | who | answer)
    except Exception:
        run.logger.warning("nobody could be told", exc_info=True)
