"""Alarms that fire because their thresholds are moved, where the cause itself is not what a test is about."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sandbox.operator import Operator

_DEFINITION = (
    "AlarmName",
    "AlarmDescription",
    "Namespace",
    "MetricName",
    "Dimensions",
    "Statistic",
    "Period",
    "EvaluationPeriods",
    "Threshold",
    "ComparisonOperator",
    "TreatMissingData",
    "Metrics",
)


def definition(operator: Operator, alarm: str) -> dict[str, Any]:
    """What PutMetricAlarm takes to make the alarm as it is."""
    return {
        name: value for name, value in operator.alarm(alarm).items() if name in _DEFINITION and value not in ([], "")
    }


def put(operator: Operator, definition: dict[str, Any], **changed: Any) -> None:
    """Make or change an alarm."""
    operator.clients["cloudwatch"].put_metric_alarm(**definition | changed)


@contextmanager
def altered(operator: Operator, alarm: str, **changed: Any) -> Iterator[dict[str, Any]]:
    """An alarm that is defined otherwise, or deleted, for the length of a block."""
    before = definition(operator, alarm)
    if changed:
        put(operator, before, **changed)
    try:
        yield before
    finally:
        put(operator, before)


def flap(operator: Operator, alarm: str, times: int, heard: Callable[[int], object]) -> None:
    """Let a fed alarm (value 50) fire so often, each time until `heard(number)` returns; it fires at the end."""
    usual = definition(operator, alarm)
    for number in range(times):
        if number:
            put(operator, usual, Threshold=80.0)
            operator.wait_for_alarm(alarm, "OK")
            time.sleep(1.1)  # CloudWatch's moments are whole seconds here
        put(operator, usual, Threshold=40.0)
        operator.wait_for_alarm(alarm)
        heard(number + 1)
