"""CloudWatch on the automation plane: high-resolution data, alarms, and the events of their changes."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.fixtures.automation import Plane, eventually, running_plane

GREEN = {"LoadBalancer": "app/one/1", "TargetGroup": "targetgroup/green/1"}
BLUE = {"LoadBalancer": "app/one/1", "TargetGroup": "targetgroup/blue/1"}
NAMESPACE = "AWS/ApplicationELB"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with running_plane(tmp_path_factory.mktemp("plane")) as running:
        yield running


def dimensions(named: dict[str, str]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in named.items()]


def put(plane: Plane, name: str, of: dict[str, str], age: float = 0, now: datetime | None = None, **data: Any) -> None:
    moment = (now or datetime.now(UTC)) - timedelta(seconds=age)
    datum = {"MetricName": name, "Dimensions": dimensions(of), "Timestamp": moment, "StorageResolution": 1, **data}
    plane.client("cloudwatch").put_metric_data(Namespace=NAMESPACE, MetricData=[datum])


def read(plane: Plane, name: str, of: dict[str, str], stat: str, period: int) -> list[float]:
    metric = {"Namespace": NAMESPACE, "MetricName": name, "Dimensions": dimensions(of)}
    query = {"Id": "q", "MetricStat": {"Metric": metric, "Period": period, "Stat": stat}}
    now = datetime.now(UTC)
    answer = plane.client("cloudwatch").get_metric_data(
        MetricDataQueries=[query], StartTime=now - timedelta(minutes=5), EndTime=now + timedelta(seconds=1)
    )
    assert answer["MetricDataResults"][0]["StatusCode"] == "Complete"
    return list(answer["MetricDataResults"][0]["Values"])


def alarm(plane: Plane, name: str, metric: str, **settings: Any) -> Callable[[], str]:
    """Create an alarm on the sum of a green metric of more than 5 in one second; a function to read its state."""
    client = plane.client("cloudwatch")
    given = {
        "Namespace": NAMESPACE,
        "MetricName": metric,
        "Dimensions": dimensions(GREEN),
        "Statistic": "Sum",
        "Period": 1,
        "EvaluationPeriods": 1,
        "Threshold": 5,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
        **settings,
    }
    client.put_metric_alarm(AlarmName=name, **given)
    return lambda: client.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["StateValue"]


def test_counts_and_percentiles_of_value_arrays(plane: Plane) -> None:
    put(plane, "TargetResponseTime", GREEN, 2, Values=[0.01, 0.02, 1.0], Counts=[90, 4, 6], Unit="Seconds")
    put(plane, "TargetResponseTime", BLUE, 2, Values=[5.0], Counts=[100], Unit="Seconds")

    assert sum(read(plane, "TargetResponseTime", GREEN, "SampleCount", 60)) == 100
    assert max(read(plane, "TargetResponseTime", GREEN, "p95", 60)) == pytest.approx(1.0)
    assert max(read(plane, "TargetResponseTime", GREEN, "p50", 60)) == pytest.approx(0.01)


@pytest.mark.parametrize("period", [1, 5, 10, 60])
def test_short_periods(plane: Plane, period: int) -> None:
    name = f"Requests{period}"
    now = datetime.now(UTC)
    for age in range(12):
        put(plane, name, GREEN, age, now, Value=1)

    values = read(plane, name, GREEN, "Sum", period)

    assert sum(values) == 12
    assert len(values) in range(12 // period, 12 // period + 3)


def test_an_alarm_follows_its_own_dimensions_and_recovers_without_data(plane: Plane) -> None:
    state = alarm(plane, "green-errors", "Errors")
    eventually(lambda: state() == "OK")
    put(plane, "Errors", BLUE, Value=100)
    eventually(lambda: plane.client("cloudwatch").list_metrics(MetricName="Errors")["Metrics"])
    assert state() == "OK"

    put(plane, "Errors", GREEN, Value=6)
    eventually(lambda: state() == "ALARM", 5)
    eventually(lambda: state() == "OK", 10)


def test_several_periods_must_breach(plane: Plane) -> None:
    state = alarm(plane, "lasting", "Lasting", Period=10, EvaluationPeriods=3, DatapointsToAlarm=2)
    put(plane, "Lasting", GREEN, 3, Value=6)
    eventually(lambda: state() == "OK")

    put(plane, "Lasting", GREEN, 14, Value=6)
    eventually(lambda: state() == "ALARM", 5)


def test_a_percentile_alarm(plane: Plane) -> None:
    settings = {"Statistic": "Average", "ExtendedStatistic": "p95", "Threshold": 0.5, "Period": 10}
    settings.pop("Statistic")
    client = plane.client("cloudwatch")
    client.put_metric_alarm(
        AlarmName="slow",
        Namespace=NAMESPACE,
        MetricName="Latency",
        Dimensions=dimensions(GREEN),
        EvaluationPeriods=1,
        ComparisonOperator="GreaterThanThreshold",
        **settings,
    )
    put(plane, "Latency", GREEN, Values=[0.1, 0.9], Counts=[80, 20])

    eventually(lambda: client.describe_alarms(AlarmNames=["slow"])["MetricAlarms"][0]["StateValue"] == "ALARM", 5)


def test_a_change_is_an_event_in_awss_form(plane: Plane) -> None:
    bus = plane.client("events")
    url, arn = plane.queue()
    pattern = {
        "source": ["aws.cloudwatch"],
        "detail-type": ["CloudWatch Alarm State Change"],
        "detail": {"alarmName": ["told"], "state": {"value": ["ALARM"]}},
    }
    bus.put_rule(Name="changes", EventPattern=json.dumps(pattern))
    bus.put_targets(Rule="changes", Targets=[{"Id": "queue", "Arn": arn}])
    state = alarm(plane, "told", "Told", AlarmDescription="Too many errors", Period=10)
    eventually(lambda: state() == "OK")
    put(plane, "Told", GREEN, Value=6)

    event = plane.message(url)

    detail = event["detail"]
    assert event["resources"] == ["arn:aws:cloudwatch:us-east-1:000000000000:alarm:told"]
    assert detail["alarmName"] == "told"
    assert detail["state"]["value"] == "ALARM"
    assert "Threshold Crossed: 1 out of the last 1 datapoints [6]" in detail["state"]["reason"]
    assert detail["previousState"]["value"] == "OK"
    assert detail["previousState"]["timestamp"] <= detail["state"]["timestamp"]
    assert detail["configuration"]["description"] == "Too many errors"
    stat = detail["configuration"]["metrics"][0]["metricStat"]
    assert stat == {
        "metric": {"dimensions": GREEN, "name": "Told", "namespace": NAMESPACE},
        "period": 10,
        "stat": "Sum",
    }


def test_a_state_set_by_hand_lasts_until_the_next_evaluation(plane: Plane) -> None:
    topic = plane.client("sns").create_topic(Name="alarms")["TopicArn"]
    url, _ = plane.queue(topic)
    state = alarm(plane, "by-hand", "ByHand", AlarmActions=[topic])
    eventually(lambda: state() == "OK")

    plane.client("cloudwatch").set_alarm_state(AlarmName="by-hand", StateValue="ALARM", StateReason="a drill")

    notified = json.loads(plane.message(url)["Message"])
    assert (notified["AlarmName"], notified["NewStateReason"]) == ("by-hand", "a drill")
    eventually(lambda: state() == "OK", 5)


def over_nodes(function: str, *nodes: str, metric: str) -> list[dict[str, Any]]:
    stats = [
        {
            "Metric": {"Namespace": NAMESPACE, "MetricName": metric, "Dimensions": dimensions({"Node": node})},
            "Period": 10,
            "Stat": "Sum",
        }
        for node in nodes
    ]
    return [
        {"Id": "all", "Expression": f"{function}(METRICS())", "Label": "All nodes", "ReturnData": True},
        *({"Id": f"node{n}", "MetricStat": stat, "ReturnData": False} for n, stat in enumerate(stats, 1)),
    ]


@pytest.mark.parametrize(("function", "fires"), [("SUM", True), ("MAX", False)])
def test_metric_math_is_a_function_of_all_metrics(plane: Plane, function: str, fires: bool) -> None:
    client, name = plane.client("cloudwatch"), f"Evicted{function}"
    # Both data in one period, whenever the test runs.
    now = datetime.fromtimestamp(datetime.now(UTC).timestamp() // 10 * 10 + 0.5, UTC)
    for node in ("one", "two"):
        put(plane, name, {"Node": node}, now=now, Value=60)
    client.put_metric_alarm(
        AlarmName=name,
        Metrics=over_nodes(function, "one", "two", "without-data", metric=name),
        EvaluationPeriods=1,
        Threshold=100,
        ComparisonOperator="GreaterThanThreshold",
    )

    def described() -> dict[str, Any]:
        return dict(client.describe_alarms(AlarmNames=[name])["MetricAlarms"][0])

    eventually(lambda: described()["StateValue"] == ("ALARM" if fires else "OK"), 5)
    assert not described().keys() & {"MetricName", "Namespace", "Period"}
    assert [query["Id"] for query in described()["Metrics"]] == ["all", "node1", "node2", "node3"]
    assert "[120]" in described()["StateReason"] if fires else "[60]" in described()["StateReason"]


def test_the_event_of_metric_math_names_every_metric() -> None:
    from sandbox.automation.gaps.metric_math import described

    whole, node = described(over_nodes("SUM", "one", metric="Evicted"))
    assert whole == {"id": "all", "expression": "SUM(METRICS())", "label": "All nodes", "returnData": True}
    assert node == {
        "id": "node1",
        "metricStat": {
            "metric": {"dimensions": {"Node": "one"}, "name": "Evicted", "namespace": NAMESPACE},
            "period": 10,
            "stat": "Sum",
        },
        "returnData": False,
    }


def test_other_metric_math_is_refused_rather_than_never_firing(plane: Plane) -> None:
    query = {"Id": "rate", "Expression": "1 / 2"}
    with pytest.raises(ClientError, match="a function of METRICS"):
        plane.client("cloudwatch").put_metric_alarm(
            AlarmName="rate",
            Metrics=[query],
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanThreshold",
        )


X, O, M = 9.0, 1.0, None  # breaching, within the threshold, missing  # noqa: E741


@pytest.mark.parametrize(
    ("needed", "oldest_first", "states"),
    [
        # The tables of https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
        (3, [O, M, X, M, X], ("OK", "OK", "OK", "OK")),
        (3, [M, M, M, M, O], ("OK", "OK", "OK", "OK")),
        (3, [M, M, M, M, M], ("INSUFFICIENT_DATA", "KEPT", "ALARM", "OK")),
        (3, [O, X, X, M, X], ("ALARM", "ALARM", "ALARM", "ALARM")),
        (3, [M, M, X, M, M], ("ALARM", "KEPT", "ALARM", "OK")),
        (2, [O, M, X, M, X], ("ALARM", "ALARM", "ALARM", "ALARM")),
        (2, [O, O, X, O, X], ("ALARM", "ALARM", "ALARM", "ALARM")),
        (2, [O, M, X, M, M], ("OK", "OK", "ALARM", "OK")),
        (2, [M, M, M, M, O], ("OK", "OK", "ALARM", "OK")),
        (2, [M, M, M, M, X], ("ALARM", "KEPT", "ALARM", "OK")),
    ],
)
def test_missing_data_counts_as_awss_tables_say(
    needed: int, oldest_first: list[float | None], states: tuple[str, str, str, str]
) -> None:
    from sandbox.automation.gaps.alarms import decide

    settings = {
        "EvaluationPeriods": 3,
        "DatapointsToAlarm": needed,
        "Threshold": 5.0,
        "ComparisonOperator": "GreaterThanThreshold",
        "StateValue": "KEPT",
    }
    for treatment, state in zip(("missing", "ignore", "breaching", "notBreaching"), states, strict=True):
        decided, _ = decide({**settings, "TreatMissingData": treatment}, oldest_first[::-1])
        assert decided == state, treatment


def test_many_values_are_all_counted(plane: Plane) -> None:
    for _ in range(20):
        put(plane, "Many", GREEN, Values=[index / 100 for index in range(150)], Counts=[1] * 150)
    assert sum(read(plane, "Many", GREEN, "SampleCount", 60)) == 3000
