"""Whether what an alarm measures is the resource that a repair would touch.

The resource comes from the platform's list, the metrics from CloudWatch's own description of the alarm; nothing of
either from an event.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Measured:
    """A metric that an alarm rests on; `account` only where it is read from another account."""

    namespace: str
    name: str
    dimensions: dict[str, str]
    account: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "namespace": self.namespace,
            "name": self.name,
            "dimensions": self.dimensions,
            "account": self.account,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        return cls(data["namespace"], data["name"], dict(data["dimensions"]), data.get("account"))

    @property
    def words(self) -> str:
        """For a person: `AWS/RDS CPUUtilization of DBInstanceIdentifier=shop-prod`."""
        of = ", ".join(f"{name}={value}" for name, value in sorted(self.dimensions.items()))
        return f"{self.namespace} {self.name} of {of or 'no dimension'}"


@dataclass(frozen=True, slots=True)
class _Kind:
    """How the metrics of one kind of resource name it: the dimension, and its value from the ARN's resource part.

    With `nodes` the metrics are of its nodes, each named after it with a number behind.
    """

    namespace: str
    resource: re.Pattern[str]
    dimension: str
    nodes: bool = False


# AWS/RDS: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/dimensions.html
# AWS/ElastiCache, a node of a group: https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/CacheMetrics.html
# AWS/ApplicationELB: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html
# ContainerInsights: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Container-Insights-metrics-EKS.html
_KINDS: dict[tuple[str, str], _Kind] = {
    ("rds", "db"): _Kind("AWS/RDS", re.compile(r"db:(.+)"), "DBInstanceIdentifier"),
    ("elasticache", "replicationgroup"): _Kind(
        "AWS/ElastiCache", re.compile(r"replicationgroup:(.+)"), "CacheClusterId", nodes=True
    ),
    ("eks", "cluster"): _Kind("ContainerInsights", re.compile(r"cluster/(.+)"), "ClusterName"),
    ("elasticloadbalancing", "loadbalancer"): _Kind(
        "AWS/ApplicationELB", re.compile(r"loadbalancer/(app/.+)"), "LoadBalancer"
    ),
    ("elasticloadbalancing", "targetgroup"): _Kind(
        "AWS/ApplicationELB", re.compile(r"(targetgroup/.+)"), "TargetGroup"
    ),
}
# A node of a replication group: <group>-001, or <group>-0001-001 where there are shards.
_NODE = re.compile(r"(?:-\d{4})?-\d{3}")


def mismatch(measured: Sequence[Measured], resource_arn: str, *, opaque: bool = False) -> str | None:
    """Why the metrics are not all about the resource; None if they are.

    `opaque`: the alarm finds metrics by itself. One that rests on nothing (a composite alarm) is about nothing.
    """
    kind, identity = _identity(resource_arn)
    if kind is None:
        return f"{resource_arn} is of no kind that an alarm's metrics can be told to be about"
    if opaque:
        return "the alarm's expression chooses its metrics by itself, so nobody knows what they are about"
    if not measured:
        return "the alarm rests on no metric of its own"
    account = resource_arn.split(":")[4]
    wrong = [one.words for one in measured if not _about(one, kind, identity, account)]
    return f"the alarm measures {'; '.join(wrong)}, which is not {resource_arn}" if wrong else None


def _identity(arn: str) -> tuple[_Kind | None, str]:
    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn":
        return None, ""
    resource = parts[5]
    kind = _KINDS.get((parts[2], re.split(r"[:/]", resource, maxsplit=1)[0]))
    match = kind.resource.fullmatch(resource) if kind else None
    return (kind, match[1]) if match else (None, "")


def _about(measured: Measured, kind: _Kind, identity: str, account: str) -> bool:
    if measured.namespace != kind.namespace or (measured.account or account) != account:
        return False
    value = measured.dimensions.get(kind.dimension)
    if value is None:
        return False
    if kind.nodes:
        return value.startswith(identity) and _NODE.fullmatch(value[len(identity) :]) is not None
    return value == identity
