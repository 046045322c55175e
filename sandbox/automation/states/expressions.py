"""JSONata templates: `{% … %}` anywhere in a state's fields."""

from typing import Any

from ministack.services import stepfunctions

from sandbox.automation.states.record import as_json

ExecutionError = stepfunctions._ExecutionError
"""An error of the execution by name: `.error` and `.cause`, both strings."""

MAX_PAYLOAD = 256 * 1024
"""Bytes of a state's input or output, https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html"""

UNSET: Any = object()


def plain(value: Any) -> Any:
    """JSON data without the engine's own types; whole numbers as integers, which is how AWS writes them."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise ExecutionError("States.QueryEvaluationError", f"the result is not JSON: {value!r}")


def render(
    template: Any,
    data: Any,
    context: dict[str, Any],
    variables: dict[str, Any],
    *,
    result: Any = None,
    error_output: Any = None,
) -> Any:
    """`template` with its expressions evaluated against `$states` and the variables.

    Raises `ExecutionError` named States.QueryEvaluationError.
    """
    scope = {**context, "variables": variables}
    return plain(stepfunctions._apply_jsonata_template(template, data, scope, result, error_output))


def limited(output: Any) -> Any:
    """`output`, unless it is larger than a state may return: then States.DataLimitExceeded."""
    size = len(as_json(output).encode())
    if size > MAX_PAYLOAD:
        message = f"the state's output is {size} bytes, more than the {MAX_PAYLOAD} that a state may return"
        raise ExecutionError("States.DataLimitExceeded", message)
    return output
