"""The balancer's alarms, and which of them stop a release."""

from dataclasses import dataclass
from typing import Any

from sandbox.provision.balancer import Balancer
from sandbox.provision.clients import Clients, tags
from sandbox.provision.people import topic_arn

_NAMESPACE = "AWS/ApplicationELB"


@dataclass(frozen=True, slots=True)
class _Alarm:
    """What is watched; `threshold` is in the metric's own unit, `over_target_groups` says whose metric."""

    suffix: str
    description: str
    metric: str
    statistic: str
    comparison: str
    threshold: float
    colour: str | None = None
    gates_releases: bool = True


_ALARMS = (
    _Alarm(
        "alb-5xx",
        "Targets answered requests with 5xx",
        "HTTPCode_Target_5XX_Count",
        "Sum",
        "GreaterThanOrEqualToThreshold",
        10,
    ),
    _Alarm(
        "alb-response-time",
        "Responses take more than a second on average",
        "TargetResponseTime",
        "Average",
        "GreaterThanThreshold",
        1,
    ),
    # During a release the idle colour's new pods count as unhealthy until they pass their checks. These two
    # would fire then, so they inform but do not gate.
    _Alarm(
        "alb-unhealthy-hosts-blue",
        "A target of the blue colour is unhealthy",
        "UnHealthyHostCount",
        "Average",
        "GreaterThanOrEqualToThreshold",
        1,
        colour="blue",
        gates_releases=False,
    ),
    _Alarm(
        "alb-unhealthy-hosts-green",
        "A target of the green colour is unhealthy",
        "UnHealthyHostCount",
        "Average",
        "GreaterThanOrEqualToThreshold",
        1,
        colour="green",
        gates_releases=False,
    ),
)


def provision(clients: Clients, balancer: Balancer, *, period_seconds: int) -> tuple[str, ...]:
    """Put all alarms, evaluated over one period; returns the names of those that gate releases.

    No data is no breach: the balancer reports a count only when it is not zero.
    """
    for alarm in _ALARMS:
        clients["cloudwatch"].put_metric_alarm(
            AlarmName=f"{clients.config.name}-{alarm.suffix}",
            AlarmDescription=alarm.description,
            Namespace=_NAMESPACE,
            MetricName=alarm.metric,
            Dimensions=_dimensions(balancer, alarm.colour),
            Statistic=alarm.statistic,
            Period=period_seconds,
            EvaluationPeriods=1,
            Threshold=alarm.threshold,
            ComparisonOperator=alarm.comparison,
            TreatMissingData="notBreaching",
            AlarmActions=[topic_arn(clients.config)],
            OKActions=[topic_arn(clients.config)],
            Tags=tags(clients.config),
        )
    return tuple(f"{clients.config.name}-{alarm.suffix}" for alarm in _ALARMS if alarm.gates_releases)


def _dimensions(balancer: Balancer, colour: str | None) -> list[dict[str, Any]]:
    """As CloudWatch knows them: the part of the ARN after `loadbalancer/`, and from `targetgroup/` on."""
    dimensions = [{"Name": "LoadBalancer", "Value": balancer.load_balancer_arn.partition(":loadbalancer/")[2]}]
    if colour is not None:
        group = balancer.target_group_arns[colour].rpartition(":")[2]
        dimensions.insert(0, {"Name": "TargetGroup", "Value": group})
    return dimensions
