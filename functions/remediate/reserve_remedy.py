"""Remediate, step 3: everything judged once more, then the lock on the resource and a place under the hourly cap."""

from typing import Any

from opskit.decisions.guardrails import Stand
from opskit.errors import LockHeldError
from opskit.ledger import Lock
from opskit.remediation import View, look
from opskit.step import Run, step

RESERVED = "RESERVED"
ROLLBACK = "roll_back_release"


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return the `verdict`: RESERVED with `plan`, `action` and `lock`; or, with neither, why not (WAIT, ESCALATE, ...).

    The lock comes first and the last look after it, so that two alarms about one resource cannot both find it free.
    Safe to repeat: an execution has one lock and one place. Where the execution was stopped meanwhile and its record is
    closed, nothing is reserved: nobody would free it. A rollback is announced here, for a workflow of its own makes it.

    Raises:
        MeasurementError: the alarm, or one that comes before it, cannot be read.
    """
    admission, settings = event["admission"], event["settings"]
    seconds = settings["lease_seconds"]
    if event["plan"]["action"] == ROLLBACK:
        seconds += settings["rollback_seconds"]
    name, purpose = f"remedy:{admission['runbook']['about']}", f"the repair of {admission['alarm']['suffix']}"
    try:
        lock = run.ledger.acquire(run.execution.id, purpose, seconds, name)
    except LockHeldError as error:
        return _not_now(Stand.WAIT, f"busy: {error}")
    # Not before the lock is taken: `settle_interrupted_remediation` looks for a lock once more after it has closed.
    if (outcome := _closed(run)) is not None:
        run.ledger.release(lock)
        return _not_now(Stand.ESCALATE, f"this execution has ended, and its record is closed: {outcome}")
    view = look(run, admission, settings)
    verdict, reason = _judge(run, event, view)
    if verdict != RESERVED:
        run.ledger.release(lock)
        return _not_now(verdict, reason) | {"checks": view.as_dict()["checks"]}
    return _reserved(run, view, lock, reason)


def _closed(run: Run) -> str | None:
    record = run.ledger.operation_of(run.workflow, run.execution.name)
    return record.outcome if record else None


def _judge(run: Run, event: dict[str, Any], view: View) -> tuple[str, str]:
    found, plan = view.as_dict(), event["plan"]
    if found["verdict"] != Stand.ACT:
        return found["verdict"], found["reason"]
    if found["digest"] != plan["digest"]:
        # What was planned, and perhaps approved, is what is done, or it is planned anew.
        return Stand.WAIT, f"what would be done has changed from {plan['words']!r} to {found['words']!r}"
    place = run.ledger.reserve(
        view.runbook.alarm,
        found["resource_arn"],
        run.execution.name,
        view.runbooks.hourly_cap,
        run.clock.now(),
        window_seconds=view.runbooks.cap_window_seconds,
    )
    return (RESERVED, place.reason) if place.reserved else (Stand.ESCALATE, f"cap: {place.reason}")


def _reserved(run: Run, view: View, lock: Lock, reason: str) -> dict[str, Any]:
    plan = view.as_dict()
    facts = {"action": plan["action"], "words": plan["words"], "resource": plan["resource_arn"]}
    what = "acting" if plan["action"] == ROLLBACK else "reserved"
    run.ledger.note(run.operation_key, what, facts | {"place": reason}, lock=lock)
    return {"verdict": RESERVED, "reason": reason, "action": plan["action"], "plan": plan, "lock": lock.as_dict()}


def _not_now(verdict: str, reason: str) -> dict[str, Any]:
    return {"verdict": str(verdict), "reason": reason, "action": None, "plan": None, "lock": None}
