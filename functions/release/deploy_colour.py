"""Release: a version onto a colour; as a rule onto the idle one, where no client can reach it yet."""

from typing import Any

from opskit.adapters.balancer import Balancer
from opskit.adapters.cluster import Cluster
from opskit.errors import ClusterError, DriftError
from opskit.step import Run, step
from opskit.traffic import Colour


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Set `image` and the plan's replicas on `colour`. Safe to repeat.

    Raises:
        LockLostError: another execution has taken the lock.
        DriftError: the colour has traffic, and the event does not say that it `may_have_traffic`.
    """
    colour, image = Colour(event["colour"]), event["image"]
    run.hold(event)
    weight = Balancer(run.platform).weights().of(colour)
    if weight > 0 and not event["may_have_traffic"]:
        raise DriftError(f"{colour} has weight {weight}: it is not idle, so nothing is deployed onto it")
    cluster = Cluster.connect(run.platform, session_name=run.execution.name)
    facts = {"colour": colour.value, "image": image}
    # Under the fence and before the change: whoever takes over knows that it may be under way.
    run.intend(event, "deploying", facts)
    _pause_autoscalers(cluster, run, urgent=event["may_have_traffic"])
    cluster.deploy(
        colour,
        image=image,
        replicas=event["plan"]["replicas"],
        annotations={"detection-ops/release": run.execution.name},
    )
    run.ledger.update_record(run.record_key, "deployed", facts)
    return {"deployed_at": run.clock.now().timestamp(), "stable": 0}


def _pause_autoscalers(cluster: Cluster, run: Run, *, urgent: bool) -> None:
    """Neither colour loses pods: the new one while nobody uses it yet, the old one while it is the way back.

    If `urgent`, pods matter more than how many: a failure is told, not raised.
    """
    try:
        for colour in Colour:
            cluster.pause_scale_down(colour)
    except ClusterError:
        if not urgent:
            raise
        run.logger.warning("autoscalers may take pods away", exc_info=True)
