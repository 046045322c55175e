"""Restore: an execution ended without closing; the endpoints are made whole, the record closed, the lock freed.

Told by the rule on Step Functions execution status changes, which AWS sends with best effort
(https://docs.aws.amazon.com/eventbridge/latest/ref/events-ref-states.html); therefore also run on a schedule, which
looks for open records, and for a lock, whose execution has ended.
"""

import time
from dataclasses import dataclass
from typing import Any

from opskit.adapters.copies import Copies, endpoint_of
from opskit.adapters.endpoints import Endpoints
from opskit.adapters.executions import Ended, ended_execution, state_machine_of, told_end
from opskit.adapters.notifier import Notifier
from opskit.decisions.interruption import NOT_MOVED, Interrupted, WayBack, way_back
from opskit.decisions.restore_report import removal
from opskit.ledger import Lock, OperationRecord
from opskit.step import Run, step

WORKFLOW = "restore"
# Longer than this function may run, so that nobody else takes the lock meanwhile.
LEASE_SECONDS = 300
# A step that had begun before the execution ended runs on: its function's timeout, and some.
STEP_SECONDS = 35
REPAIR = "#repair"
# How many of the last records are looked through for one that was never closed.
RECORDS = 20


@dataclass(frozen=True, slots=True)
class _Work:
    """What is being repaired: the execution that ended, its record if it has one, and the lock if it held it."""

    ended: Ended
    record: OperationRecord | None
    lock: Lock | None


@step(standalone=True)
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return what was repaired. Does nothing for an execution that has closed and freed all, so it is idempotent."""
    found = [told_end(event, _machine(run))] if "detail" in event else _overlooked(run)
    repaired = [done for ended in found if (done := _repair(run, ended)) is not None]
    return {"repaired": repaired}


def _repair(run: Run, ended: Ended) -> dict[str, Any] | None:
    owner, purpose = f"{ended.arn}{REPAIR}", f"repair after {ended.status}"
    lock = run.ledger.seize(ended.arn, owner=owner, purpose=purpose, lease_seconds=LEASE_SECONDS)
    record = run.ledger.operation_of(WORKFLOW, ended.name)
    if record is not None and record.execution_id != ended.arn:
        record = None
    work = _Work(ended, record, lock)
    if lock is None and (record is None or record.outcome is not None):
        return None
    try:
        reason = f"{ended.status.lower()}: {ended.cause or 'stopped from outside'}; {_make_whole(run, work).reason}"
        _close(run, work, reason)
    finally:
        if lock is not None:
            run.ledger.release(lock)
    return {"execution": ended.name, "reason": reason}


def _make_whole(run: Run, work: _Work) -> WayBack:
    """The endpoints back where they were, unless the service had been verified with what was restored."""
    if work.record is None or work.lock is None:
        return WayBack(NOT_MOVED, "nothing had been cut over")
    seen = Interrupted.of(work.record)
    if not seen.swaps:
        return WayBack(NOT_MOVED, "nothing had been cut over")
    if seen.under_way:
        stopped = work.ended.stopped_at or run.clock.now()
        time.sleep(max(0.0, STEP_SECONDS - (run.clock.now() - stopped).total_seconds()))
    endpoints, copies = Endpoints(run.settings.service, run.settings.environment), Copies()
    now = {swap.kind: endpoints.read(swap.kind.value).text for swap in seen.swaps}
    if seen.verified and all(now[swap.kind] == swap.to_endpoint for swap in seen.swaps):
        return WayBack(
            NOT_MOVED,
            "the service had been verified with what was restored and stays there; look at its tags, backup=true among "
            "them, and at its protection against deletion",
        )
    there = {
        swap.kind: state is not None and endpoint_of(state) == swap.from_endpoint
        for swap in seen.swaps
        for state in [copies.state(swap.kind, swap.from_name)]
    }
    way = way_back(seen.swaps, now, there)
    for swap in way.swaps:
        run.ledger.hold(work.lock, LEASE_SECONDS)
        endpoints.swap(swap.kind.value, swap.from_endpoint, swap.to_endpoint)
    return way


def _close(run: Run, work: _Work, reason: str) -> None:
    names: dict[str, str] = work.record.facts.get("copies", {}) if work.record else {}
    remove = [removal(kind, name) for kind, name in names.items()]
    evidence = None
    if work.record is not None:
        facts = {**work.record.facts, **_where(run, work.record)}
        try:
            body = work.record.as_dict() | {"outcome": "INTERRUPTED", "outcome_reason": reason, "facts": facts}
            evidence = run.evidence.append("repair", work.ended.name, body, at=work.record.started_at).key
        except Exception:
            run.logger.exception("no evidence of the repair could be written")
            reason = f"{reason}; no evidence could be written"
        run.ledger.close_operation(work.record.key, "INTERRUPTED", reason, facts=facts, evidence=evidence)
    Notifier(run.settings.topic_arn).publish(
        f"{run.settings.service} {run.settings.environment}: restore interrupted",
        {
            "kind": "RESTORE",
            "outcome": "INTERRUPTED",
            "service": run.settings.service,
            "environment": run.settings.environment,
            "execution": work.ended.arn,
            "requested_by": work.record.requested_by if work.record else None,
            "request_reason": work.record.reason if work.record else None,
            "reason": reason,
            "copies": names,
            "remove_unless_live": remove,
        },
    )


def _where(run: Run, record: OperationRecord) -> dict[str, Any]:
    """The endpoints as they are now, and the swaps that hold."""
    endpoints = Endpoints(run.settings.service, run.settings.environment)
    seen = Interrupted.of(record)
    now = {swap.kind: endpoints.read(swap.kind.value).text for swap in seen.swaps}
    hold = [swap.as_dict() for swap in seen.swaps if now[swap.kind] == swap.to_endpoint]
    tags = (record.facts.get("plan") or {}).get("tags", {})
    return {"endpoints": {kind.value: text for kind, text in now.items()}, "swapped": hold, "tags": tags}


def _machine(run: Run) -> str:
    return f"{run.settings.service}-{run.settings.environment}-{WORKFLOW}"


def _overlooked(run: Run) -> list[Ended]:
    """The executions of this workflow that have ended, and left a lock or an open record behind."""
    machine = _machine(run)
    arns = {record.execution_id for record in run.ledger.operations(WORKFLOW, RECORDS) if record.outcome is None}
    holder = run.ledger.holder()
    if holder is not None and not (holder.owner.endswith(REPAIR) and not holder.expired):
        arns.add(holder.owner.removesuffix(REPAIR))
    ours = sorted(arn for arn in arns if state_machine_of(arn) == machine)
    return [ended for arn in ours if (ended := ended_execution(arn)) is not None]
