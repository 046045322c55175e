"""Remediate: more pods for the colour that has the traffic."""

from typing import Any

from opskit.acting import acted, decided, refused
from opskit.adapters.balancer import Balancer
from opskit.adapters.replicas import Replicas
from opskit.decisions.capacity import next_count
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
        present, scaler = replicas.wanted(colour), replicas.autoscaler(colour)
        if present is None:
            return f"there is no Deployment of {colour}"
        limits = [("the runbook", int(bounds["at_most"]))]
        limits += [("its autoscaler", scaler.maximum)] if scaler else []
        wanted = next_count(present, int(bounds["step"]), limits)
        if isinstance(wanted, str):
            return f"{colour} cannot have more pods: {wanted}"
        return {"action": "scale_service", "colour": colour.value, "from": present, "to": wanted}

    facts = decided(run, lock, choose)
    if isinstance(facts, str):
        return refused(facts)
    colour, wanted = Colour(facts["colour"]), int(facts["to"])
    if live != [colour]:
        return refused(f"{colour} has not all the traffic any more ({weights.words})", facts)
    scaler = replicas.autoscaler(colour)
    if scaler and scaler.minimum < wanted <= scaler.maximum:
        replicas.raise_minimum(colour, wanted)
    # The autoscaler may have gone further meanwhile.
    if (replicas.wanted(colour) or 0) < wanted:
        replicas.scale(colour, wanted)
    return acted(f"{colour} is to run {wanted} pods instead of {facts['from']}", facts)
