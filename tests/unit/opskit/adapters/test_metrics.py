from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.stub import ANY, Stubber
from hypothesis import given
from hypothesis import strategies as st

from opskit.adapters.metrics import (
    AlarmState,
    Metrics,
    TrafficSample,
    latency_period,
    load_balancer_dimension,
    target_group_dimension,
    whole_periods,
)
from opskit.errors import MeasurementError
from opskit.platform import Platform
from opskit.traffic import Colour

from .conftest import aws_client

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
BLUE = [
    {"Name": "LoadBalancer", "Value": "app/detection-api-dev/0123456789abcdef"},
    {"Name": "TargetGroup", "Value": "targetgroup/detection-api-dev-blue/00000000000000b1"},
]


def minute(number: int, seconds: int = 0) -> datetime:
    return NOON + timedelta(minutes=number, seconds=seconds)


@pytest.fixture
def cloudwatch() -> Any:
    return aws_client("cloudwatch")


@pytest.fixture
def stub(cloudwatch: Any) -> Iterator[Stubber]:
    with Stubber(cloudwatch) as stub:
        yield stub
        stub.assert_no_pending_responses()


def publish(cloudwatch: Any, name: str, at: datetime, value: float, dimensions: Any = None) -> None:
    datum = {"MetricName": name, "Dimensions": dimensions or BLUE, "Timestamp": at, "Value": value}
    cloudwatch.put_metric_data(Namespace="AWS/ApplicationELB", MetricData=[datum])


def test_adds_up_the_whole_minutes_of_the_window(platform: Platform, cloudwatch: Any) -> None:
    for number in range(6):
        publish(cloudwatch, "RequestCount", minute(number), 10**number)
    publish(cloudwatch, "HTTPCode_Target_2XX_Count", minute(1), 10)
    publish(cloudwatch, "HTTPCode_Target_2XX_Count", minute(2), 97)
    publish(cloudwatch, "HTTPCode_Target_2XX_Count", minute(3), 996)
    publish(cloudwatch, "HTTPCode_Target_5XX_Count", minute(2), 3)
    publish(cloudwatch, "TargetConnectionErrorCount", minute(3), 4)
    other = [BLUE[0], {"Name": "TargetGroup", "Value": "targetgroup/detection-api-dev-green/0000000000000092"}]
    publish(cloudwatch, "RequestCount", minute(2), 77_000_000, other)

    sample = Metrics(platform, cloudwatch).traffic(Colour.BLUE, minute(0, 20), minute(4, 50), 60)

    assert (sample.requests, sample.errors, sample.datapoints) == (10 + 100 + 1000, 7, 3)
    assert (sample.start, sample.end) == (minute(1), minute(4))
    assert sample.error_rate == 7 / 1110


def test_no_data_is_no_datapoints(platform: Platform, cloudwatch: Any) -> None:
    sample = Metrics(platform, cloudwatch).traffic(Colour.GREEN, minute(0), minute(5), 60)
    assert sample == TrafficSample(0, 0, None, 0, minute(0), minute(5))
    assert sample.error_rate is None


def test_a_window_without_a_whole_period_is_not_even_asked_for(platform: Platform, stub: Stubber) -> None:
    sample = Metrics(platform, stub.client).traffic(Colour.GREEN, minute(0, 1), minute(1, 59), 60)
    assert sample.datapoints == 0


RESULTS = ("requests", "answers_2xx", "answers_3xx", "answers_4xx", "errors", "connection_errors", "p95")


def result(name: str, *values: float, status: str = "Complete", first: int = 0) -> dict[str, Any]:
    return {
        "Id": name,
        "Timestamps": [minute(first + number) for number in range(len(values))],
        "Values": list(values),
        "StatusCode": status,
    }


def answer(*results: dict[str, Any], **rest: Any) -> dict[str, Any]:
    given = {entry["Id"] for entry in results}
    absent = [result(name) for name in RESULTS if name not in given]
    return {"MetricDataResults": [*results, *absent], **rest}


def test_asks_once_and_for_one_latency_over_the_whole_window(platform: Platform, stub: Stubber) -> None:
    def query(identity: str, metric: str, statistic: str, period: int) -> Any:
        name = {"Namespace": "AWS/ApplicationELB", "MetricName": metric, "Dimensions": BLUE}
        return {"Id": identity, "MetricStat": {"Metric": name, "Period": period, "Stat": statistic}}

    expected = {
        "MetricDataQueries": [
            query("requests", "RequestCount", "Sum", 60),
            query("answers_2xx", "HTTPCode_Target_2XX_Count", "Sum", 60),
            query("answers_3xx", "HTTPCode_Target_3XX_Count", "Sum", 60),
            query("answers_4xx", "HTTPCode_Target_4XX_Count", "Sum", 60),
            query("errors", "HTTPCode_Target_5XX_Count", "Sum", 60),
            query("connection_errors", "TargetConnectionErrorCount", "Sum", 60),
            query("p95", "TargetResponseTime", "p95", 300),
        ],
        "StartTime": minute(3),
        "EndTime": minute(8),
    }
    stub.add_response(
        "get_metric_data", answer(result("requests", 5.0), result("answers_2xx", 5.0), result("p95", 0.25)), expected
    )
    sample = Metrics(platform, stub.client).traffic(Colour.BLUE, minute(3), minute(8), 60)
    assert sample == TrafficSample(5, 0, 0.25, 1, minute(3), minute(8))


@pytest.mark.parametrize(
    ("counts", "errors"),
    [
        # Answers of every kind but 5xx are none.
        ({"requests": [100], "answers_2xx": [90], "answers_3xx": [6], "answers_4xx": [4]}, 0),
        # 502 and 504 of targets that die or hang: requests without an answer, in no count of the target group.
        ({"requests": [100], "answers_2xx": [70]}, 30),
        ({"requests": [100]}, 100),
        # With 5xx of the target's own, and connections refused, each request counted once.
        ({"requests": [100], "answers_2xx": [70], "errors": [10], "connection_errors": [15]}, 30),
        # Connections that failed without a request being counted.
        ({"requests": [0], "connection_errors": [4]}, 4),
        # Answered in the period after the one in which they were counted.
        ({"requests": [100, 50], "answers_2xx": [80, 70]}, 0),
        # Answers to requests from before the window.
        ({"requests": [100], "answers_2xx": [103], "errors": [2]}, 2),
    ],
)
def test_errors_are_the_requests_that_no_target_answered_well(
    platform: Platform, stub: Stubber, counts: dict[str, list[float]], errors: int
) -> None:
    stub.add_response("get_metric_data", answer(*(result(name, *values) for name, values in counts.items())))
    assert Metrics(platform, stub.client).traffic(Colour.BLUE, minute(0), minute(5), 60).errors == errors


def test_two_latencies_of_one_window_are_bounded_by_the_greater(platform: Platform, stub: Stubber) -> None:
    stub.add_response("get_metric_data", answer(result("requests", 5.0, 5.0), result("p95", 0.25, 0.75)))
    assert Metrics(platform, stub.client).traffic(Colour.BLUE, minute(0), minute(5), 60).p95_seconds == 0.75


def test_reads_on_while_there_are_pages(platform: Platform, stub: Stubber) -> None:
    first = answer(result("requests", 1.0, 2.0, status="PartialData"), NextToken="next")
    second = {"MetricDataResults": [result("requests", 3.0, first=2)]}
    stub.add_response("get_metric_data", first)
    stub.add_response(
        "get_metric_data",
        second,
        {"MetricDataQueries": ANY, "StartTime": ANY, "EndTime": ANY, "NextToken": "next"},
    )
    sample = Metrics(platform, stub.client).traffic(Colour.BLUE, minute(0), minute(5), 60)
    assert (sample.requests, sample.datapoints) == (6, 3)


@pytest.mark.parametrize("status", ["PartialData", "InternalError", "Forbidden"])
@pytest.mark.parametrize("name", RESULTS)
def test_incomplete_data_is_an_error(platform: Platform, stub: Stubber, name: str, status: str) -> None:
    incomplete = result(name, 1.0, status=status) | {"Messages": [{"Code": "Why", "Value": "because"}]}
    stub.add_response("get_metric_data", answer(incomplete))
    with pytest.raises(MeasurementError, match=rf"{name} {status} \(Why: because\)"):
        Metrics(platform, stub.client).traffic(Colour.BLUE, minute(0), minute(5), 60)


def test_a_missing_result_is_an_error(platform: Platform, stub: Stubber) -> None:
    full = answer()
    stub.add_response("get_metric_data", {"MetricDataResults": full["MetricDataResults"][:-1]})
    with pytest.raises(MeasurementError, match="p95 no result"):
        Metrics(platform, stub.client).traffic(Colour.BLUE, minute(0), minute(5), 60)


@pytest.mark.parametrize("operation", ["get_metric_data", "describe_alarms"])
def test_a_refused_read_is_an_error(platform: Platform, stub: Stubber, operation: str) -> None:
    stub.add_client_error(operation, "Throttling", "Rate exceeded", 400)
    adapter = Metrics(platform, stub.client)
    reads: dict[str, Callable[[], object]] = {
        "get_metric_data": lambda: adapter.traffic(Colour.BLUE, minute(0), minute(5), 60),
        "describe_alarms": lambda: adapter.alarms(["a"]),
    }
    with pytest.raises(MeasurementError, match="Throttling"):
        reads[operation]()


@pytest.mark.parametrize("period", [0, -60, 2, 45, 90])
def test_refuses_a_period_that_cloudwatch_does_not_know(platform: Platform, cloudwatch: Any, period: int) -> None:
    with pytest.raises(ValueError, match="CloudWatch period"):
        Metrics(platform, cloudwatch).traffic(Colour.BLUE, minute(0), minute(5), period)


def test_refuses_a_window_without_time_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        whole_periods(NOON.replace(tzinfo=None), NOON, 60)


moments = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(moments, moments, st.sampled_from([1, 5, 10, 20, 30, 60, 120, 300, 3600]))
def test_whole_periods_lie_within_the_window(start: datetime, end: datetime, period: int) -> None:
    first, last = whole_periods(start, end, period)
    step = timedelta(seconds=period)
    assert first.timestamp() % period == 0 == last.timestamp() % period
    assert start <= first < start + step
    assert end - step < last <= end


@given(moments, st.integers(1, 10_000), st.sampled_from([1, 5, 10, 20, 30, 60, 120, 300]))
def test_one_latency_period_holds_the_window(start: datetime, periods: int, period: int) -> None:
    length = periods * period
    span = latency_period(start, start + timedelta(seconds=length), period)
    assert span % 60 == 0
    assert span >= length
    if period % 60 == 0:
        assert span == length


names = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9-]{0,30}", fullmatch=True)
identities = st.from_regex(r"[0-9a-f]{16}", fullmatch=True)
homes = st.tuples(
    st.sampled_from(["aws", "aws-cn", "aws-us-gov"]), st.sampled_from(["us-east-1", "eu-west-3"]), st.just("0" * 12)
)


@given(homes, names, identities)
def test_dimensions_come_from_the_arns(home: tuple[str, str, str], name: str, identity: str) -> None:
    partition, region, account = home
    prefix = f"arn:{partition}:elasticloadbalancing:{region}:{account}"
    group = f"targetgroup/{name}/{identity}"
    assert load_balancer_dimension(f"{prefix}:loadbalancer/app/{name}/{identity}") == f"app/{name}/{identity}"
    assert target_group_dimension(f"{prefix}:{group}") == group


@pytest.mark.parametrize(
    "arn", ["", "arn:aws:elasticloadbalancing:us-east-1:1:loadbalancer/net/a/b", "arn:aws:s3:::bucket/app/a/b"]
)
def test_other_arns_have_no_dimensions(arn: str) -> None:
    with pytest.raises(MeasurementError):
        load_balancer_dimension(arn)
    with pytest.raises(MeasurementError):
        target_group_dimension(arn)


def test_a_sample_survives_the_way_through_a_state_machine() -> None:
    sample = TrafficSample(5, 1, 0.25, 2, minute(0), minute(2))
    assert TrafficSample.from_dict(sample.as_dict()) == sample
    assert TrafficSample.from_dict(TrafficSample(0, 0, None, 0).as_dict()) == TrafficSample(0, 0, None, 0)


def alarm(cloudwatch: Any, name: str) -> None:
    cloudwatch.put_metric_alarm(
        AlarmName=name, Namespace="n", MetricName="m", Statistic="Sum", Period=60, EvaluationPeriods=1,
        Threshold=1, ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip


def test_reads_alarms_in_the_order_asked(platform: Platform, cloudwatch: Any) -> None:
    for name in ("quiet", "both", "firing"):
        alarm(cloudwatch, name)
    cloudwatch.set_alarm_state(AlarmName="firing", StateValue="ALARM", StateReason="too many")

    found = Metrics(platform, cloudwatch).alarms(["firing", "both", "quiet", "firing"])

    assert [state.name for state in found] == ["firing", "both", "quiet"]
    assert (found[0].state, found[0].reason) == ("ALARM", "too many")
    assert found[0].arn == "arn:aws:cloudwatch:us-east-1:123456789012:alarm:firing"
    assert found[0].since.tzinfo is UTC
    assert AlarmState.from_dict(found[0].as_dict()) == found[0]


def test_reads_composite_alarms_too(platform: Platform, stub: Stubber) -> None:
    common = {"AlarmArn": "arn", "StateReason": "why", "StateUpdatedTimestamp": NOON}
    described = {
        "MetricAlarms": [common | {"AlarmName": "simple", "StateValue": "OK"}],
        "CompositeAlarms": [common | {"AlarmName": "composite", "StateValue": "INSUFFICIENT_DATA"}],
    }
    stub.add_response("describe_alarms", described)
    found = Metrics(platform, stub.client).alarms(["composite", "simple"])
    assert [(state.name, state.state) for state in found] == [("composite", "INSUFFICIENT_DATA"), ("simple", "OK")]


def test_asks_for_no_more_than_a_hundred_alarms_at_once(platform: Platform, stub: Stubber) -> None:
    wanted = [f"alarm-{number}" for number in range(150)]
    for part in (wanted[:100], wanted[100:]):
        alarms = [
            {"AlarmName": name, "AlarmArn": name, "StateValue": "OK", "StateUpdatedTimestamp": NOON} for name in part
        ]
        parameters = {"AlarmNames": part, "AlarmTypes": ["MetricAlarm", "CompositeAlarm"]}
        stub.add_response("describe_alarms", {"MetricAlarms": alarms}, parameters)
    assert [state.name for state in Metrics(platform, stub.client).alarms(wanted)] == wanted


def test_since_is_the_transition_not_the_latest_update(platform: Platform, stub: Stubber) -> None:
    described = {
        "AlarmName": "a",
        "AlarmArn": "arn",
        "StateValue": "ALARM",
        "StateUpdatedTimestamp": minute(9),
        "StateTransitionedTimestamp": minute(1),
    }
    stub.add_response("describe_alarms", {"MetricAlarms": [described]})
    assert Metrics(platform, stub.client).alarms(["a"])[0].since == minute(1)


def test_an_alarm_that_is_not_there_is_an_error(platform: Platform, cloudwatch: Any) -> None:
    alarm(cloudwatch, "there")
    with pytest.raises(MeasurementError, match="no alarm named gone, also gone"):
        Metrics(platform, cloudwatch).alarms(["gone", "there", "also gone"])


def test_no_names_are_no_alarms(platform: Platform, stub: Stubber) -> None:
    assert Metrics(platform, stub.client).alarms([]) == ()
