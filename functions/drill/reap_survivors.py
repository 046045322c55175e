"""The reaper: delete what drills have left behind, and close those that were interrupted. Needs no workflow.

Runs every hour, and when a drill's execution has ended badly; what is due is decided by name, tags and time alone.
"""

import time
from dataclasses import dataclass
from typing import Any

from opskit.adapters.executions import Ended, ended_execution
from opskit.adapters.left_behind import Found, LeftBehind
from opskit.adapters.notifier import Notifier
from opskit.clock import timestamp
from opskit.decisions.drill import LOCK, WORKFLOW, Reap, Survivor, judge_survivor
from opskit.errors import NotReadyError
from opskit.ledger import Lock, OperationRecord
from opskit.step import Run, step

# Longer than this function may run.
LEASE_SECONDS = 360
# A call that was announced before the execution was stopped may take as long as its client's attempts.
CALL_SECONDS = 65
REAPER = "#reaper"
RECORDS = 50
INTERRUPTED = "INTERRUPTED"


@dataclass(frozen=True, slots=True)
class _Interrupted:
    """A drill whose execution has ended without closing its record."""

    record: OperationRecord
    ended: Ended


@step(standalone=True)
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:  # noqa: ARG001 - an event tells that, not what
    """Return what was found and what was done about it. Idempotent: what is gone, closed and free stays so.

    The lock is seized first, so that no step of an ended execution can begin anything any more; what it had announced
    is waited out. Which drills run is read after the resources were listed.
    """
    interrupted = [one for record in _open_records(run) if (one := _interruption(run, record))]
    lock = _seize(run)
    _wait_out(run, interrupted)
    here = run.settings
    left = LeftBehind(here.service, here.environment)
    found = left.listed()
    running = _running(run)
    survivors = [_reap(run, left, one, running) for one in found]
    notable = [one for one in survivors if one is not None and one.decision is not Reap.LEAVE]
    evidence = _write_evidence(run, notable, interrupted)
    for one in interrupted:
        run.ledger.close_operation(
            one.record.key, INTERRUPTED, _reason(one, notable), facts=one.record.facts, evidence=evidence
        )
    if lock is not None:
        run.ledger.release(lock)
    if notable:  # a metric is paid for by the hour in which it gets values; its alarm takes none for well
        run.metrics.add_metric(name="DrillSurvivors", unit="Count", value=len(notable))
    answer = {
        "survivors": [one.as_dict() for one in notable],
        "interrupted": [one.record.execution_name for one in interrupted],
        "evidence": evidence,
    }
    if notable or interrupted:
        _tell(run, answer)
    return answer


def _open_records(run: Run) -> list[OperationRecord]:
    return [record for record in run.ledger.operations(WORKFLOW, RECORDS) if record.outcome is None]


def _interruption(run: Run, record: OperationRecord) -> _Interrupted | None:
    ended = _ended(run, record.execution_id)
    # Read again: the record is closed before its execution ends.
    current = run.ledger.operation_of(WORKFLOW, record.execution_name) if ended else None
    if ended is None or (current is not None and current.key == record.key and current.outcome is not None):
        return None
    return _Interrupted(record, ended)


def _ended(run: Run, arn: str) -> Ended | None:
    """None also for one that cannot be looked up: what it made is deleted when its time is over."""
    try:
        return ended_execution(arn)
    except Exception:
        run.logger.warning("%s could not be looked up", arn, exc_info=True)
        return None


def _seize(run: Run) -> Lock | None:
    """The drills' lock, if an execution that has ended still has it."""
    holder = run.ledger.holder(LOCK)
    if holder is None:
        return None
    arn = holder.owner.removesuffix(REAPER)
    if _ended(run, arn) is None:
        return None
    return run.ledger.seize(holder.owner, f"{arn}{REAPER}", "repair of a drill", LEASE_SECONDS, LOCK)


def _wait_out(run: Run, interrupted: list[_Interrupted]) -> None:
    """A step that had begun before its execution was stopped runs on: until its copy can be listed, or was refused."""
    for one in interrupted:
        events = [event.what for event in one.record.events]
        if events.count("restoring") > events.count("restore begun"):
            since = one.ended.stopped_at or run.clock.now()
            time.sleep(max(0.0, CALL_SECONDS - (run.clock.now() - since).total_seconds()))


def _running(run: Run) -> frozenset[str]:
    return frozenset(
        str(record.facts.get("drill_id")) for record in _open_records(run) if not _ended(run, record.execution_id)
    )


def _reap(run: Run, left: LeftBehind, found: Found, running: frozenset[str]) -> Survivor | None:
    """Delete it if it is due; what could not be deleted is tried again in an hour, and stops none of the others."""
    judged = judge_survivor(found.identifier, found.tags, run.clock.now(), created_at=found.created_at, running=running)
    if judged is None or judged.decision is not Reap.DELETE or judged.drill is None:
        return judged
    try:
        verdict = left.delete(found, judged.drill)
    except NotReadyError as error:
        return Survivor(found.identifier, Reap.DELETE, f"{judged.reason}; not yet: {error}", judged.drill)
    except Exception as error:
        run.logger.exception("%s could not be deleted", found.identifier)
        return Survivor(found.identifier, Reap.ALARM, f"{judged.reason}; not deleted: {error}", judged.drill)
    run.logger.info(verdict.reason, extra={"survivor": found.identifier})
    return Survivor(found.identifier, Reap.DELETE, f"{judged.reason}; {verdict.reason}", judged.drill)


def _reason(one: _Interrupted, notable: list[Survivor]) -> str:
    mine = [survivor.identifier for survivor in notable if survivor.drill == one.record.facts.get("drill_id")]
    cleared = f"deleted: {', '.join(mine)}" if mine else "it had left nothing"
    return f"{one.ended.status.lower()}: {one.ended.cause or 'stopped from outside'}; {cleared}"


def _write_evidence(run: Run, notable: list[Survivor], interrupted: list[_Interrupted]) -> str | None:
    if not notable and not interrupted:
        return None
    body = {
        "at": timestamp(run.clock.now()),
        "survivors": [one.as_dict() for one in notable],
        "interrupted": [
            one.record.as_dict() | {"outcome": INTERRUPTED, "outcome_reason": _reason(one, notable)}
            for one in interrupted
        ],
    }
    return run.evidence.append("reap", run.execution.name, body).key


def _tell(run: Run, answer: dict[str, Any]) -> None:
    here = run.settings
    subject = f"{here.service} {here.environment}: {len(answer['survivors'])} left behind by drills"
    told = [f"{one['identifier']}: {one['reason']}" for one in answer["survivors"]] + [
        f"{name} was interrupted" for name in answer["interrupted"]
    ]
    about = {"kind": "reap", "service": here.service, "environment": here.environment, "reason": "; ".join(told)}
    try:
        Notifier(here.topic_arn).publish(subject, about | answer)
    except Exception:
        run.logger.warning("nobody could be told", exc_info=True)
