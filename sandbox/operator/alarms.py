"""Alarms: looked at, made to fire by their metric, and events about them, true and forged."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Event, Thread
from typing import Any

import urllib3

from sandbox.operator.hands import Hands

FEED_SECONDS = 1.0


class Alarms(Hands):
    """Alarms are named in full or without service and environment: `database-cpu`."""

    def alarm_name(self, alarm: str) -> str:
        """The full name of an alarm."""
        prefix = f"{self.config.name}-"
        return alarm if alarm.startswith(prefix) else f"{prefix}{alarm}"

    def alarm_arn(self, alarm: str) -> str:
        """Its ARN."""
        return f"arn:aws:cloudwatch:{self.config.region}:{self.config.account}:alarm:{self.alarm_name(alarm)}"

    def alarm(self, alarm: str) -> dict[str, Any]:
        """An alarm as CloudWatch describes it; raises LookupError if there is none."""
        name = self.alarm_name(alarm)
        found = self.clients["cloudwatch"].describe_alarms(AlarmNames=[name])["MetricAlarms"]
        if not found:
            raise LookupError(f"no alarm {name}")
        return dict(found[0])

    def wait_for_alarm(self, alarm: str, state: str = "ALARM", seconds: float = 60.0) -> dict[str, Any]:
        """Wait until an alarm is in a state."""
        name = self.alarm_name(alarm)
        return self.until(
            lambda: self.alarm(alarm), lambda a: a["StateValue"] == state, f"{name} to be {state}", seconds=seconds
        )

    def feed_metric(self, alarm: str, value: float | None = None) -> None:
        """Put one datum of `value`, by default one above the threshold, for each metric that an alarm watches."""
        found = self.alarm(alarm)
        given = found["Threshold"] + 1 if value is None else value
        metrics = [query["MetricStat"]["Metric"] for query in found.get("Metrics", ()) if "MetricStat" in query]
        for metric in metrics or [found]:
            datum = {
                "MetricName": metric["MetricName"],
                "Dimensions": metric["Dimensions"],
                "Value": given,
                "StorageResolution": 1,
            }
            self.clients["cloudwatch"].put_metric_data(Namespace=metric["Namespace"], MetricData=[datum])

    @contextmanager
    def feeding(self, alarm: str, value: float | None = None) -> Iterator[None]:
        """Feed it every second meanwhile, for what is not measured here: the nodes' CPU and memory."""
        stop = Event()

        def feed() -> None:
            while not stop.is_set():
                self.feed_metric(alarm, value)
                stop.wait(FEED_SECONDS)

        thread = Thread(target=feed, name=f"feeds {alarm}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(10)

    def alarm_event(
        self, alarm: str, state: str = "ALARM", *, at: datetime | None = None, **detail: Any
    ) -> dict[str, Any]:
        """The event of a change of state, as CloudWatch sends it; `detail` goes over what it says.

        https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html
        """
        moment = at or datetime.now(UTC)
        stamp = moment.isoformat(timespec="milliseconds").replace("+00:00", "+0000")
        said = {
            "alarmName": self.alarm_name(alarm),
            "configuration": {"description": "", "metrics": []},
            "previousState": {"value": "OK", "reason": "before", "timestamp": stamp},
            "state": {"value": state, "reason": "Threshold Crossed", "timestamp": stamp},
        }
        return {
            "source": "aws.cloudwatch",
            "detail_type": "CloudWatch Alarm State Change",
            "resources": [self.alarm_arn(alarm)],
            "detail": {**said, **detail},
            "time": int(moment.timestamp()),
        }

    def put_alarm_event(
        self,
        alarm: str,
        state: str = "ALARM",
        *,
        at: datetime | None = None,
        event_id: str | None = None,
        resources: list[str] | None = None,
        **detail: Any,
    ) -> str:
        """Put such an event on the bus, whatever the alarm's state is; returns its id.

        The same `event_id` twice is a duplicate, an `at` in the past a late one, and `resources` or `detail` that do
        not fit the alarm a forgery.
        """
        event = self.alarm_event(alarm, state, at=at, **detail)
        if event_id is not None:
            event["event_id"] = event_id
        if resources is not None:
            event["resources"] = resources
        return self.put_event(event)

    def put_event(self, event: Mapping[str, Any]) -> str:
        """Put an event of an AWS service on the bus, as `POST /_sandbox/events` takes it; returns its id."""
        url = f"{self.config.automation_url}/_sandbox/events"
        answer = urllib3.request("POST", url, json=dict(event), retries=False, timeout=10)
        if answer.status != 200:
            raise AssertionError(f"the automation plane refused {event}: {answer.data!r}")
        return str(answer.json()["event_id"])

    def alarm_history(self, alarm: str, since: float) -> list[tuple[float, str]]:
        """The changes of state of an alarm after a moment (`time.time()`): when, and into which."""
        client, name = self.clients["cloudwatch"], self.alarm_name(alarm)
        found = client.describe_alarm_history(AlarmName=name, HistoryItemType="StateUpdate")["AlarmHistoryItems"]
        changes = [(item["Timestamp"].timestamp(), item["HistorySummary"].rpartition(" ")[2]) for item in found]
        return sorted(change for change in changes if change[0] >= since - 1 and change[0] <= time.time())
