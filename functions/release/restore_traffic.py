"""Roll back: traffic to where it was. Reachable from every state; needs no approval and no analysis."""

from typing import Any

from opskit.adapters.balancer import Balancer
from opskit.adapters.cluster import Cluster
from opskit.errors import OldColourUnavailableError
from opskit.step import Run, step
from opskit.traffic import Colour, Weights
from opskit.verdict import Outcome, Verdict


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return PASS once the balancer reads back the weights from before; WAIT while the old pods have to come back.

    The old colour is warm until the bake has passed, so the shift is at once. Where it has no healthy target, its
    Deployment is scaled up and the answer is WAIT: moving traffic onto nothing would make matters worse. Idempotent.

    Raises:
        LockLostError: another execution has taken the lock, and with it the duty to restore.
        OldColourUnavailableError: the old pods did not come back within the rollout's time.
        WeightsNotConfirmedError: the balancer did not read back what was written.
    """
    plan = event["plan"]
    wanted = Weights.from_dict(plan["weights_before"])
    now = run.clock.now().timestamp()
    since = event["restoring_since"] or now
    run.hold(event)
    balancer = Balancer(run.platform)
    if balancer.weights() == wanted:
        return _verdict(Outcome.PASS, f"traffic is where it was: {wanted.as_dict()}", since, moved=False)
    old = wanted.whole
    if old is not None and balancer.targets(old).healthy == 0 and plan["from_image"]:
        if now - since > event["settings"]["rollout_timeout_seconds"]:
            raise OldColourUnavailableError(f"{old} has no healthy target after {now - since:.0f} s")
        _start_pods(run, plan, old)
        return _verdict(Outcome.WAIT, f"{old} has no healthy target; its pods are being started", since, moved=False)
    run.ledger.update_record(run.record_key, intent=wanted)
    confirmed = balancer.set_weights(wanted)
    run.ledger.update_record(run.record_key, "traffic shifted", confirmed.as_dict(), weights=confirmed, intent=None)
    return _verdict(Outcome.PASS, f"traffic is back where it was: {confirmed.as_dict()}", since, moved=True)


def _start_pods(run: Run, plan: dict[str, Any], colour: Colour) -> None:
    Cluster.connect(run.platform, session_name=run.execution.name).deploy(
        colour,
        image=plan["from_image"],
        replicas=plan["replicas"],
        annotations={"detection-ops/release": run.execution.name},
    )


def _verdict(outcome: Outcome, reason: str, since: float, *, moved: bool) -> dict[str, Any]:
    return Verdict(outcome, reason, {"since": since, "moved": moved}).as_dict()
