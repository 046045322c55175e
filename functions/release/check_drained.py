"""Release: has the old colour fallen silent, so that its pods may go?"""

from datetime import timedelta
from typing import Any

from opskit.adapters.balancer import Balancer
from opskit.adapters.metrics import Metrics, TrafficSample
from opskit.decisions.drain import judge_drain
from opskit.errors import MeasurementError
from opskit.step import Run, step
from opskit.traffic import Colour


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return the verdict: PASS (silent), WAIT, or INCONCLUSIVE (still serving when time is out: leave it running)."""
    settings = event["settings"]
    colour = Colour(event["plan"]["from_colour"])
    run.hold(event)
    now = run.clock.now()
    at_zero = now.timestamp() - event["shift"]["shifted_at"]
    waited = now.timestamp() - event["recorded_at"]
    verdict = judge_drain(
        colour,
        Balancer(run.platform).weights(),
        _recent(run, colour, settings["metric_period_seconds"]),
        seconds_at_zero=at_zero,
        drain_seconds=settings["drain_seconds"],
        out_of_time=waited >= settings["drain_timeout_seconds"],
    )
    return verdict.as_dict()


def _recent(run: Run, colour: Colour, period: int) -> TrafficSample | None:
    """The last whole periods; the newest of them may not have been published yet, so one is not enough."""
    now = run.clock.now()
    try:
        return Metrics(run.platform).traffic(colour, now - timedelta(seconds=3 * period), now, period)
    except MeasurementError:
        run.logger.warning("the requests of %s could not be read", colour, exc_info=True)
        return None
