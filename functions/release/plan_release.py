"""Release, step 2: what will be done, from what runs now; run again under the lock before anything changes."""

from typing import Any

from opskit.adapters.balancer import Balancer
from opskit.adapters.cluster import Cluster
from opskit.adapters.metrics import Metrics
from opskit.decisions.plan import Observed, Plan, plan_release, plan_rollback
from opskit.step import Run, step
from opskit.traffic import Colour


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return the plan: PROCEED, NOTHING_TO_DO or REFUSE, with the reason. Changes nothing.

    With `lock` in the event, the lock is checked and its lease renewed, so that the plan holds until the next step; an
    approval that came meanwhile goes on record.

    Raises:
        LockHeldError: another operation is under way; the message names it.
    """
    request = event["request"]
    if not event.get("lock"):
        # Whatever differs while another operation is under way is that operation's doing, not drift.
        run.ledger.refuse_if_held(run.execution.id)
    else:
        run.hold(event)
        if approval := event.get("approval"):
            run.ledger.update_record(run.record_key, "approved", approval, approval=approval)
    observed = _observe(run, alarms=request["operation"] == "release")
    plan = plan_rollback(observed) if request["operation"] == "rollback" else plan_release(request, observed)
    return _described(plan, observed)


def _observe(run: Run, *, alarms: bool) -> Observed:
    balancer = Balancer(run.platform)
    cluster = Cluster.connect(run.platform, session_name=run.execution.name)
    names = run.platform.release_alarms
    return Observed(
        weights=balancer.weights(),
        deployments={colour: cluster.deployment(colour) for colour in Colour},
        healthy_targets={colour: balancer.targets(colour).healthy for colour in Colour},
        live=run.ledger.live(),
        alarms=Metrics(run.platform).alarms(names) if alarms and names else (),
    )


def _described(plan: Plan, observed: Observed) -> dict[str, Any]:
    return plan.as_dict() | {
        "weights_before": observed.weights.as_dict(),
        "live_revision": observed.live.revision if observed.live else None,
    }
