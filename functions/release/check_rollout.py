"""Release: is the colour ready for traffic? Asked again until it is, is not, or time is out."""

from typing import Any

from opskit.adapters.balancer import Balancer
from opskit.adapters.cluster import Cluster
from opskit.decisions.rollout import Expected, judge_rollout
from opskit.step import Run, step
from opskit.traffic import Colour


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return the verdict on the rollout, with the count of good polls in a row as `stable`."""
    plan, settings = event["plan"], event["settings"]
    colour = Colour(plan["to_colour"])
    run.hold(event)
    cluster = Cluster.connect(run.platform, session_name=run.execution.name)
    waited = run.clock.now().timestamp() - event["rollout"]["deployed_at"]
    verdict = judge_rollout(
        Expected(image=plan["image"], replicas=plan["replicas"], required=plan["required_healthy"]),
        cluster.deployment(colour),
        Balancer(run.platform).targets(colour),
        cluster.pods(colour),
        stable=event["rollout"]["stable"],
        stable_needed=settings["stable_polls"],
        out_of_time=waited >= settings["rollout_timeout_seconds"],
    )
    return verdict.as_dict() | {"stable": verdict.facts["stable"]}
