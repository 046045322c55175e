"""Where traffic belongs after an execution ended without finishing what it had begun."""

from collections.abc import Mapping
from dataclasses import dataclass

from opskit.ledger import Live, ReleaseRecord
from opskit.traffic import Colour, Weights


@dataclass(frozen=True, slots=True)
class Repair:
    """The colour that gets all traffic (None: leave the weights as they are), and why."""

    colour: Colour | None
    reason: str


def home_of(record: ReleaseRecord, live: Live | None, weights: Weights) -> Colour:
    """The colour on which an operation that ended early leaves the traffic.

    A release: the old colour, unless the new version had been recorded as live. A rollback: where traffic is whole, or
    else where it was going, for nobody wants back to what it was leaving.
    """
    if record.from_colour is None or record.to_colour is None:
        return live.colour if live else weights.whole or max(Colour, key=weights.of)
    if live is not None and live.release == record.execution_name:
        return record.to_colour
    if record.operation == "rollback":
        return weights.whole or record.to_colour
    return record.from_colour


def choose_colour(weights: Weights, home: Colour, healthy: Mapping[Colour, int]) -> Repair:
    """Make the weights whole: on `home` if it can serve, else on the colour that can.

    `healthy` counts each colour's healthy targets. Never moves traffic to a colour without any: a balancer
    fails open, so such a move would look like success.
    """
    if healthy[home] > 0:
        return Repair(home, f"all traffic {'is' if weights.whole is home else 'back'} on {home}")
    if healthy[home.other] > 0:
        return Repair(home.other, f"{home} has no healthy target, so {home.other} has all traffic")
    return Repair(None, "neither colour has a healthy target; the weights were left as they are")
