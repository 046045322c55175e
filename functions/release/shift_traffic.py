"""Release: move a share of the traffic, and know that it moved."""

from datetime import timedelta
from typing import Any

from opskit.adapters.balancer import Balancer
from opskit.adapters.metrics import Metrics
from opskit.errors import DriftError, MeasurementError
from opskit.step import Run, step
from opskit.traffic import Colour, Weights


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Write intent, write the weights, read them back, record them.

    Every attempt starts by reading the balancer, so a retry after a write that succeeded changes nothing. On the first
    step, the old version is measured beforehand: in an all-at-once shift there is nothing to compare with afterwards.

    Raises:
        LockLostError: another execution has taken the lock.
        DriftError: too few healthy targets to take the traffic over.
        WeightsNotConfirmedError: the balancer did not read back what was written.
    """
    plan, index = event["plan"], event["step"]
    new, old = Colour(plan["to_colour"]), Colour(plan["from_colour"])
    wanted = Weights.split(new, plan["steps"][index]["weight"])
    run.hold(event)
    balancer = Balancer(run.platform)
    baseline = event.get("baseline")
    if index == 0 and plan["analyse"] and baseline is None:
        baseline = _measure(run, old, event["settings"])
    targets = balancer.targets(new)
    if targets.healthy < plan["required_healthy"]:
        raise DriftError(
            f"{new} has {targets.healthy} healthy targets, {plan['required_healthy']} are needed to take traffic"
        )
    before = balancer.weights()
    run.intend(event, "shifting traffic", wanted.as_dict(), weights=wanted)
    confirmed = balancer.set_weights(wanted)
    now = run.clock.now()
    run.ledger.update_record(run.record_key, "traffic shifted", confirmed.as_dict(), weights=confirmed, intent=None)
    return {
        "before": before.as_dict(),
        "weights": confirmed.as_dict(),
        "shifted_at": now.timestamp(),
        "first_shifted_at": event.get("first_shifted_at") or now.timestamp(),
        "baseline": baseline,
    }


def _measure(run: Run, colour: Colour, settings: dict[str, Any]) -> dict[str, Any] | None:
    now = run.clock.now()
    start = now - timedelta(seconds=settings["baseline_seconds"])
    try:
        sample = Metrics(run.platform).traffic(colour, start, now, settings["metric_period_seconds"])
    except MeasurementError:
        # Without a baseline the bake judges by absolute limits; it is stricter, not blind.
        run.logger.warning("the baseline could not be read", exc_info=True)
        return None
    return sample.as_dict()
