"""The sandbox watches what the platform watches: its alarms are Terraform's, over a shorter period."""

from typing import Any

import pytest

from opskit.platform import path_of
from sandbox.provision.alarms import ALARMS


@pytest.fixture(scope="module")
def platform(platform_of) -> Any:
    return platform_of("dev")


def watched(alarm: dict[str, Any]) -> tuple[Any, ...]:
    """Namespace, metric, dimensions, statistic, and the function over nodes, if there is one."""
    if not alarm["metric_query"]:
        return alarm["namespace"], alarm["metric_name"], set(alarm["dimensions"]), alarm["statistic"], None
    (whole,) = [query for query in alarm["metric_query"] if query["expression"]]
    (metric,) = {
        (stat["namespace"], stat["metric_name"], *stat["dimensions"], stat["stat"])
        for query in alarm["metric_query"]
        for stat in query["metric"] or ()
    }
    namespace, name, dimension, statistic = metric
    return namespace, name, {dimension}, statistic, whole["expression"]


def test_each_alarm_is_terraforms(platform) -> None:
    kinds = {
        "cluster": {"ClusterName"},
        "database": {"DBInstanceIdentifier"},
        "cache": {"CacheClusterId"},
        "balancer": {"LoadBalancer"},
        "blue": {"LoadBalancer", "TargetGroup"},
        "green": {"LoadBalancer", "TargetGroup"},
    }
    own = {
        alarm.suffix: (
            alarm.description,
            (
                alarm.namespace,
                alarm.metric,
                kinds[alarm.about],
                alarm.statistic,
                f"{alarm.over_nodes}(METRICS())" if alarm.over_nodes else None,
            ),
            alarm.comparison,
            alarm.threshold,
            alarm.treat_missing,
        )
        for alarm in ALARMS
    }
    theirs = {
        alarm.index: (
            alarm["alarm_description"],
            watched(alarm),
            alarm["comparison_operator"],
            alarm["threshold"],
            alarm["treat_missing_data"],
        )
        for alarm in platform.of("cloudwatch_metric_alarm")
    }
    assert own == theirs


def test_the_same_alarms_stop_releases(platform) -> None:
    parameter = f"{path_of('detection-api', 'dev')}release_alarms"
    (value,) = [each["value"] for each in platform.of("ssm_parameter", "contract") if each["name"] == parameter]
    assert {f"detection-api-dev-{alarm.suffix}" for alarm in ALARMS if alarm.gates_releases} == set(value.split(","))


def test_each_alarm_is_about_the_same_kind_of_resource(platform) -> None:
    marks = {
        "cluster": ":cluster/",
        "database": ":db:",
        "cache": ":replicationgroup:",
        "balancer": ":loadbalancer/",
        "blue": "-blue/",
        "green": "-green/",
    }
    for alarm in ALARMS:
        assert marks[alarm.about] in platform.outputs["alarms"][f"detection-api-dev-{alarm.suffix}"]
