"""JSONata state machines run, time out and stop as on AWS; a start may be repeated.

StartExecution with the name and input of a running execution returns that execution; with another input, or
after its end, it is ExecutionAlreadyExists
(https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html). StopExecution ends
it as ABORTED (…/API_StopExecution.html), a definition's `TimeoutSeconds` as TIMED_OUT, both with a status
event on the default bus
(https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html). A token of a task that is
over is TaskTimedOut (…/API_SendTaskSuccess.html).

ministack refuses every second start, lets a stopped execution go on and end as FAILED, and knows no time
limit for executions. State machines that use JSONPath are still run by it, with those gaps.
"""

import json
from typing import Any

from ministack.core.responses import error_response_json, json_response
from ministack.services import stepfunctions

from sandbox.automation.patching import replace
from sandbox.automation.states import machine, tasks
from sandbox.automation.states.expressions import ExecutionError
from sandbox.automation.states.record import NOT_OF_EXPRESS, is_express

MESSAGES = {
    "TaskDoesNotExist": "The task does not exist.",
    "TaskTimedOut": "The task token has either expired or the task of the token has already been closed.",
    "InvalidOutput": "The output is not JSON.",
}
_originals: dict[str, Any] = {}


def _run_execution(arn: str) -> None:
    execution = stepfunctions._executions.get(arn)
    found = machine.find(execution) if execution is not None else None
    if found is None:
        _originals["_run_execution"](arn)
    else:
        machine.run(execution, *found)


def _start_execution(data: dict[str, Any]) -> Any:
    try:
        given = json.loads(data.get("input", "{}"))
    except ValueError as error:
        return error_response_json("InvalidExecutionInput", f"Invalid State Machine Execution Input: {error}", 400)
    arn = data.get("stateMachineArn", "")
    known = stepfunctions._state_machines.get(arn)
    if known is not None and data.get("name"):
        running = stepfunctions._executions.get(f"{arn.replace(':stateMachine:', ':execution:')}:{data['name']}")
        if running and running["status"] == "RUNNING" and json.loads(running["input"]) == given:
            return json_response({"executionArn": running["executionArn"], "startDate": running["startDate"]})
    return _originals["_start_execution"](data)


def _stop_execution(data: dict[str, Any]) -> Any:
    execution = stepfunctions._executions.get(data.get("executionArn"))
    if execution is None or execution["status"] != "RUNNING" or machine.find(execution) is None:
        return _originals["_stop_execution"](data)
    if is_express(execution):
        return error_response_json("InvalidArn", NOT_OF_EXPRESS, 400)
    machine.stop(execution, data.get("error"), data.get("cause"))
    return json_response({"stopDate": execution["stopDate"]})


def _respond(name: str, data: dict[str, Any], error: str | None) -> Any:
    if error == "TaskDoesNotExist":
        return _originals[name](data)
    return json_response({}) if error is None else error_response_json(error, MESSAGES[error], 400)


def _send_task_success(data: dict[str, Any]) -> Any:
    error = tasks.answer(data.get("taskToken", ""), True, data.get("output", "{}"))
    return _respond("_send_task_success", data, error)


def _send_task_failure(data: dict[str, Any]) -> Any:
    failure = ExecutionError(data.get("error") or "States.TaskFailed", data.get("cause") or "")
    return _respond("_send_task_failure", data, tasks.answer(data.get("taskToken", ""), False, failure))


def _send_task_heartbeat(data: dict[str, Any]) -> Any:
    return _respond("_send_task_heartbeat", data, tasks.heartbeat(data.get("taskToken", "")))


REPLACED = {
    "_run_execution": ("996dff84e0e0", _run_execution),
    "_start_execution": ("9923282fc76c", _start_execution),
    "_stop_execution": ("44d2d84ccd5c", _stop_execution),
    "_send_task_success": ("12eff48bce57", _send_task_success),
    "_send_task_failure": ("c2a489b4ed33", _send_task_failure),
    "_send_task_heartbeat": ("56879a4655d1", _send_task_heartbeat),
}


def apply() -> None:
    """Replace the execution of state machines."""
    for name, (known, replacement) in REPLACED.items():
        _originals[name] = replace(stepfunctions, name, known, replacement)
