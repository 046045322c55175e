"""What a listener's actions and conditions must look like; stricter than moto where a release depends on it.

Sources: the API reference of Elastic Load Balancing v2 (`ForwardActionConfig`, `TargetGroupTuple`: weight 0
to 999; `Action`) and "Quotas for your Application Load Balancers" (5 target groups per action).
What the sandbox's balancer cannot do is refused with the code `UnsupportedInSandbox`.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sandbox.platform.errors import AwsError, validation_error

MAX_WEIGHT = 999
MAX_TARGET_GROUPS = 5
CONDITIONS = {
    "host-header": "HostHeaderConfig",
    "http-header": "HttpHeaderConfig",
    "http-request-method": "HttpRequestMethodConfig",
    "path-pattern": "PathPatternConfig",
}


def unsupported(what: str) -> AwsError:
    """The refusal of something that AWS offers and the sandbox does not."""
    return AwsError("UnsupportedInSandbox", f"The sandbox's balancer does not serve {what}")


def forward_groups(action: Mapping[str, Any]) -> list[dict[str, Any]]:
    """`[{TargetGroupArn, Weight}]` of a forward action, however it was written."""
    config = action.get("ForwardConfig") or {}
    groups = [
        {"TargetGroupArn": one.get("TargetGroupArn"), "Weight": int(one.get("Weight", 1))}
        for one in config.get("TargetGroups") or ()
    ]
    if not groups and action.get("TargetGroupArn"):
        groups = [{"TargetGroupArn": action["TargetGroupArn"], "Weight": 1}]
    return groups


def check_actions(actions: Sequence[Mapping[str, Any]], target_groups: Collection[str]) -> None:
    """Raise `AwsError` unless `actions` can be a listener's or rule's; `target_groups` are those that exist."""
    if len(actions) != 1:
        if not actions:
            raise validation_error("An action must be specified")
        raise unsupported("more than one action in a rule")
    action = actions[0]
    kind = action.get("Type")
    if kind == "fixed-response":
        return
    if kind != "forward":
        raise unsupported(f"actions of type {kind}")
    stickiness = (action.get("ForwardConfig") or {}).get("TargetGroupStickinessConfig") or {}
    if stickiness.get("Enabled") in (True, "true"):
        raise unsupported("target group stickiness")
    groups = forward_groups(action)
    if not groups:
        raise validation_error("A target group ARN must be specified")
    if len(groups) > MAX_TARGET_GROUPS:
        raise validation_error(f"You can specify at most {MAX_TARGET_GROUPS} target groups in a forward action")
    arns = [one["TargetGroupArn"] for one in groups]
    if len(set(arns)) != len(arns):
        raise validation_error("A target group can be specified only once in a forward action")
    if action.get("TargetGroupArn") and arns != [action["TargetGroupArn"]]:
        raise validation_error(
            "TargetGroupArn and ForwardConfig must name the same target group when both are specified"
        )
    for one in groups:
        if not 0 <= one["Weight"] <= MAX_WEIGHT:
            raise validation_error(
                f"Weight '{one['Weight']}' of target group '{one['TargetGroupArn']}' must be between 0 and {MAX_WEIGHT}"
            )
        if one["TargetGroupArn"] not in target_groups:
            raise AwsError("TargetGroupNotFound", f"Target group '{one['TargetGroupArn']}' not found")


def normal_actions(actions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """`actions` as DescribeListeners and DescribeRules give them back.

    A forward action always carries its ForwardConfig, with weights and stickiness; TargetGroupArn is there
    only when there is one target group (examples of create-listener in the AWS CLI reference).
    """
    normal: list[dict[str, Any]] = []
    for order, action in enumerate(actions, start=1):
        if action.get("Type") != "forward":
            normal.append({**action, "Order": int(action.get("Order", order))})
            continue
        groups = forward_groups(action)
        entry: dict[str, Any] = {
            "Type": "forward",
            "Order": int(action.get("Order", order)),
            "ForwardConfig": {
                "TargetGroups": groups,
                "TargetGroupStickinessConfig": {"Enabled": False},
            },
        }
        if len(groups) == 1:
            entry["TargetGroupArn"] = groups[0]["TargetGroupArn"]
        normal.append(entry)
    return normal


def check_conditions(conditions: Sequence[Mapping[str, Any]]) -> None:
    """Raise `AwsError` for a condition that the balancer cannot evaluate; moto checks the rest."""
    for condition in conditions:
        if condition.get("Field") not in CONDITIONS:
            raise unsupported(f"conditions on {condition.get('Field')}")


def plain_condition(condition: Mapping[str, Any]) -> dict[str, Any]:
    """A condition as in the routing snapshot: `field`, `values` and, for a header, `name`."""
    field = condition["Field"]
    config = condition.get(CONDITIONS[field]) or {}
    plain = {"field": field, "values": list(config.get("Values") or condition.get("Values") or ())}
    if field == "http-header":
        plain["name"] = config.get("HttpHeaderName", "")
    return plain


def plain_action(action: Mapping[str, Any]) -> dict[str, Any]:
    """A normal action as in the routing snapshot."""
    if action["Type"] == "forward":
        return {
            "type": "forward",
            "target_groups": [
                {"arn": one["TargetGroupArn"], "weight": one["Weight"]} for one in forward_groups(action)
            ],
        }
    config = action.get("FixedResponseConfig") or {}
    return {
        "type": "fixed-response",
        "status": int(config.get("StatusCode", 200)),
        "content_type": config.get("ContentType") or "text/plain",
        "body": config.get("MessageBody") or "",
    }
