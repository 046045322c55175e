from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.stub import Stubber

from opskit.adapters.alarms import AlarmReading, Alarms
from opskit.decisions.alarm_subject import Measured, mismatch
from opskit.errors import MeasurementError

from .conftest import aws_client, session

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CACHE = "arn:aws:elasticache:us-east-1:123456789012:replicationgroup:shop"


@pytest.fixture
def cloudwatch() -> Any:
    return aws_client("cloudwatch")


def described(**more: Any) -> dict[str, Any]:
    alarm = {"AlarmName": "a", "AlarmArn": "arn", "StateValue": "ALARM", "StateUpdatedTimestamp": NOON}
    return {"MetricAlarms": [alarm | more]}


def read(answer: dict[str, Any]) -> AlarmReading:
    client = session().client("cloudwatch")
    with Stubber(client) as stub:
        stub.add_response("describe_alarms", answer)
        return Alarms(client).read(["a"])[0]


def test_a_metric_alarm_is_read_with_what_it_measures(cloudwatch: Any) -> None:
    cloudwatch.put_metric_alarm(
        AlarmName="shop-prod-database-cpu",
        Namespace="AWS/RDS",
        MetricName="CPUUtilization",
        Dimensions=[{"Name": "DBInstanceIdentifier", "Value": "shop-prod"}],
        Statistic="Average",
        Period=300,
        EvaluationPeriods=2,
        Threshold=70,
        ComparisonOperator="GreaterThanThreshold",
    )
    cloudwatch.set_alarm_state(AlarmName="shop-prod-database-cpu", StateValue="ALARM", StateReason="hot")
    (found,) = Alarms(cloudwatch).read(["shop-prod-database-cpu"])
    assert found.state.firing
    assert found.state.arn.endswith(":alarm:shop-prod-database-cpu")
    assert found.measured == (Measured("AWS/RDS", "CPUUtilization", {"DBInstanceIdentifier": "shop-prod"}),)
    assert found.lookback_seconds == 600
    assert not found.opaque
    assert AlarmReading.from_dict(found.as_dict()) == found


def node(name: str, period: int = 300, **more: Any) -> dict[str, Any]:
    dimensions = [{"Name": "CacheClusterId", "Value": name}]
    metric = {"Namespace": "AWS/ElastiCache", "MetricName": "Evictions", "Dimensions": dimensions}
    return {"Id": name, "MetricStat": {"Metric": metric, "Period": period, "Stat": "Sum"}, "ReturnData": False} | more


def test_metric_math_is_about_all_of_its_metrics() -> None:
    queries = [{"Id": "all", "Expression": "SUM(METRICS())"}, node("shop-001"), node("shop-002", 600)]
    found = read(described(Metrics=queries, EvaluationPeriods=1))
    assert [one.dimensions["CacheClusterId"] for one in found.measured] == ["shop-001", "shop-002"]
    assert found.lookback_seconds == 600, "the longest of its periods"
    assert mismatch(found.measured, CACHE, opaque=found.opaque) is None
    assert AlarmReading.from_dict(found.as_dict()) == found
    smuggled = read(described(Metrics=[*queries, node("billing-001")], EvaluationPeriods=1))
    assert "billing-001" in (mismatch(smuggled.measured, CACHE) or "")
    elsewhere = read(described(Metrics=[node("shop-001", AccountId="999999999999")], EvaluationPeriods=1))
    assert mismatch(elsewhere.measured, CACHE) is not None


@pytest.mark.parametrize(
    "expression", ["SUM(SEARCH('{AWS/ElastiCache,CacheClusterId} Evictions', 'Sum', 300))", 'SELECT MAX(X) FROM "Y"']
)
def test_an_expression_that_finds_metrics_by_itself_is_opaque(expression: str) -> None:
    queries = [node("shop-001"), {"Id": "e", "Expression": expression, "Period": 60}]
    assert read(described(Metrics=queries, EvaluationPeriods=1)).opaque


def test_a_composite_alarm_measures_nothing() -> None:
    (alarm,) = described()["MetricAlarms"]
    found = read({"CompositeAlarms": [alarm]})
    assert (found.measured, found.lookback_seconds) == ((), 0)
    assert mismatch(found.measured, CACHE) is not None


def test_alarms_come_in_the_order_asked_and_since_is_the_transition() -> None:
    client = session().client("cloudwatch")
    earlier = datetime(2026, 11, 23, 11, 0, tzinfo=UTC)
    alarms = [described(AlarmName=name, StateTransitionedTimestamp=earlier)["MetricAlarms"][0] for name in "ab"]
    with Stubber(client) as stub:
        stub.add_response("describe_alarms", {"MetricAlarms": alarms})
        found = Alarms(client).read(["b", "a", "b"])
    assert [one.state.name for one in found] == ["b", "a", "b"]
    assert found[0].state.since == earlier


def test_an_alarm_that_cannot_be_read_is_an_error(cloudwatch: Any) -> None:
    with pytest.raises(MeasurementError, match="returned no alarm named gone: create it"):
        Alarms(cloudwatch).read(["gone"])
    client = session().client("cloudwatch")
    with Stubber(client) as stub:
        stub.add_client_error("describe_alarms", "Throttling", "slow down")
        with pytest.raises(MeasurementError, match="The state of a could not be read"):
            Alarms(client).read(["a"])
    half = {"MetricAlarms": [{"AlarmName": "a", "AlarmArn": "arn"}]}
    with pytest.raises(MeasurementError, match="CloudWatch left out 'StateValue'"):
        read(half)
    assert Alarms(cloudwatch).read([]) == ()
