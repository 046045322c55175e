"""CloudWatch: what each colour's target group served, and the state of alarms.

A read that fails or comes back incomplete raises `MeasurementError`; the absence of data is reported as zero
datapoints. Neither may count as good news.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from opskit import clients
from opskit.adapters.alarms import AlarmState, described_alarms, state_of
from opskit.clock import moment_of, timestamp
from opskit.errors import MeasurementError
from opskit.traffic import Colour

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_cloudwatch.type_defs import DimensionTypeDef, MetricDataQueryTypeDef

    from opskit.platform import Platform

NAMESPACE = "AWS/ApplicationELB"
HIGH_RESOLUTION_PERIODS = (1, 5, 10, 20, 30)
HOUR = 3600

_REQUESTS = ("requests", "RequestCount", "Sum")
_SUCCEEDED = tuple((f"answers_{code}xx", f"HTTPCode_Target_{code}XX_Count", "Sum") for code in (2, 3, 4))
_ERRORS = ("errors", "HTTPCode_Target_5XX_Count", "Sum")
_CONNECTION_ERRORS = ("connection_errors", "TargetConnectionErrorCount", "Sum")
_COUNTS = (_REQUESTS, *_SUCCEEDED, _ERRORS, _CONNECTION_ERRORS)
_LATENCY = ("p95", "TargetResponseTime", "p95")


@dataclass(frozen=True, slots=True)
class TrafficSample:
    """What one target group served from `start` until before `end`, as its load balancer counted it.

    `errors` are the requests that a target was chosen for but that no target answered with 2xx, 3xx or 4xx; or, if
    that is more, 5xx answers plus connections to targets that failed. `p95_seconds` is the time in which the
    targets answered 95 % of the requests that they answered, None without data. `datapoints` is the number of
    metric periods in which the group was reported at all: 0 means that nothing is known, not that nothing happened.
    """

    requests: int
    errors: int
    p95_seconds: float | None
    datapoints: int
    start: datetime | None = None
    end: datetime | None = None

    @property
    def error_rate(self) -> float | None:
        """Errors per request (0-1, above 1 only if connections failed before a request was counted)."""
        return self.errors / self.requests if self.requests else None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; moments as ISO 8601."""
        return {
            "requests": self.requests,
            "errors": self.errors,
            "p95_seconds": self.p95_seconds,
            "datapoints": self.datapoints,
            "start": timestamp(self.start) if self.start else None,
            "end": timestamp(self.end) if self.end else None,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        moments = {name: moment_of(data[name]) for name in ("start", "end") if data.get(name)}
        return cls(**(data | {"start": None, "end": None} | moments))


class Metrics:
    """Measurements of the service's load balancer, and alarms."""

    def __init__(self, platform: "Platform", client: "CloudWatchClient | None" = None) -> None:
        self._platform = platform
        self._client: CloudWatchClient = client or clients.client("cloudwatch")

    def traffic(
        self, colour: Colour, start: datetime, end: datetime, period: int, *, from_silence: bool = False
    ) -> TrafficSample:
        """What `colour`'s target group served between `start` and `end` (aware).

        `period` is the resolution of the metrics in seconds; ALB publishes every 60. Only whole periods
        count: `start` is rounded up and `end` down, so that neither requests from before a change of weights
        nor a minute that is still being counted are read. If no whole period remains, the sample has no
        datapoints. Metrics that CloudWatch has not received yet are missing without a sign other than few
        `datapoints`, so let some time pass after `end`.

        ALB reports a count only for periods in which it is not zero, and nothing while there is no traffic
        (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html);
        so an absent error count means none, provided that requests were reported, and `datapoints` says so.

        Errors are counted as what is left of the requests, because what clients get for a target that hangs or
        dies with a request, 504 or 502, comes from the balancer: it is no HTTPCode_Target_5XX_Count, the connection
        had been made, and the HTTPCode_ELB_* counts have no TargetGroup dimension. RequestCount "is only
        incremented for requests where the load balancer node was able to choose a target" (same page), so a
        request that no group was answerable for is not counted against one. Three things follow. Requests that
        clients give up (HTTP 460) count as errors, in the old version as in the new. So do switches to WebSockets
        (101), of which the service has none. And the counts of one period must belong together: ALB publishes
        them together, every 60 seconds; if CloudWatch showed a period's RequestCount before its other counts,
        those requests would for that moment pass for failed, never failed ones for good.

        Raises `MeasurementError` if CloudWatch fails or answers with partial data, `ValueError` for a
        `period` that CloudWatch does not know.
        """
        if from_silence:
            start -= timedelta(seconds=period)
        start, end = whole_periods(start, end, period)
        if start >= end:
            return TrafficSample(0, 0, None, 0, start, start)
        dimensions = self._dimensions(colour)
        span = latency_period(start, end, period)
        found = self._read(
            [
                *(_query(metric, dimensions, period) for metric in _COUNTS),
                _query(_LATENCY, dimensions, span),
            ],
            start,
            end,
        )
        total = {metric: round(sum(found[metric[0]].values())) for metric in _COUNTS}
        unanswered = total[_REQUESTS] - sum(total[metric] for metric in _SUCCEEDED)
        return TrafficSample(
            requests=total[_REQUESTS],
            # The counts of the whole window, not of each period: a request may be counted in one and its answer in
            # the next. And the greater, for a connection may fail that no request was counted for.
            errors=max(unanswered, total[_ERRORS] + total[_CONNECTION_ERRORS]),
            # Percentiles cannot be averaged. There is one value, unless CloudWatch cut the window in two;
            # then the greater is an upper bound of the whole's.
            p95_seconds=max(found[_LATENCY[0]].values(), default=None),
            datapoints=len(set().union(*(found[name] for name, *_ in _COUNTS))),
            start=start,
            end=end,
        )

    def alarms(self, names: Sequence[str]) -> tuple[AlarmState, ...]:
        """The state of each named alarm, metric or composite, in the order of `names`.

        Raises `MeasurementError` if CloudWatch fails, or does not return an alarm: one that cannot be seen
        must not pass for quiet.
        """
        hint = "create it, or take it out of release_alarms in the platform contract"
        found = described_alarms(self._client, names, hint)
        return tuple(state_of(found[name]) for name in dict.fromkeys(names))

    def _dimensions(self, colour: Colour) -> "list[DimensionTypeDef]":
        return [
            {"Name": "LoadBalancer", "Value": load_balancer_dimension(self._platform.load_balancer_arn)},
            {"Name": "TargetGroup", "Value": target_group_dimension(self._platform.target_group_arn(colour))},
        ]

    def _read(
        self, queries: "list[MetricDataQueryTypeDef]", start: datetime, end: datetime
    ) -> dict[str, dict[datetime, float]]:
        values: dict[str, dict[datetime, float]] = {query["Id"]: {} for query in queries}
        status: dict[str, str] = {}
        notes: list[str] = []
        try:
            pages = self._client.get_paginator("get_metric_data").paginate(
                MetricDataQueries=queries, StartTime=start, EndTime=end
            )
            for page in pages:
                notes += [f"{note.get('Code')}: {note.get('Value')}" for note in page.get("Messages", [])]
                for result in page["MetricDataResults"]:
                    identity = result.get("Id", "")
                    # PartialData on a page that has a successor is how CloudWatch says "read on".
                    status[identity] = result.get("StatusCode", "missing")
                    notes += [f"{note.get('Code')}: {note.get('Value')}" for note in result.get("Messages", [])]
                    values[identity] |= dict(zip(result.get("Timestamps", []), result.get("Values", []), strict=True))
        except (ClientError, BotoCoreError, KeyError, ValueError) as error:
            raise MeasurementError(f"GetMetricData failed: {error!r}") from error
        incomplete = {name: status.get(name, "no result") for name in values if status.get(name) != "Complete"}
        if incomplete:
            raise MeasurementError(
                f"GetMetricData from {start:%H:%M:%S} to {end:%H:%M:%S} was not complete: "
                + ", ".join(f"{name} {state}" for name, state in incomplete.items())
                + (f" ({'; '.join(notes)})" if notes else "")
            )
        return values


def whole_periods(start: datetime, end: datetime, period: int) -> tuple[datetime, datetime]:
    """`start` rounded up and `end` down to multiples of `period` seconds since the epoch, in UTC.

    Raises `ValueError` for a naive datetime, or a period that CloudWatch does not know: it takes 1, 5, 10,
    20 and 30 seconds (high resolution) and multiples of 60
    (https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricStat.html).
    """
    if period not in HIGH_RESOLUTION_PERIODS and (period <= 0 or period % 60):
        raise ValueError(f"a CloudWatch period is one of {HIGH_RESOLUTION_PERIODS} or a multiple of 60, not {period}")
    if start.tzinfo is None or end.tzinfo is None:
        raise ValueError("a window's start and end must be aware of their time zone")
    epoch, step = datetime.fromtimestamp(0, UTC), timedelta(seconds=period)
    return epoch - (epoch - start) // step * step, epoch + (end - epoch) // step * step


def latency_period(start: datetime, end: datetime, period: int) -> int:
    """The CloudWatch period, in seconds, with which one statistic spans the whole window.

    CloudWatch lays periods from the request's start (https://github.com/boto/boto3/issues/3457), so the
    window's own length gives exactly one value, if that is whole minutes, as for ALB's own metrics it is. For
    high-resolution metrics the length may not be a valid period; whole hours then hold the window.
    """
    length = int((end - start).total_seconds())
    return length if period % 60 == 0 else -(-length // HOUR) * HOUR


def load_balancer_dimension(arn: str) -> str:
    """`app/<name>/<id>`, the LoadBalancer dimension, from the ARN of an Application Load Balancer."""
    _, marker, name = arn.partition(":loadbalancer/")
    if not marker or not name.startswith("app/") or name.count("/") != 2:
        raise MeasurementError(f"load_balancer_arn is not that of an Application Load Balancer: {arn}")
    return name


def target_group_dimension(arn: str) -> str:
    """`targetgroup/<name>/<id>`, the TargetGroup dimension, from the ARN of a target group."""
    _, marker, name = arn.partition(":targetgroup/")
    if not marker or name.count("/") != 1:
        raise MeasurementError(f"target_group_*_arn is not that of a target group: {arn}")
    return f"targetgroup/{name}"


def _query(metric: tuple[str, str, str], dimensions: "list[DimensionTypeDef]", period: int) -> "MetricDataQueryTypeDef":
    identity, name, statistic = metric
    return {
        "Id": identity,
        "MetricStat": {
            "Metric": {"Namespace": NAMESPACE, "MetricName": name, "Dimensions": dimensions},
            "Period": period,
            "Stat": statistic,
        },
    }
