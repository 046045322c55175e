"""Which targets of a target group fail their health checks."""

from typing import Any

from opskit import clients
from opskit.decisions.replacement import UnhealthyTarget


def unhealthy_targets(target_group_arn: str, client: Any = None) -> tuple[UnhealthyTarget, ...]:
    """The targets in the state `unhealthy`, by address; not those that are new or draining.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html
    """
    described = (client or clients.client("elbv2")).describe_target_health(TargetGroupArn=target_group_arn)
    found = [
        UnhealthyTarget(
            each["Target"]["Id"],
            int(each["Target"].get("Port", 0)),
            ": ".join(filter(None, (each["TargetHealth"].get("Reason"), each["TargetHealth"].get("Description")))),
        )
        for each in described["TargetHealthDescriptions"]
        if each["TargetHealth"].get("State") == "unhealthy"
    ]
    return tuple(sorted(found, key=lambda target: (target.address, target.port)))
