"""Roll back: traffic to where it was. Needs no approval, no analysis, and nothing but the balancer and the ledger."""

from typing import Any

from opskit.adapters.balancer import Balancer
from opskit.errors import OldColourUnavailableError
from opskit.step import Run, step
from opskit.traffic import Weights
from opskit.verdict import Outcome, Verdict


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return PASS once the balancer reads back the weights from before the first shift.

    The old colour is warm until the bake has passed, so the shift is at once. WAIT: it has too few healthy targets, and
    traffic on nothing would make matters worse; bring its pods back and ask again. After the rollout's time any healthy
    target will do. FAIL: the new version has been recorded as live, so there is nothing to go back to. Idempotent.

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
    live = run.ledger.live()
    if live is not None and live.release == run.execution.name:
        return _verdict(Outcome.FAIL, f"{live.image} is recorded as live", since, moved=False)
    balancer = Balancer(run.platform)
    if balancer.weights() == wanted:
        return _verdict(Outcome.PASS, f"traffic is where it was: {wanted.words}", since, moved=False)
    old = wanted.whole
    if old is not None and plan["from_image"]:
        healthy = balancer.targets(old).healthy
        late = now - since > event["settings"]["rollout_timeout_seconds"]
        if late and healthy == 0:
            raise OldColourUnavailableError(f"{old} has no healthy target after {now - since:.0f} s")
        if not late and healthy < max(1, plan["replicas"] // 2):
            reason = f"{old} has {healthy} healthy targets of {plan['replicas']}; its pods are being brought back"
            return _verdict(Outcome.WAIT, reason, since, moved=False)
    run.intend(event, "restoring traffic", wanted.as_dict(), weights=wanted)
    confirmed = balancer.set_weights(wanted)
    run.ledger.update_record(run.record_key, "traffic restored", confirmed.as_dict(), weights=confirmed, intent=None)
    return _verdict(Outcome.PASS, f"traffic is back where it was: {confirmed.words}", since, moved=True)


def _verdict(outcome: Outcome, reason: str, since: float, *, moved: bool) -> dict[str, Any]:
    return Verdict(outcome, reason, {"since": since, "moved": moved}).as_dict()
