"""Metric alarms look at their own metric, period by period, and their changes are put on the event bus.

On AWS an alarm evaluates one metric, dimensions included, over its last N periods; M breaching ones make it
ALARM; missing data counts as `TreatMissingData` says
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html,
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html). It is evaluated
whether or not data arrives, and each change of state is an event
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html).

ministack mixes all dimensions of a metric into one value over the whole time, evaluates only when data is
put, and sends no events. Here the period under way counts as soon as it can only get worse, so that an alarm
fires within a second of the data. Of metric math it knows what `metric_math` does and refuses the rest.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from ministack.services import cloudwatch

from sandbox.automation.endpoints import put_event
from sandbox.automation.gaps.metric_math import Math, UnsupportedMathError, described
from sandbox.automation.patching import replace

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.5
EXTRA_PERIODS = 2
"""How many periods beyond N are searched for data when some is missing (AWS's own examples use 5 for N = 3)."""

Alarm = dict[str, Any]

_BREACHES: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
}
_OF_ONE_METRIC = ("MetricName", "Namespace", "Statistic", "ExtendedStatistic", "Period", "Dimensions", "Unit")
_originals: dict[str, Any] = {}
_last_states: dict[str, dict[str, Any]] = {}


def values_by_period(alarm: Alarm, now: float) -> list[float | None]:
    """The alarm's statistic for each of its last periods, newest first; None where there is no data.

    Periods begin at multiples of their length. The one under way is the first, unless its value could still
    grow out of a breach: a sum that is too low so far says nothing yet.
    """
    if alarm.get("Metrics"):
        math = Math(alarm["Metrics"])
        return math.combine([_values(alarm, stat["Metric"], math.period, stat["Stat"], now) for stat in math.metrics])
    statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average"
    return _values(alarm, alarm, alarm.get("Period", 60), statistic, now)


def _values(alarm: Alarm, metric: Mapping[str, Any], period: int, statistic: str, now: float) -> list[float | None]:
    dimensions = cloudwatch._dims_from_list(metric.get("Dimensions") or [])
    key = (metric["Namespace"], metric["MetricName"], cloudwatch._dims_key(dimensions))
    count = alarm.get("EvaluationPeriods", 1) + EXTRA_PERIODS
    growing = statistic in ("Sum", "SampleCount") and alarm["ComparisonOperator"].startswith("Less")
    newest = int(now // period) - (1 if growing else 0)
    periods: list[list[dict[str, Any]]] = [[] for _ in range(count)]
    for point in reversed(cloudwatch._metrics.get(key) or []):
        age = newest - int(point["Timestamp"] // period)
        if 0 <= age < count:
            periods[age].append(point)
    return [
        cloudwatch._stat_value(cloudwatch._calc_stats(points), statistic, points) if points else None
        for points in periods
    ]


def decide(alarm: Alarm, values: list[float | None]) -> tuple[str, str]:
    """The state that values (newest first) put an alarm in, and the reason in AWS's words."""
    periods = alarm.get("EvaluationPeriods", 1)
    needed = alarm.get("DatapointsToAlarm") or periods
    treatment = alarm.get("TreatMissingData") or "missing"
    known = [value for value in values if value is not None][:periods]
    breaches = _BREACHES[alarm["ComparisonOperator"]]
    breaching = sum(breaches(value, alarm["Threshold"]) for value in known)
    missing = periods - len(known)
    if breaching >= needed:
        state = "ALARM"
    elif treatment == "breaching":
        state = "ALARM" if breaching + missing >= needed else "OK"
    elif treatment == "notBreaching" or breaching < len(known):
        state = "OK"
    elif treatment == "ignore":
        state = alarm["StateValue"]
    else:
        state = "ALARM" if breaching else "INSUFFICIENT_DATA"
    shown = ", ".join(f"{value:g}" for value in known) or "no data"
    reason = (
        f"Threshold Crossed: {breaching} out of the last {periods} datapoints [{shown}] breach: "
        f"{alarm['ComparisonOperator']} {alarm['Threshold']:g} (minimum {needed} for ALARM, "
        f"{missing} missing treated as {treatment})"
    )
    return state, reason


def evaluate(alarm: Alarm) -> None:
    """Bring one metric alarm to the state that its metric puts it in now."""
    if not (alarm.get("Namespace") or alarm.get("Metrics")) or alarm.get("ComparisonOperator") not in _BREACHES:
        return
    new_state, reason = decide(alarm, values_by_period(alarm, time.time()))
    old_state = alarm["StateValue"]
    if new_state == old_state:
        return
    now = int(time.time())
    alarm.update(StateValue=new_state, StateReason=reason, StateUpdatedTimestamp=now, StateTransitionedTimestamp=now)
    cloudwatch._record_history(alarm["AlarmName"], old_state, new_state, reason)
    cloudwatch._dispatch_alarm_actions(alarm, old_state, new_state, reason)
    cloudwatch._evaluate_parent_alarms(alarm)


def _stamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "+0000")


def _configuration(alarm: Alarm) -> dict[str, Any]:
    common = {"description": alarm.get("AlarmDescription") or ""}
    if "AlarmRule" in alarm:
        return {**common, "alarmRule": alarm["AlarmRule"], "actionsSuppressor": ""}
    if alarm.get("Metrics"):
        return {**common, "metrics": described(alarm["Metrics"])}
    metric = {
        "dimensions": cloudwatch._dims_from_list(alarm.get("Dimensions") or []),
        "name": alarm.get("MetricName"),
        "namespace": alarm.get("Namespace"),
    }
    stat = alarm.get("ExtendedStatistic") or alarm.get("Statistic")
    identifier = str(uuid.uuid5(uuid.NAMESPACE_URL, alarm["AlarmArn"]))
    query = {"metric": metric, "period": alarm.get("Period", 60), "stat": stat}
    return {**common, "metrics": [{"id": identifier, "metricStat": query, "returnData": True}]}


def _dispatch(alarm: Alarm, old_state: str, new_state: str, reason: str) -> None:
    state = {"value": new_state, "reason": reason, "timestamp": _stamp(time.time())}
    created = {"value": old_state, "reason": "Unchecked: Initial alarm creation", "timestamp": state["timestamp"]}
    detail = {
        "alarmName": alarm["AlarmName"],
        "configuration": _configuration(alarm),
        "previousState": _last_states.get(alarm["AlarmArn"], created),
        "state": state,
    }
    _last_states[alarm["AlarmArn"]] = state
    put_event("aws.cloudwatch", "CloudWatch Alarm State Change", detail, [alarm["AlarmArn"]])
    _originals["_dispatch_alarm_actions"](alarm, old_state, new_state, reason)


def _put_metric_alarm(params: Any, data: dict[str, Any], is_cbor: bool, is_json: bool = False) -> Any:
    queries = data.get("Metrics")
    try:
        if "Metrics.member.1.Id" in params:
            raise UnsupportedMathError("the sandbox takes metric math in JSON or CBOR only")
        if queries:
            Math(queries)
    except UnsupportedMathError as error:
        return cloudwatch._error("ValidationError", str(error), 400, use_json=is_json, use_cbor=is_cbor)
    answer = _originals["_put_metric_alarm"](params, data, is_cbor, is_json)
    if queries and answer[0] == 200:
        alarm = cloudwatch._alarms[data["AlarmName"]]
        alarm["Metrics"] = queries
        # Of one metric only; its alarm is described without them.
        for name in _OF_ONE_METRIC:
            alarm.pop(name, None)
    return answer


async def evaluate_forever() -> None:
    """Evaluate all metric alarms twice a second, on the loop that also serves requests."""
    while True:
        await asyncio.sleep(TICK_SECONDS)
        for alarm in list(cloudwatch._alarms.values()):
            try:
                evaluate(alarm)
            except Exception:
                logger.exception("the alarm %s could not be evaluated", alarm.get("AlarmName"))


def apply() -> None:
    """Replace the evaluation of metric alarms and add the events."""
    replace(cloudwatch, "_evaluate_alarm", "a0b0acd3d432", evaluate)
    for name, (known, function) in {
        "_dispatch_alarm_actions": ("fcf47c0d1e6e", _dispatch),
        "_put_metric_alarm": ("953a67ff4bb1", _put_metric_alarm),
    }.items():
        _originals[name] = replace(cloudwatch, name, known, function)
