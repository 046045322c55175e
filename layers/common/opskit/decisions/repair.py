"""Where traffic belongs after an execution ended without finishing what it had begun."""

from collections.abc import Mapping
from dataclasses import dataclass

from opskit.traffic import Colour, Weights


@dataclass(frozen=True, slots=True)
class Repair:
    """The colour that gets all traffic (None: leave the weights, and call a person), and why."""

    colour: Colour | None
    reason: str


def choose_colour(weights: Weights, recorded: Colour | None, healthy: Mapping[Colour, int]) -> Repair:
    """Make the weights whole again: on the recorded live colour if it can serve, else on the one that can.

    `healthy` counts each colour's healthy targets. Never moves traffic to a colour without any: a balancer
    fails open, so such a move would look like success.
    """
    home = recorded or weights.whole or max(Colour, key=weights.of)
    if weights.whole is home and healthy[home] > 0:
        return Repair(home, f"traffic is whole on {home} already")
    if healthy[home] > 0:
        return Repair(home, f"all traffic back to {home}, the {'recorded live' if recorded else 'larger'} colour")
    if healthy[home.other] > 0:
        return Repair(home.other, f"{home} has no healthy target, so {home.other} keeps all traffic")
    return Repair(None, "neither colour has a healthy target; the weights were left as they are")
