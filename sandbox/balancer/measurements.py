"""What the balancer counts: running totals for its admin port, and one period's metrics for CloudWatch.

Names, dimensions and reporting criteria: "CloudWatch metrics for your Application Load Balancer" in the
Elastic Load Balancing user guide. Counts are reported when they are not zero; host counts whenever targets
are registered. RequestCount counts only requests for which a target was chosen.
"""

import math
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch.type_defs import DimensionTypeDef, MetricDatumTypeDef

MAX_VALUES = 150
"""Most distinct values in one metric datum (PutMetricData)."""
_STEP = math.log(1.02)


def bucket(seconds: float) -> float:
    """Round a duration to a geometric grid of 2 %, so that few distinct values describe many requests."""
    if seconds <= 1e-4:
        return 1e-4
    return float(f"{math.exp(round(math.log(seconds) / _STEP) * _STEP):.3g}")


def values_and_counts(durations: Counter[float]) -> tuple[list[float], list[float]]:
    """`Values` and `Counts` of a datum; the closest neighbours are merged until at most 150 remain."""
    pairs = sorted(durations.items())
    while len(pairs) > MAX_VALUES:
        gaps = [pairs[i + 1][0] / pairs[i][0] for i in range(len(pairs) - 1)]
        at = gaps.index(min(gaps))
        (low, few), (high, many) = pairs[at], pairs[at + 1]
        pairs[at : at + 2] = [((low * few + high * many) / (few + many), few + many)]
    return [value for value, _ in pairs], [float(count) for _, count in pairs]


class Tally:
    """Counters of one target group, or of the load balancer as a whole."""

    __slots__ = ("counts", "durations", "totals")

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.durations: Counter[float] = Counter()
        self.totals: Counter[str] = Counter()

    def add(self, name: str) -> None:
        """Count one occurrence of a metric."""
        self.counts[name] += 1
        self.totals[name] += 1

    def observe(self, seconds: float) -> None:
        """Record one target response time."""
        self.durations[bucket(seconds)] += 1

    def drain(self) -> tuple[Counter[str], Counter[float]]:
        """The counts and durations since the last call; `totals` goes on."""
        taken = self.counts, self.durations
        self.counts, self.durations = Counter(), Counter()
        return taken


TARGET_CODE = {code: f"HTTPCode_Target_{code}XX_Count" for code in (2, 3, 4, 5)}
ELB_CODE = {code: f"HTTPCode_ELB_{code}_Count" for code in (500, 502, 503, 504)}
ELB_4XX = "HTTPCode_ELB_4XX_Count"
ELB_5XX = "HTTPCode_ELB_5XX_Count"
REQUESTS = "RequestCount"
RESPONSE_TIME = "TargetResponseTime"
CONNECTION_ERRORS = "TargetConnectionErrorCount"


def metric_data(
    counts: Counter[str],
    durations: Counter[float],
    hosts: dict[str, int] | None,
    dimensions: dict[str, str],
    at: datetime,
) -> "list[MetricDatumTypeDef]":
    """`MetricData` entries of PutMetricData for one set of dimensions, in high resolution."""
    shared: list[DimensionTypeDef] = [{"Name": name, "Value": value} for name, value in dimensions.items()]
    data: list[MetricDatumTypeDef] = [
        {
            "MetricName": name,
            "Dimensions": shared,
            "Timestamp": at,
            "Value": float(count),
            "Unit": "Count",
            "StorageResolution": 1,
        }
        for name, count in sorted({**counts, **(hosts or {})}.items())
    ]
    if durations:
        values, how_often = values_and_counts(durations)
        data.append(
            {
                "MetricName": RESPONSE_TIME,
                "Dimensions": shared,
                "Timestamp": at,
                "Values": values,
                "Counts": how_often,
                "Unit": "Seconds",
                "StorageResolution": 1,
            }
        )
    return data
