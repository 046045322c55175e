"""Release: stop the pods of a colour that has no traffic."""

from typing import Any

from opskit.adapters.balancer import Balancer
from opskit.adapters.cluster import Cluster
from opskit.errors import DriftError
from opskit.step import Run, step
from opskit.traffic import Colour


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Scale `colour` to 0, where its autoscaler is inactive, and let the other's take pods away again. Safe to repeat.

    Raises:
        LockLostError: another execution has taken the lock.
        DriftError: the colour has traffic.
    """
    colour = Colour(event["colour"])
    run.hold(event)
    weight = Balancer(run.platform).weights().of(colour)
    if weight > 0:
        raise DriftError(f"{colour} has weight {weight}: its pods stay")
    cluster = Cluster.connect(run.platform, session_name=run.execution.name)
    run.hold(event)
    cluster.scale(colour, 0)
    for each in Colour:
        cluster.resume_scale_down(each)
    run.ledger.update_record(run.record_key, "scaled down", {"colour": colour.value})
    return {"colour": colour.value, "replicas": 0}
