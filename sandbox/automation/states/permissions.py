"""A state machine may call only what its role allows.

https://docs.aws.amazon.com/step-functions/latest/dg/service-integration-iam-templates.html. Checked are the
integrations whose resource is plain from the arguments; ministack itself checks none.
"""

from typing import Any

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region

from sandbox.automation.policy_use import SERVICE, RolePolicies
from sandbox.automation.states.expressions import ExecutionError


def _lambda_arn(name: str) -> str:
    if name.startswith("arn:"):
        return name
    return f"arn:aws:lambda:{get_region()}:{get_account_id()}:function:{name}"


def _table_arn(name: str) -> str:
    return name if name.startswith("arn:") else f"arn:aws:dynamodb:{get_region()}:{get_account_id()}:table/{name}"


def required(resource: str, arguments: Any) -> tuple[str, str, str] | None:
    """The action and ARN that a call needs, and the name of the error when refused; None if not known here."""
    service, _, operation = resource.rpartition(":::")[2].partition(":")
    arguments = arguments if isinstance(arguments, dict) else {}
    if ":function:" in resource:
        return "lambda:InvokeFunction", resource, "Lambda.AWSLambdaException"
    match service, operation.partition(".")[0]:
        case "lambda", "invoke":
            arn = _lambda_arn(str(arguments.get("FunctionName", "")))
            return "lambda:InvokeFunction", arn, "Lambda.AWSLambdaException"
        case "sns", "publish":
            return "sns:Publish", str(arguments.get("TopicArn", "")), "SNS.AuthorizationErrorException"
        case "states", "startExecution":
            arn = str(arguments.get("StateMachineArn", ""))
            return "states:StartExecution", arn, "StepFunctions.AccessDeniedException"
        case "dynamodb", item:
            action = f"dynamodb:{item[:1].upper()}{item[1:]}"
            table = _table_arn(str(arguments.get("TableName", "")))
            return action, table, "DynamoDB.AccessDeniedException"
    return None


def allows(role_arn: str, session: str, action: str, resource: str) -> bool:
    """Whether the policies of a role allow an action on an ARN; false for a role that does not exist."""
    account, role = get_account_id(), role_arn.rsplit("/", 1)[-1]
    request = iam_evaluator.EvalContext(
        principal_arn=f"arn:aws:sts::{account}:assumed-role/{role}/{session}",
        principal_type="AssumedRole",
        principal_account=account,
        action=action,
        resource_arn=resource,
        region=get_region(),
    )
    policies = RolePolicies(iam_evaluator._gather_role_policies(role, account))
    policies.acting = SERVICE
    return bool(iam_evaluator.evaluate(request, policies).decision == "Allow")


def check(role_arn: str, session: str, resource: str, arguments: Any) -> None:
    """Raise the service's access error unless the state machine's role allows the call."""
    needed = required(resource, arguments)
    if needed is None:
        return
    action, arn, error = needed
    if not allows(role_arn, session, action, arn):
        role = role_arn.rsplit("/", 1)[-1]
        message = (
            f"User: arn:aws:sts::{get_account_id()}:assumed-role/{role}/{session} is not authorized to perform: "
            f"{action} on resource: {arn} because no identity-based policy allows the {action} action"
        )
        raise ExecutionError(error, message)
