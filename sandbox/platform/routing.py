"""The routing snapshot: what the balancer must know of the control plane, in one JSON document.

```
{version, listener: {arn, port, load_balancer, idle_timeout_seconds, default_actions, rules} | null,
 target_groups: [{arn, name, full_name, in_use, attributes, health_check,
                  targets: [{id, port, registered_at, deregistering_at}]}]}
```
An action is `{type: forward, target_groups: [{arn, weight}]}` or `{type: fixed-response, status, content_type,
body}`; a rule is `{arn, priority, conditions: [{field, values, name?}], actions}`. `full_name` and
`load_balancer` are the ARN suffixes that serve as CloudWatch dimensions.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from moto.elbv2.models import ELBv2Backend, FakeListener, FakeLoadBalancer, FakeTargetGroup

from sandbox.platform.listener_rules import forward_groups, plain_action, plain_condition
from sandbox.platform.targets import Registration, TargetRegistry

DEFAULT_DELAY = 300.0
"""AWS's default of `deregistration_delay.timeout_seconds`."""
DEFAULT_IDLE_TIMEOUT = 60.0


def full_name(arn: str) -> str:
    """The ARN suffix that names a load balancer (`app/name/id`) or target group (`targetgroup/name/id`)."""
    return arn.rsplit(":", 1)[1].removeprefix("loadbalancer/")


def deregistration_delay(group: FakeTargetGroup) -> float:
    """Seconds between DeregisterTargets and the end of draining."""
    return float(str(group.attributes.get("deregistration_delay.timeout_seconds", DEFAULT_DELAY)))


def actions_of(listener: FakeListener) -> Iterable[tuple[str, list[dict[str, Any]]]]:
    """Each rule's priority (`default` for the default action) and actions."""
    for rule in listener.rules.values():
        yield str(rule.priority), [action.data for action in rule.actions]


def groups_in_use(backend: ELBv2Backend) -> dict[str, set[str]]:
    """ARNs of the target groups that a listener or rule forwards to, with their load balancers' ARNs."""
    used: dict[str, set[str]] = {}
    for balancer in backend.load_balancers.values():
        for listener in balancer.listeners.values():
            for _, actions in actions_of(listener):
                for action in actions:
                    for group in forward_groups(action):
                        used.setdefault(group["TargetGroupArn"], set()).add(balancer.arn)
    return used


def _served_listener(backend: ELBv2Backend, port: int) -> tuple[FakeLoadBalancer, FakeListener] | None:
    found = [
        (balancer, listener) for balancer in backend.load_balancers.values() for listener in balancer.listeners.values()
    ]
    return next((pair for pair in found if int(pair[1].port) == port), found[0] if found else None)


def _listener(balancer: FakeLoadBalancer, listener: FakeListener) -> dict[str, Any]:
    rules = [rule for rule in listener.rules.values() if not rule.is_default]
    return {
        "arn": listener.arn,
        "port": int(listener.port),
        "load_balancer": full_name(balancer.arn),
        "idle_timeout_seconds": float(balancer.attrs.get("idle_timeout.timeout_seconds", DEFAULT_IDLE_TIMEOUT)),
        "default_actions": [plain_action(action.data) for action in listener.default_actions],
        "rules": [
            {
                "arn": rule.arn,
                "priority": int(rule.priority),
                "conditions": [plain_condition(condition) for condition in rule.conditions],
                "actions": [plain_action(action.data) for action in rule.actions],
            }
            for rule in rules
        ],
    }


def _target_group(group: FakeTargetGroup, targets: Iterable[Registration], *, in_use: bool) -> dict[str, Any]:
    return {
        "arn": group.arn,
        "name": group.name,
        "full_name": full_name(group.arn),
        "in_use": in_use,
        "attributes": {"deregistration_delay_seconds": deregistration_delay(group)},
        "health_check": {
            "path": group.health_check_path or "/",
            "port": str(group.health_check_port or "traffic-port"),
            "interval_seconds": float(group.health_check_interval_seconds),
            "timeout_seconds": float(group.health_check_timeout_seconds),
            "healthy_threshold": int(group.healthy_threshold_count),
            "unhealthy_threshold": int(group.unhealthy_threshold_count),
            "matcher": group.matcher.get("HttpCode", "200"),
        },
        "targets": [target.as_dict() for target in targets],
    }


def snapshot(backend: ELBv2Backend, registry: TargetRegistry, *, listener_port: int, version: int) -> Mapping[str, Any]:
    """The document. The balancer has one listener: that on `listener_port`, else the oldest one."""
    served = _served_listener(backend, listener_port)
    used = groups_in_use(backend)
    return {
        "version": version,
        "listener": _listener(*served) if served else None,
        "target_groups": [
            _target_group(group, registry.targets(group.arn), in_use=group.arn in used)
            for group in backend.target_groups.values()
            if group.target_type == "ip"
        ],
    }
