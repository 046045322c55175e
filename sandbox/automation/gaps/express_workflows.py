"""An express workflow cannot be looked at through the API, and sends no status events.

On AWS, DescribeExecution, GetExecutionHistory and StopExecution "are not supported by EXPRESS state machines"
(https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html and the others'), nor is
ListExecutions (…/API_ListExecutions.html); what became of one is in its log and in what it did. ministack treats both
types alike. An execution's ARN has the form of a standard one here.
"""

from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import stepfunctions

from sandbox.automation.patching import replace
from sandbox.automation.states.record import NOT_OF_EXPRESS, is_express

_originals: dict[str, Any] = {}


def _refusing(name: str) -> Any:
    def answer(data: dict[str, Any]) -> Any:
        execution = stepfunctions._executions.get(data.get("executionArn"))
        if execution is not None and is_express(execution):
            return error_response_json("InvalidArn", NOT_OF_EXPRESS, 400)
        return _originals[name](data)

    return answer


def _list_executions(data: dict[str, Any]) -> Any:
    machine = stepfunctions._state_machines.get(data.get("stateMachineArn"))
    if machine is not None and machine["type"] == "EXPRESS":
        message = "This operation is not supported by this type of state machine"
        return error_response_json("StateMachineTypeNotSupported", message, 400)
    return _originals["_list_executions"](data)


REPLACED = {
    "_describe_execution": ("c3ad294ad8b5", _refusing("_describe_execution")),
    "_get_execution_history": ("e865bdd85d5d", _refusing("_get_execution_history")),
    "_list_executions": ("741208b30077", _list_executions),
}


def apply() -> None:
    """Replace what reads executions."""
    for name, (known, replacement) in REPLACED.items():
        _originals[name] = replace(stepfunctions, name, known, replacement)
