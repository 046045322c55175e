"""Release: the new version onto the idle colour, where no client can reach it yet."""

from typing import Any

from opskit.adapters.balancer import Balancer
from opskit.adapters.cluster import Cluster
from opskit.errors import DriftError
from opskit.step import Run, step
from opskit.traffic import Colour


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Set image and replicas of the plan's colour. Safe to repeat.

    Raises:
        LockLostError: another execution has taken the lock.
        DriftError: the colour has traffic, so it is not idle.
    """
    plan = event["plan"]
    colour = Colour(plan["to_colour"])
    run.hold(event)
    weight = Balancer(run.platform).weights().of(colour)
    if weight > 0 and not event.get("rolling_back"):
        raise DriftError(f"{colour} has weight {weight}: it is not idle, so nothing is deployed onto it")
    Cluster.connect(run.platform, session_name=run.execution.name).deploy(
        colour,
        image=plan["image"],
        replicas=plan["replicas"],
        annotations={"detection-ops/release": run.execution.name},
    )
    run.ledger.update_record(run.record_key, "deployed", {"colour": colour.value, "image": plan["image"]})
    return {"deployed_at": run.clock.now().timestamp(), "stable": 0}
