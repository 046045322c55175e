"""CloudWatch alarms as they are now: their state, and the metrics that they rest on.

An alarm that cannot be read raises `MeasurementError`: one that cannot be seen must not pass for quiet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from opskit import clients
from opskit.clock import moment_of, timestamp
from opskit.decisions.alarm_subject import Measured
from opskit.errors import MeasurementError

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

ALARMS_PER_CALL = 100


@dataclass(frozen=True, slots=True)
class AlarmState:
    """An alarm: `state` is OK, ALARM or INSUFFICIENT_DATA, `since` the moment in which it took that state."""

    name: str
    arn: str
    state: str
    reason: str
    since: datetime

    @property
    def firing(self) -> bool:
        """Whether it is in ALARM; INSUFFICIENT_DATA is no alarm, as on the console."""
        return self.state == "ALARM"

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; `since` as ISO 8601."""
        return {
            "name": self.name,
            "arn": self.arn,
            "state": self.state,
            "reason": self.reason,
            "since": timestamp(self.since),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        return cls(**(data | {"since": moment_of(data["since"])}))


@dataclass(frozen=True, slots=True)
class AlarmReading:
    """An alarm with what it measures. `measured` is empty for a composite alarm.

    `opaque`: an expression finds its metrics by itself (SEARCH, SELECT), so that `measured` may not be all of them.
    `lookback_seconds`: for so long what was before still counts, its period times its evaluation periods.
    """

    state: AlarmState
    measured: tuple[Measured, ...]
    lookback_seconds: float
    opaque: bool = False

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "state": self.state.as_dict(),
            "measured": [one.as_dict() for one in self.measured],
            "lookback_seconds": self.lookback_seconds,
            "opaque": self.opaque,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        return cls(
            AlarmState.from_dict(data["state"]),
            tuple(Measured.from_dict(one) for one in data["measured"]),
            data["lookback_seconds"],
            data["opaque"],
        )


class Alarms:
    """Alarms of the account and region."""

    def __init__(self, client: "CloudWatchClient | None" = None) -> None:
        self._client: CloudWatchClient = client or clients.client("cloudwatch")

    def read(self, names: Sequence[str]) -> tuple[AlarmReading, ...]:
        """Each named alarm, metric or composite, in the order of `names`.

        Raises `MeasurementError` if CloudWatch fails or does not return an alarm.
        """
        found = described_alarms(self._client, names)
        return tuple(_reading(found[name]) for name in names)


def described_alarms(client: "CloudWatchClient", names: Sequence[str], hint: str = "create it") -> dict[str, Any]:
    """DescribeAlarms for `names`, by name: each is there and carries what `state_of` needs.

    Raises `MeasurementError` if CloudWatch fails, or does not return an alarm; `hint` says what to do about that.
    """
    wanted = list(dict.fromkeys(names))
    found: dict[str, Any] = {}
    try:
        for first in range(0, len(wanted), ALARMS_PER_CALL):
            pages = client.get_paginator("describe_alarms").paginate(
                AlarmNames=wanted[first : first + ALARMS_PER_CALL],
                AlarmTypes=["MetricAlarm", "CompositeAlarm"],
            )
            for page in pages:
                alarms: list[Any] = [*page.get("MetricAlarms", []), *page.get("CompositeAlarms", [])]
                found |= {alarm["AlarmName"]: alarm for alarm in alarms}
    except (ClientError, BotoCoreError, KeyError) as error:
        raise MeasurementError(f"The state of {', '.join(wanted)} could not be read: {error!r}") from error
    if unseen := [name for name in wanted if name not in found]:
        raise MeasurementError(f"CloudWatch returned no alarm named {', '.join(unseen)}: {hint}.")
    return found


def state_of(alarm: Mapping[str, Any]) -> AlarmState:
    """The state of an alarm as DescribeAlarms describes it. Raises `MeasurementError` for half a description."""
    try:
        return AlarmState(
            name=alarm["AlarmName"],
            arn=alarm["AlarmArn"],
            state=alarm["StateValue"],
            reason=alarm.get("StateReason", ""),
            # The update may be newer than the transition: an alarm's reason changes while its state stays.
            since=(alarm.get("StateTransitionedTimestamp") or alarm["StateUpdatedTimestamp"]).astimezone(UTC),
        )
    except KeyError as error:
        name = alarm.get("AlarmName", "an alarm")
        raise MeasurementError(f"The state of {name} could not be read: CloudWatch left out {error}") from error


def _reading(alarm: Mapping[str, Any]) -> AlarmReading:
    queries: list[Mapping[str, Any]] = alarm.get("Metrics", [])
    measured = [_measured(query["MetricStat"]["Metric"], query) for query in queries if "MetricStat" in query]
    periods = [query.get("MetricStat", {}).get("Period") or query.get("Period") or 0 for query in queries]
    if "MetricName" in alarm:
        measured.append(_measured(alarm, {}))
        periods.append(alarm.get("Period", 0))
    return AlarmReading(
        state=state_of(alarm),
        measured=tuple(measured),
        lookback_seconds=float(max(periods, default=0) * alarm.get("EvaluationPeriods", 1)),
        opaque=any(_finds_metrics(query.get("Expression", "")) for query in queries),
    )


def _measured(metric: Mapping[str, Any], query: Mapping[str, Any]) -> Measured:
    dimensions = {one["Name"]: one["Value"] for one in metric.get("Dimensions", [])}
    return Measured(metric.get("Namespace", ""), metric["MetricName"], dimensions, query.get("AccountId"))


def _finds_metrics(expression: str) -> bool:
    # SEARCH() within metric math, or a Metrics Insights query, which is SQL:
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDataQuery.html
    text = expression.upper()
    return "SEARCH" in text or "SELECT" in text
