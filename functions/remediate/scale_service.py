"""Remediate: more pods for the colour that has the traffic."""

from typing import Any

from opskit.acting import acted, decided, refused
from opskit.adapters.balancer import Balancer
from opskit.adapters.replicas import Replicas
from opskit.decisions.capacity import more_pods
from opskit.step import Run, step
from opskit.traffic import Colour


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Raise the replicas of the live colour by the bounds' `step`, to `at_most` of them.

    Its autoscaler's minimum rises with them, or it would take the new pods away again. Never beyond the autoscaler's
    maximum. Safe to repeat: the number that was announced first is what every attempt asks for. Not done while both
    colours have traffic, or where there is no room.

    Raises:
        LockLostError: another execution has taken the lock.
        PlatformContractError: the listener does not forward to the two colours.
        ClusterError: the cluster refused.
    """
    lock = run.hold(event)
    bounds, weights = event["plan"]["bounds"], Balancer(run.platform).weights()
    live = [colour for colour in Colour if weights.of(colour) > 0]
    replicas = Replicas.connect(run.platform, session_name=run.execution.name)

    def choose() -> dict[str, Any] | str:
        if len(live) != 1:
            return f"both colours have traffic ({weights.words}): nobody scales in the middle of a release"
        colour = live[0]
        present = replicas.pods(colour)
        if present is None:
            return f"there is no Deployment of {colour}"
        more = more_pods(present, int(bounds["step"]), int(bounds["at_most"]))
        if not more.possible:
            return f"{colour}: {more.reason}"
        return {"action": "scale_service", "colour": colour.value, "from": more.before, "to": more.after}

    facts = decided(run, lock, choose)
    if isinstance(facts, str):
        return refused(facts)
    colour, wanted = Colour(facts["colour"]), int(facts["to"])
    if live != [colour]:
        return refused(f"{colour} has not all the traffic any more ({weights.words})", facts)
    present = replicas.pods(colour)
    if present is None:
        return refused(f"there is no Deployment of {colour} any more", facts)
    if present.minimum is not None and present.minimum < wanted:
        replicas.raise_minimum(colour, wanted)
    # The autoscaler may have gone further meanwhile.
    if present.replicas < wanted:
        replicas.scale(colour, wanted)
    return acted(f"{colour} is to run {wanted} pods instead of {facts['from']}", facts)
