"""Release: an execution was stopped from outside, or ran out of time; make whole what it left behind.

Started by the rule on Step Functions execution status changes, at least once for each
(https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html).
"""

from typing import Any

from opskit.adapters.balancer import Balancer
from opskit.adapters.cluster import Cluster
from opskit.adapters.notifier import Notifier
from opskit.decisions.repair import Repair, choose_colour
from opskit.errors import ClusterError
from opskit.ledger import Lock, ReleaseRecord
from opskit.step import Run, step
from opskit.traffic import Colour, Weights

# Longer than this function may run, so that nobody else takes the lock meanwhile.
LEASE_SECONDS = 300
OUTCOMES = {"ABORTED": "ABORTED", "TIMED_OUT": "TIMED_OUT", "FAILED": "FAILED"}


@step(standalone=True)
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return what was repaired. Does nothing unless the ended execution still holds the lock, so it is idempotent.

    The lock is seized with a higher fencing token first: a step of the dead execution that is still running can
    change nothing from then on.
    """
    detail = event["detail"]
    lock = run.ledger.seize(
        detail["executionArn"],
        owner=f"{detail['executionArn']}#repair",
        purpose=f"repair after {detail['status']}",
        lease_seconds=LEASE_SECONDS,
    )
    if lock is None:
        return {"repaired": False, "reason": f"{detail['name']} does not hold the lock"}
    record = run.ledger.record_of(detail["name"])
    repair = _restore(run, lock, record)
    _close(run, detail, record, repair)
    run.ledger.release(lock)
    return {"repaired": True, "reason": repair.reason, "colour": repair.colour and repair.colour.value}


def _restore(run: Run, lock: Lock, record: ReleaseRecord | None) -> Repair:
    balancer = Balancer(run.platform)
    live = run.ledger.live()
    healthy = {colour: balancer.targets(colour).healthy for colour in Colour}
    repair = choose_colour(balancer.weights(), live.colour if live else None, healthy)
    if repair.colour is None:
        return repair
    run.ledger.hold(lock, LEASE_SECONDS)
    confirmed = balancer.set_weights(Weights.all_to(repair.colour))
    if record is not None:
        run.ledger.update_record(record.key, "traffic restored", confirmed.as_dict(), weights=confirmed, intent=None)
    idle = repair.colour.other
    # Only what the dead execution deployed: an old version kept warm on purpose stays warm.
    if record is not None and record.to_colour == idle and record.has_event("deployed"):
        _stop(run, lock, idle, record.execution_name)
    return repair


def _stop(run: Run, lock: Lock, idle: Colour, session_name: str) -> None:
    """Traffic is whole already, so a failure here is told, not raised."""
    try:
        run.ledger.hold(lock, LEASE_SECONDS)
        Cluster.connect(run.platform, session_name=session_name).scale(idle, 0)
    except ClusterError:
        run.logger.warning("%s was left running", idle, exc_info=True)


def _close(run: Run, detail: dict[str, Any], record: ReleaseRecord | None, repair: Repair) -> None:
    outcome = OUTCOMES[detail["status"]]
    reason = f"{detail['status'].lower()}: {detail.get('cause') or 'stopped from outside'}; {repair.reason}"
    if record is not None:
        evidence = run.evidence.append(
            "repair", detail["name"], record.as_dict() | {"outcome": outcome, "outcome_reason": reason}
        )
        run.ledger.update_record(record.key, evidence=evidence.key)
        run.ledger.close_record(record.key, outcome, reason, repair=True)
    Notifier(run.settings.topic_arn).publish(
        f"{run.settings.service} {run.settings.environment}: release {outcome.lower()}",
        {"kind": outcome, "execution": detail["executionArn"], "reason": reason},
    )
