"""Events are delivered only where that is allowed, and what cannot be delivered goes to the dead-letter queue.

EventBridge invokes a function asynchronously, if the function's resource policy allows the rule (or the
target's role allows it), and starts a state machine with the target's role
(https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html,
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-iam-roles.html). An event for a target that is
missing or refuses it goes at once to the target's dead-letter queue, with the reason in message attributes
(https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html). A function invoked asynchronously is
tried twice more (https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html; here after
1 and 2 seconds instead of minutes).

ministack asks no policy, drops what it cannot deliver, and tries a function once.
"""

import json
import logging
from contextvars import ContextVar
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ministack.services import eventbridge, lambda_svc, sqs, stepfunctions

from sandbox.automation.patching import replace
from sandbox.automation.states import permissions

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Delivery:
    """An event on its way from a rule (or schedule) to one of its targets."""

    target: dict[str, Any]
    rule: dict[str, Any]
    event: dict[str, Any]


_current: ContextVar[Delivery] = ContextVar("delivery")
_originals: dict[str, Any] = {}


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def _statement_allows(statement: dict[str, Any], rule_arn: str) -> bool:
    principal = statement.get("Principal")
    services = _listed(principal.get("Service")) if isinstance(principal, dict) else _listed(principal)
    conditions = statement.get("Condition") or {}
    sources = [
        pattern
        for operator in ("ArnLike", "ArnEquals", "StringEquals", "StringLike")
        for name, patterns in (conditions.get(operator) or {}).items()
        if name.lower() == "aws:sourcearn"
        for pattern in _listed(patterns)
    ]
    return (
        statement.get("Effect") == "Allow"
        and bool({"events.amazonaws.com", "*"} & set(services))
        and any(fnmatchcase("lambda:InvokeFunction", action) for action in _listed(statement.get("Action")))
        and (not sources or any(fnmatchcase(rule_arn, pattern) for pattern in sources))
    )


def _may_invoke(function: str, delivery: Delivery) -> bool:
    role = delivery.target.get("RoleArn")
    if role:
        return permissions.allows(role, "EventBridge", "lambda:InvokeFunction", function)
    found = lambda_svc.function_policy_for_arn(function)
    statements = found[0].get("Statement", []) if found else []
    return any(_statement_allows(statement, delivery.rule.get("Arn", "")) for statement in statements)


def _give_up(delivery: Delivery, code: str, message: str) -> None:
    """Log an event that cannot be delivered and put it into the target's dead-letter queue, if it has one."""
    target = delivery.target["Arn"]
    logger.warning("an event was not delivered to %s: %s: %s", target, code, message)
    queue_arn = (delivery.target.get("DeadLetterConfig") or {}).get("Arn")
    queue = sqs._queue_by_arn(queue_arn) if queue_arn else None
    if queue is None:
        return
    reasons = {
        "RULE_ARN": delivery.rule.get("Arn", ""),
        "TARGET_ARN": target,
        "ERROR_CODE": code,
        "ERROR_MESSAGE": message,
    }
    attributes = {name: {"DataType": "String", "StringValue": value} for name, value in reasons.items() if value}
    body = json.dumps(eventbridge._pattern_event_view(delivery.event).event_with_detail())
    sqs._act_send_message({"MessageBody": body, "MessageAttributes": attributes}, queue["url"])


def _invoke_target(target: dict[str, Any], event: dict[str, Any], rule: dict[str, Any], view: Any = None) -> None:
    token = _current.set(Delivery(target, rule, event))
    try:
        _originals["_invoke_target"](target, event, rule, view)
    finally:
        _current.reset(token)


def _to_function(arn: str, payload: str) -> None:
    delivery = _current.get()
    function, config, name = lambda_svc._get_func_record_for_ref(arn)
    if not function or not config:
        _give_up(delivery, "NO_RESOURCE", f"there is no function {name}")
    elif not _may_invoke(arn, delivery):
        _give_up(delivery, "NO_PERMISSIONS", f"the policy of {name} does not allow the rule to invoke it")
    else:
        record = lambda_svc._execution_record_for_config(function, config)
        lambda_svc.invoke_async_with_retry(record, json.loads(payload))


def _to_state_machine(arn: str, payload: str) -> None:
    delivery = _current.get()
    role = delivery.target.get("RoleArn") or delivery.rule.get("RoleArn") or ""
    if stepfunctions._resolve_state_machine_arn(arn) is None:
        _give_up(delivery, "NO_RESOURCE", "there is no such state machine")
    elif not permissions.allows(role, "EventBridge", "states:StartExecution", arn):
        _give_up(delivery, "NO_PERMISSIONS", f"the role {role or '(none)'} may not start it")
    else:
        status, _, body = stepfunctions._start_execution({"stateMachineArn": arn, "input": payload})
        if status != 200:
            _give_up(delivery, "ERROR_FROM_TARGET", body.decode() if isinstance(body, bytes) else str(body))


def apply() -> None:
    """Replace the delivery to functions and state machines."""
    _originals["_invoke_target"] = replace(eventbridge, "_invoke_target", "550e304af080", _invoke_target)
    replace(eventbridge, "_dispatch_to_lambda", "1f95adbaed3a", _to_function)
    replace(eventbridge, "_dispatch_to_stepfunctions", "d36195e1c480", _to_state_machine)
