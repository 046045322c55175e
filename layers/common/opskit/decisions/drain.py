"""Whether the old colour may be scaled down."""

from opskit.adapters.metrics import TrafficSample
from opskit.traffic import Colour, Weights
from opskit.verdict import Outcome, Verdict


def judge_drain(
    colour: Colour,
    weights: Weights,
    recent: TrafficSample | None,
    *,
    seconds_at_zero: float,
    drain_seconds: float,
    out_of_time: bool,
) -> Verdict:
    """PASS when the colour's weight is 0, `drain_seconds` have passed since, and its target group is silent.

    `recent` is None when the metric could not be read. A colour that still gets traffic when time is out (sticky
    clients, a second listener) is INCONCLUSIVE: it is left running.
    """
    facts = {
        "weight": weights.of(colour),
        "recent_requests": recent.requests if recent else None,
        "seconds_at_zero": round(seconds_at_zero, 1),
    }
    if weights.of(colour) > 0:
        return Verdict(Outcome.INCONCLUSIVE, f"{colour} has weight {weights.of(colour)} again", facts)
    waiting = None
    if seconds_at_zero < drain_seconds:
        waiting = f"draining for {seconds_at_zero:.0f} of {drain_seconds:.0f} s"
    elif recent is None:
        waiting = f"the requests of {colour} could not be read"
    elif recent.requests > 0:
        waiting = f"{colour} still had {recent.requests} requests"
    if waiting is None:
        return Verdict(Outcome.PASS, f"{colour} is silent", facts)
    return Verdict(Outcome.INCONCLUSIVE if out_of_time else Outcome.WAIT, waiting, facts)
