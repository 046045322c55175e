"""Alarms on metric math: one function of all metrics of the request, `SUM(METRICS())` and its like.

Functions and `METRICS()`: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html.
Anything else is refused when the alarm is put, because it would never fire.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_FUNCTIONS: dict[str, Callable[[Sequence[float]], float]] = {
    "SUM": sum,
    "MAX": max,
    "MIN": min,
    "AVG": lambda values: sum(values) / len(values),
}
_WHOLE = re.compile(rf"({'|'.join(_FUNCTIONS)})\(METRICS\(\)\)")

Query = Mapping[str, Any]


class UnsupportedMathError(ValueError):
    """What the sandbox does not evaluate; the message is for whoever put the alarm."""


class Math:
    """What an alarm's `Metrics` say: a function over the statistics of metrics that share a period."""

    def __init__(self, queries: Sequence[Query]) -> None:
        """Raises `UnsupportedMathError` unless it is one expression `<function>(METRICS())` over metrics."""
        expressions = [query for query in queries if query.get("Expression")]
        self.metrics: list[Query] = [query["MetricStat"] for query in queries if query.get("MetricStat")]
        found = _WHOLE.fullmatch(re.sub(r"\s", "", expressions[0]["Expression"])) if len(expressions) == 1 else None
        returned = [query for query in queries if query.get("ReturnData", True)]
        periods = {int(metric["Period"]) for metric in self.metrics}
        if found is None or returned != expressions or len(periods) != 1:
            raise UnsupportedMathError(
                "the sandbox evaluates one expression that is a function of METRICS() "
                f"({', '.join(_FUNCTIONS)}), which alone returns data, over metrics of one period"
            )
        self.function = found.group(1)
        self.period = periods.pop()

    def combine(self, series: Sequence[Sequence[float | None]]) -> list[float | None]:
        """The function of the metrics' values, period by period; None where no metric has one."""
        known = ([value for value in values if value is not None] for values in zip(*series, strict=True))
        return [_FUNCTIONS[self.function](values) if values else None for values in known]


def described(queries: Sequence[Query]) -> list[dict[str, Any]]:
    """The queries as an event's `configuration.metrics` has them."""
    return [
        {"id": query["Id"], "returnData": query.get("ReturnData", True)}
        | ({"label": query["Label"]} if query.get("Label") else {})
        | (
            {"expression": query["Expression"]}
            if query.get("Expression")
            else {"metricStat": _stat(query["MetricStat"])}
        )
        for query in queries
    ]


def _stat(stat: Query) -> dict[str, Any]:
    metric = stat["Metric"]
    return {
        "metric": {
            "dimensions": {each["Name"]: each["Value"] for each in metric.get("Dimensions") or ()},
            "name": metric["MetricName"],
            "namespace": metric["Namespace"],
        },
        "period": int(stat["Period"]),
        "stat": stat["Stat"],
    }
