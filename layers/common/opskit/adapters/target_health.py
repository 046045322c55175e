"""What the balancer thinks of each target of a target group."""

from typing import Any

from opskit import clients


def target_states(target_group_arn: str, client: Any = None) -> dict[str, str]:
    """The state of each registered target by its `address:port`: `healthy`, `unhealthy`, `initial`, `draining` …

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html
    """
    described = (client or clients.client("elbv2")).describe_target_health(TargetGroupArn=target_group_arn)
    return {
        f"{each['Target']['Id']}:{each['Target']['Port']}": each["TargetHealth"].get("State", "unavailable")
        for each in described["TargetHealthDescriptions"]
    }
