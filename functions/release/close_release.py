"""Release, last step of every path: measure what clients felt, write evidence, close the record, free the lock."""

from datetime import UTC, datetime
from typing import Any

from opskit.adapters.metrics import Metrics
from opskit.errors import MeasurementError
from opskit.ledger import Lock, ReleaseRecord
from opskit.step import Run, step
from opskit.traffic import Colour, Weights


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return the closed record: `outcome`, `reason`, `suffered`, `evidence`. Safe to repeat.

    Runs also for an execution that was refused before it held the lock; then there is a record but no lock to free.
    The lock is freed last: whatever fails before that leaves the duty with the repair function.
    """
    outcome, reason = event["outcome"], event["reason"]
    plan, request = event.get("plan") or {}, event.get("request") or _object(event.get("input"))
    record = run.ledger.record_of(run.execution.name)
    if record is None or record.started_at != run.execution.started_at:  # names come again after 90 days
        record = _open(run, plan, request)
    suffered = _suffered(run, event)
    evidence = run.evidence.append(
        "release",
        run.execution.name,
        record.as_dict() | {"outcome": outcome, "outcome_reason": reason, "plan": plan, "suffered": suffered},
        at=run.execution.started_at,
    )
    run.ledger.update_record(record.key, evidence=evidence.key)
    run.ledger.close_record(record.key, outcome, reason, suffered=suffered)
    if event.get("lock"):
        run.ledger.release(Lock.from_dict(event["lock"]))
    return {"outcome": outcome, "reason": reason, "suffered": suffered, "evidence": evidence.key}


def _object(given: Any) -> dict[str, Any]:
    """An input may be any JSON; what is no object has nothing to put on record."""
    return given if isinstance(given, dict) else {}


def _open(run: Run, plan: dict[str, Any], request: dict[str, Any]) -> ReleaseRecord:
    record = ReleaseRecord(
        execution_id=run.execution.id,
        execution_name=run.execution.name,
        operation=str(request.get("operation", "release")),
        requested_by=request.get("requested_by"),
        reason=request.get("reason"),
        image=plan.get("image") or request.get("image"),
        digest=plan.get("digest"),
        from_colour=_colour(plan.get("from_colour")),
        to_colour=_colour(plan.get("to_colour")),
        strategy=request.get("strategy"),
        override_alarms=request.get("override_alarms"),
        started_at=run.execution.started_at,
        weights=Weights.from_dict(plan["weights_before"]) if plan else None,
    )
    run.ledger.open_record(record)
    return record


def _colour(name: str | None) -> Colour | None:
    return Colour(name) if name else None


def _suffered(run: Run, event: dict[str, Any]) -> dict[str, Any] | None:
    """Requests that the new version served, and how many of them failed, since it first had traffic."""
    shift = event.get("shift")
    if not shift or not event["plan"]["analyse"]:
        return None
    now = run.clock.now()
    try:
        sample = Metrics(run.platform).traffic(
            Colour(event["plan"]["to_colour"]),
            datetime.fromtimestamp(shift["first_shifted_at"], UTC),
            now,
            event["settings"]["metric_period_seconds"],
            from_silence=True,
        )
    except MeasurementError:
        run.logger.warning("what clients felt could not be measured", exc_info=True)
        return {"measured": False}
    return {"measured": True, "until": now.isoformat(), "requests": sample.requests, "failed": sample.errors}
