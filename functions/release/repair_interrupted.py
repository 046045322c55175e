"""Release: an execution ended without freeing the lock; make whole what it left behind.

Told by the rule on Step Functions execution status changes, which AWS sends with best effort
(https://docs.aws.amazon.com/eventbridge/latest/ref/events-ref-states.html); therefore also run on a schedule, which
looks for a lock whose execution has ended.
"""

import time
from dataclasses import dataclass
from typing import Any

from opskit.adapters.balancer import Balancer
from opskit.adapters.executions import Ended, ended_execution, state_machine_of, told_end
from opskit.adapters.functions import invoke
from opskit.adapters.notifier import Notifier
from opskit.decisions.repair import Repair, choose_colour, home_of
from opskit.ledger import Lock, ReleaseRecord
from opskit.step import Run, step
from opskit.traffic import Colour, Weights

# Longer than this function may run, so that nobody else takes the lock meanwhile.
LEASE_SECONDS = 300
# A step that had begun before the execution ended runs on: its function's timeout, and some.
STEP_SECONDS = 35
# Between two looks at whether such a step has confirmed what it did.
LOOK_SECONDS = 1.0
# Between the weights' being whole and the idle pods' being stopped: the balancer's nodes learn of weights one by one.
DRAIN_SECONDS = 5
REPAIR = "#repair"


@dataclass(frozen=True, slots=True)
class _Work:
    """What is being repaired: the execution that ended, its record if it has one, and the seized lock."""

    ended: Ended
    record: ReleaseRecord | None
    lock: Lock


@step(standalone=True)
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return what was repaired. Does nothing unless an ended execution still holds the lock, so it is idempotent.

    The lock is seized with a higher fencing token first, and every change is announced in the record under the old one:
    so what may still be under way is known, and waited out before the lock is freed.
    """
    ended = told_end(event, _machine(run)) if "detail" in event else _from_lock(run)
    if ended is None:
        return {"repaired": False, "reason": "no ended execution holds the lock"}
    lock = _seize(run, ended)
    if lock is None:
        return {"repaired": False, "reason": f"{ended.name} does not hold the lock"}
    work = _Work(ended, run.ledger.record_of(ended.name), lock)
    repair = _restore(run, work)
    stopped = _stop_new_colour(run, work, repair)
    _wait_out(run, work)
    if work.record is not None and _may_be_under_way(work.record):
        repair = _restore(run, work)
    reason = f"{ended.status.lower()}: {ended.cause or 'stopped from outside'}; {repair.reason}{stopped}"
    try:
        _tell(run, work, reason)
    finally:
        run.ledger.release(lock)
    return {"repaired": True, "reason": reason, "colour": repair.colour and repair.colour.value}


def _machine(run: Run) -> str:
    return f"{run.settings.service}-{run.settings.environment}-release"


def _from_lock(run: Run) -> Ended | None:
    holder = run.ledger.holder()
    if holder is None or (holder.owner.endswith(REPAIR) and not holder.expired):
        return None
    arn = holder.owner.removesuffix(REPAIR)
    if state_machine_of(arn) != _machine(run):
        return None  # a restore holds the same lock, and has a repair of its own
    return ended_execution(arn)


def _seize(run: Run, ended: Ended) -> Lock | None:
    owner, purpose = f"{ended.arn}{REPAIR}", f"repair after {ended.status}"
    return run.ledger.seize(ended.arn, owner=owner, purpose=purpose, lease_seconds=LEASE_SECONDS)


def _restore(run: Run, work: _Work) -> Repair:
    """All traffic to where it belongs, if the execution had moved any; what others moved is theirs."""
    record = work.record
    if record is None or not (record.has_event("shifting traffic") or record.has_event("restoring traffic")):
        return Repair(None, "it had moved no traffic")
    balancer = Balancer(run.platform)
    weights = balancer.weights()
    healthy = {colour: balancer.targets(colour).healthy for colour in Colour}
    repair = choose_colour(weights, home_of(record, run.ledger.live(), weights), healthy)
    if repair.colour is None or weights == Weights.all_to(repair.colour):
        return repair
    run.ledger.hold(work.lock, LEASE_SECONDS)
    confirmed = balancer.set_weights(Weights.all_to(repair.colour))
    run.ledger.update_record(record.key, "traffic repaired", confirmed.as_dict(), weights=confirmed)
    return repair


def _stop_new_colour(run: Run, work: _Work, repair: Repair) -> str:
    """Stop the pods that the execution started, unless traffic is on them; a failure is told, not raised."""
    record = work.record
    if record is None or record.to_colour is None or not record.has_event("deploying"):
        return ""
    if repair.colour == record.to_colour:
        return ""
    if repair.colour is not None:
        time.sleep(DRAIN_SECONDS)
    try:
        # The function that reaches the cluster from inside the VPC; the weights above need neither.
        invoke(
            f"{run.settings.service}-{run.settings.environment}-release-scale-down",
            {
                "execution": {
                    "id": record.execution_id,
                    "name": record.execution_name,
                    "start_time": record.started_at.isoformat(),
                },
                "settings": {"lease_seconds": LEASE_SECONDS},
                "lock": work.lock.as_dict(),
                "colour": record.to_colour.value,
            },
        )
    except Exception:
        run.logger.warning("%s was left running", record.to_colour, exc_info=True)
        return f"; {record.to_colour} was left running"
    return f"; {record.to_colour} was stopped"


def _may_be_under_way(record: ReleaseRecord) -> bool:
    """A change was announced and not confirmed when the lock was seized."""
    begun = sum(event.what == "deploying" for event in record.events)
    done = sum(event.what == "deployed" for event in record.events)
    return record.intent is not None or begun > done


def _wait_out(run: Run, work: _Work) -> None:
    """Until what was announced is confirmed, and its step changes nothing more; or until that can run no longer."""
    if work.record is None:
        return
    stopped = work.ended.stopped_at or run.clock.now()
    left = STEP_SECONDS - (run.clock.now() - stopped).total_seconds()
    record: ReleaseRecord | None = work.record
    while left > 0 and record is not None and _may_be_under_way(record):
        time.sleep(min(LOOK_SECONDS, left))
        left -= LOOK_SECONDS
        record = run.ledger.record_of(work.ended.name)


def _tell(run: Run, work: _Work, reason: str) -> None:
    outcome, record = work.ended.status, work.record
    if record is not None:
        changes: dict[str, Any] = {"intent": None}
        try:
            body = run.ledger.record_of(record.execution_name) or record
            facts = body.as_dict() | {"outcome": outcome, "outcome_reason": reason}
            changes["evidence"] = run.evidence.append("repair", record.execution_name, facts, at=record.started_at).key
        except Exception:
            run.logger.exception("no evidence of the repair could be written")
            reason = f"{reason}; no evidence could be written"
        run.ledger.update_record(record.key, **changes)
        run.ledger.close_record(record.key, outcome, reason, repair=True)
    Notifier(run.settings.topic_arn).publish(
        f"{run.settings.service} {run.settings.environment}: release {outcome.lower()}",
        {
            "kind": outcome,
            "service": run.settings.service,
            "environment": run.settings.environment,
            "execution": work.ended.arn,
            "image": record.image if record else None,
            "requested_by": record.requested_by if record else None,
            "request_reason": record.reason if record else None,
            "reason": reason,
        },
    )
