import pytest

from opskit.decisions.alarm_subject import Measured, mismatch

ARN = "arn:aws:{}:us-east-1:123456789012:{}"
DATABASE = ARN.format("rds", "db:shop-prod")
CACHE = ARN.format("elasticache", "replicationgroup:shop-prod")
CLUSTER = ARN.format("eks", "cluster/shop-prod")
BALANCER = ARN.format("elasticloadbalancing", "loadbalancer/app/shop-prod/50dc6c495c0c9188")
GROUP = ARN.format("elasticloadbalancing", "targetgroup/shop-blue/73e2d6bc24d8a067")


def node(name: str) -> Measured:
    return Measured("AWS/ElastiCache", "Evictions", {"CacheClusterId": name})


def database(name: str, account: str | None = None) -> Measured:
    return Measured("AWS/RDS", "CPUUtilization", {"DBInstanceIdentifier": name}, account)


IN_BALANCER = {"LoadBalancer": "app/shop-prod/50dc6c495c0c9188"}
IN_GROUP = IN_BALANCER | {"TargetGroup": "targetgroup/shop-blue/73e2d6bc24d8a067"}


@pytest.mark.parametrize(
    ("arn", "measured"),
    [
        (DATABASE, [database("shop-prod")]),
        (DATABASE, [database("shop-prod", "123456789012")]),
        (CACHE, [node("shop-prod-001"), node("shop-prod-002"), node("shop-prod-0001-003")]),
        (CLUSTER, [Measured("ContainerInsights", "node_cpu_utilization", {"ClusterName": "shop-prod"})]),
        (BALANCER, [Measured("AWS/ApplicationELB", "TargetResponseTime", IN_BALANCER)]),
        (GROUP, [Measured("AWS/ApplicationELB", "UnHealthyHostCount", IN_GROUP)]),
    ],
)
def test_metrics_of_the_resource_are_about_it(arn: str, measured: list[Measured]) -> None:
    assert mismatch(measured, arn) is None
    assert [Measured.from_dict(one.as_dict()) for one in measured] == measured


@pytest.mark.parametrize(
    ("arn", "measured"),
    [
        (DATABASE, [database("billing")]),
        (DATABASE, [database("shop-prod-replica")]),
        (DATABASE, [database("SHOP-PROD ")]),
        (DATABASE, [database("shop-prod"), database("billing")]),
        (DATABASE, [database("shop-prod", "999999999999")]),
        (DATABASE, [Measured("AWS/Fake", "CPUUtilization", {"DBInstanceIdentifier": "shop-prod"})]),
        (DATABASE, [Measured("AWS/RDS", "CPUUtilization", {})]),
        (DATABASE, [Measured("AWS/RDS", "CPUUtilization", {"DatabaseClass": "db.t4g.large"})]),
        (CACHE, [node("shop-prod-001"), node("drill-shop-prod-001")]),
        (CACHE, [node("shop-prod-copy-001")]),
        (CACHE, [node("shop-prod")]),
        (CACHE, [node("shop-prod-1")]),
        (CLUSTER, [Measured("ContainerInsights", "node_cpu_utilization", {"ClusterName": "shop"})]),
        (BALANCER, [Measured("AWS/ApplicationELB", "TargetResponseTime", {"LoadBalancer": "app/other/50dc"})]),
        (GROUP, [Measured("AWS/ApplicationELB", "UnHealthyHostCount", IN_BALANCER)]),
        (GROUP.replace("shop-blue", "shop-green"), [Measured("AWS/ApplicationELB", "UnHealthyHostCount", IN_GROUP)]),
    ],
)
def test_metrics_of_anything_else_are_not(arn: str, measured: list[Measured]) -> None:
    wrong = mismatch(measured, arn)
    assert wrong is not None
    assert arn in wrong


def test_what_cannot_be_told_is_refused() -> None:
    assert "rests on no metric" in (mismatch([], DATABASE) or "")
    assert "chooses its metrics by itself" in (mismatch([database("shop-prod")], DATABASE, opaque=True) or "")
    for arn in ("shop-prod", "arn:aws:rds", ARN.format("rds", "cluster:shop-prod"), ARN.format("s3", "bucket"), ""):
        assert "of no kind" in (mismatch([database("shop-prod")], arn) or "")
