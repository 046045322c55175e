"""Release: does the new version serve as well as the old one? Asked again until the bake is over."""

from datetime import UTC, datetime
from typing import Any

from opskit.adapters.alarms import AlarmState
from opskit.adapters.balancer import Balancer
from opskit.adapters.metrics import Metrics, TrafficSample
from opskit.decisions.bake import Elapsed, Rules, judge_bake
from opskit.errors import MeasurementError
from opskit.step import Run, step
from opskit.traffic import Colour
from opskit.verdict import Outcome


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return the verdict on the current step. A failed read is never good news: it counts as missing data."""
    plan, request = event["plan"], event["request"]
    step_plan = plan["steps"][event["step"]]
    new = Colour(plan["to_colour"])
    run.hold(event)
    now = run.clock.now()
    since = datetime.fromtimestamp(event["shift"]["shifted_at"], UTC)
    reader = _Reader(run, event["settings"]["metric_period_seconds"])
    verdict = judge_bake(
        reader.traffic(new, since, now, from_silence=event["step"] == 0),
        _reference(reader, event, since, now),
        Balancer(run.platform).targets(new),
        reader.alarms(ignoring=plan["overridden_alarms"]),
        required_healthy=plan["required_healthy"],
        elapsed=Elapsed(
            seconds=(now - since).total_seconds(),
            # What was served until the end of the bake is in the metrics only this much later.
            bake_seconds=step_plan["bake_seconds"] + event["settings"]["metric_delay_seconds"],
            extra_seconds=request["inconclusive_wait_seconds"],
        ),
        rules=_rules(event["settings"], request["minimum_requests"]),
    )
    if verdict.outcome is not Outcome.WAIT:
        run.ledger.update_record(run.record_key, f"bake at {step_plan['weight']} %", verdict.as_dict())
    return verdict.as_dict()


def _reference(reader: "_Reader", event: dict[str, Any], since: datetime, now: datetime) -> TrafficSample | None:
    """What the new version is compared with: the old one now where it has traffic enough, else as it was before."""
    if event["plan"]["steps"][event["step"]]["weight"] < 100:
        concurrent = reader.traffic(Colour(event["plan"]["from_colour"]), since, now)
        if concurrent and concurrent.requests >= event["request"]["minimum_requests"]:
            return concurrent
    baseline = event["shift"]["baseline"]
    return TrafficSample.from_dict(baseline) if baseline else None


def _rules(settings: dict[str, Any], minimum_requests: int) -> Rules:
    return Rules(
        minimum_requests=minimum_requests,
        error_rate_increase=settings["error_rate_increase"],
        latency_factor=settings["latency_factor"],
        latency_increase_seconds=settings["latency_increase_seconds"],
        latency_limit_seconds=settings["latency_limit_seconds"],
    )


class _Reader:
    """Metrics, with a failed read as None."""

    def __init__(self, run: Run, period: int) -> None:
        self._run = run
        self._metrics = Metrics(run.platform)
        self._period = period

    def traffic(
        self, colour: Colour, start: datetime, end: datetime, *, from_silence: bool = False
    ) -> TrafficSample | None:
        try:
            return self._metrics.traffic(colour, start, end, self._period, from_silence=from_silence)
        except MeasurementError:
            self._run.logger.warning("the metrics of %s could not be read", colour, exc_info=True)
            return None

    def alarms(self, *, ignoring: list[str]) -> tuple[AlarmState, ...] | None:
        names = [name for name in self._run.platform.release_alarms if name not in ignoring]
        if not names:
            return ()
        try:
            return self._metrics.alarms(names)
        except MeasurementError:
            self._run.logger.warning("the alarms could not be read", exc_info=True)
            return None
