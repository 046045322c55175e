"""Remediate, step 1: on record; which alarm, is it firing now, is this the first to say so, and has it a runbook?"""

import math
from datetime import timedelta
from typing import Any

from opskit.adapters.alarms import AlarmReading, Alarms
from opskit.clock import timestamp
from opskit.decisions.admission import Admission, Request, Ruling, admit, request_of, screen
from opskit.decisions.runbook import Runbooks
from opskit.ledger import OperationRecord, Seen
from opskit.runbooks import load_runbooks
from opskit.schema import validate
from opskit.step import Run, step


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return the `verdict` (ADMITTED, DUPLICATE, STALE, UNKNOWN, ESCALATED) with its reason.

    With it the request, the alarm as it is now, its runbook, and the times that the state machine waits by. Changes
    nothing but the ledger, and is safe to repeat.

    Raises:
        InvalidInputError: the input does not fit its schema, or is for another environment.
        MeasurementError: the alarm cannot be read.
        RunbooksError: the environment has no runbooks, or they contradict themselves.
    """
    here, settings = run.settings, event["settings"]
    request = request_of(validate("remediate", event["input"]), here.service, here.environment)
    run.ledger.open_operation(
        OperationRecord(
            workflow=run.workflow,
            execution_id=run.execution.id,
            execution_name=run.execution.name,
            started_at=run.execution.started_at,
            requested_by=request.requested_by,
            reason=request.reason,
            facts={"alarm": request.alarm, "event_id": request.event_id, "dry_run": request.dry_run},
        )
    )
    runbooks = load_runbooks(here.environment, settings["runbook_time_factor"])
    ruling, reading = _rule(run, request, runbooks)
    runbook = runbooks.by_alarm.get(request.alarm)
    alarm: dict[str, Any] = {"name": request.name, "suffix": request.alarm}
    if reading:
        alarm |= reading.state.as_dict()
    give_up = runbooks.give_up_seconds
    return {
        "verdict": ruling.outcome.value,
        "reason": ruling.reason,
        "facts": ruling.facts,
        "request": request.as_dict(),
        "alarm": alarm,
        "runbook": runbook.as_dict() if runbook else None,
        "told_elsewhere": request.alarm in runbooks.notify_only,
        "strikes_allowed": runbooks.strikes,
        # Nobody waits for a rehearsal's sake; and whole seconds are all that a Wait state takes.
        "settle_seconds": 0 if request.dry_run else _whole(runbooks.settle_seconds),
        "defer_seconds": _whole(runbooks.defer_seconds),
        "give_up_at": timestamp(run.clock.now() + timedelta(seconds=runbooks.settle_seconds + give_up)),
    }


def _rule(run: Run, request: Request, runbooks: Runbooks) -> tuple[Ruling, AlarmReading | None]:
    now = run.clock.now()
    if (early := screen(request, runbooks, now)) is not None:
        return early, None
    (reading,) = Alarms().read([request.name])
    ruling = admit(request, runbooks, reading.state, _seen(run, request, runbooks, reading), now)
    if ruling.outcome is Admission.STALE and request.dry_run:
        # What would be done is worth knowing before the alarm fires.
        return Ruling(Admission.ADMITTED, f"{ruling.reason}; this is a dry run", ruling.facts), reading
    return ruling, reading


def _seen(run: Run, request: Request, runbooks: Runbooks, reading: AlarmReading) -> Seen | None:
    """What the ledger knows of this transition; only an event about the alarm that was read is noted."""
    state, window = reading.state, runbooks.flapping.window_seconds
    if not state.firing or request.arn not in (None, state.arn):
        return None
    if request.by_person:
        return run.ledger.seen_so_far(request.alarm, run.execution.name, window)
    return run.ledger.seen(request.alarm, state.since, run.execution.name, window)


def _whole(seconds: float) -> int:
    return max(1, math.ceil(seconds))
