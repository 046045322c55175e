"""The platform's alarms as `terraform/cloudwatch.tf` has them, evaluated over a shorter period."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.provision.balancer import Balancer
from sandbox.provision.clients import Clients, tags

CACHE_NODES = 2


@dataclass(frozen=True, slots=True)
class Alarm:
    """What is watched; `threshold` is in the metric's own unit, `about` a key of what `provision` knows.

    With `over_nodes` it is a metric of each of the cache's nodes, and the alarm is on that function of them all.
    """

    suffix: str
    description: str
    about: str
    namespace: str
    metric: str
    threshold: float
    statistic: str = "Average"
    comparison: str = "GreaterThanThreshold"
    treat_missing: str = "missing"
    over_nodes: str | None = None
    gates_releases: bool = False


_AT_LEAST = "GreaterThanOrEqualToThreshold"
_CONTAINERS, _DATABASES, _CACHES, _BALANCERS = "ContainerInsights", "AWS/RDS", "AWS/ElastiCache", "AWS/ApplicationELB"
_CONNECTIONS = "More than 150 of the database's 200 connections are in use"
_EVICTIONS = "The cache evicted more than 100 keys in five minutes"
_OF_TARGETS = "Targets answered ten requests or more with 5xx in a minute"
_OF_BALANCER = "The load balancer answered ten requests or more with 5xx in a minute: no target did"
# No data is no breach: the balancer reports a count only when it is not zero.
_COUNT: dict[str, Any] = {"comparison": _AT_LEAST, "treat_missing": "notBreaching"}
_FAILURES: dict[str, Any] = {**_COUNT, "statistic": "Sum", "gates_releases": True}

# During a release the idle colour's new pods count as unhealthy until they pass their checks. The alarms on unhealthy
# hosts would fire then, so they inform but do not gate.
ALARMS = (
    Alarm("alb-5xx", _OF_TARGETS, "balancer", _BALANCERS, "HTTPCode_Target_5XX_Count", 10, **_FAILURES),
    Alarm("alb-elb-5xx", _OF_BALANCER, "balancer", _BALANCERS, "HTTPCode_ELB_5XX_Count", 10, **_FAILURES),
    Alarm("eks-cpu", "The nodes use more than 80 % of their CPU", "cluster", _CONTAINERS, "node_cpu_utilization", 80),
    Alarm(
        "eks-memory",
        "The nodes use more than 85 % of their memory",
        "cluster",
        _CONTAINERS,
        "node_memory_utilization",
        85,
    ),
    Alarm("database-cpu", "The database uses more than 70 % of its CPU", "database", _DATABASES, "CPUUtilization", 70),
    Alarm("database-connections", _CONNECTIONS, "database", _DATABASES, "DatabaseConnections", 150),
    Alarm("cache-evictions", _EVICTIONS, "cache", _CACHES, "Evictions", 100, statistic="Sum", over_nodes="SUM"),
    Alarm(
        "cache-cpu",
        "A node of the cache uses more than 75 % of its CPU",
        "cache",
        _CACHES,
        "CPUUtilization",
        75,
        over_nodes="MAX",
    ),
    Alarm(
        "alb-response-time",
        "Responses take more than a second on average",
        "balancer",
        _BALANCERS,
        "TargetResponseTime",
        1,
        treat_missing="notBreaching",
        gates_releases=True,
    ),
    *(
        Alarm(
            f"alb-unhealthy-hosts-{colour}",
            f"A target of the {colour} colour is unhealthy",
            colour,
            _BALANCERS,
            "UnHealthyHostCount",
            1,
            **_COUNT,
        )
        for colour in ("blue", "green")
    ),
)


@dataclass(frozen=True, slots=True)
class Provisioned:
    """Names of the alarms that gate releases, and by each alarm's name the ARN of what it is about."""

    release_alarms: tuple[str, ...]
    resources: Mapping[str, str]


def provision(clients: Clients, balancer: Balancer, *, cluster_arn: str, period_seconds: int) -> Provisioned:
    """Put all alarms, evaluated over one period. What they watch need not be there: without data they say so."""
    config = clients.config
    own = f"{config.region}:{config.account}"
    about = {
        "cluster": cluster_arn,
        "database": f"arn:aws:rds:{own}:db:{config.name}",
        "cache": f"arn:aws:elasticache:{own}:replicationgroup:{config.name}",
        "balancer": balancer.load_balancer_arn,
        **balancer.target_group_arns,
    }
    names = {alarm: f"{config.name}-{alarm.suffix}" for alarm in ALARMS}
    for alarm, name in names.items():
        clients["cloudwatch"].put_metric_alarm(
            AlarmName=name,
            AlarmDescription=alarm.description,
            **_watched(alarm, config.name, about[alarm.about], balancer, period_seconds),
            EvaluationPeriods=1,
            Threshold=alarm.threshold,
            ComparisonOperator=alarm.comparison,
            TreatMissingData=alarm.treat_missing,
            Tags=tags(config),
        )
    return Provisioned(
        release_alarms=tuple(name for alarm, name in names.items() if alarm.gates_releases),
        resources={name: about[alarm.about] for alarm, name in names.items()},
    )


def _watched(alarm: Alarm, name: str, arn: str, balancer: Balancer, period: int) -> dict[str, Any]:
    """The metric, or the metric math over those of every node, which ElastiCache names `<group>-001` and so on."""
    if alarm.over_nodes is None:
        return {
            "Namespace": alarm.namespace,
            "MetricName": alarm.metric,
            "Dimensions": _dimensions(alarm, name, arn, balancer),
            "Statistic": alarm.statistic,
            "Period": period,
        }
    nodes = [
        {
            "Id": f"node{number}",
            "ReturnData": False,
            "MetricStat": {
                "Metric": {
                    "Namespace": alarm.namespace,
                    "MetricName": alarm.metric,
                    "Dimensions": [{"Name": "CacheClusterId", "Value": f"{name}-{number:03d}"}],
                },
                "Period": period,
                "Stat": alarm.statistic,
            },
        }
        for number in range(1, CACHE_NODES + 1)
    ]
    whole = {
        "Id": "all",
        "Expression": f"{alarm.over_nodes}(METRICS())",
        "Label": alarm.description,
        "ReturnData": True,
    }
    return {"Metrics": [whole, *nodes]}


def _dimensions(alarm: Alarm, name: str, arn: str, balancer: Balancer) -> list[dict[str, str]]:
    """As CloudWatch knows them: of a balancer the part of the ARN after `loadbalancer/`, of a group that from
    `targetgroup/` on."""
    if alarm.about == "cluster":
        return [{"Name": "ClusterName", "Value": name}]
    if alarm.about == "database":
        return [{"Name": "DBInstanceIdentifier", "Value": name}]
    whole = {"Name": "LoadBalancer", "Value": balancer.load_balancer_arn.partition(":loadbalancer/")[2]}
    if alarm.about == "balancer":
        return [whole]
    return [{"Name": "TargetGroup", "Value": arn.rpartition(":")[2]}, whole]
