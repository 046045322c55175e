"""Pass, Wait, Choice, Succeed and Fail states."""

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from sandbox.automation.states.expressions import ExecutionError
from sandbox.automation.states.record import as_json

if TYPE_CHECKING:
    from sandbox.automation.states.branch import Branch


def _typed(branch: "Branch", state: dict[str, Any], name: str, data: Any, kind: type) -> Any:
    value = branch.render(state[name], data)
    if isinstance(value, bool) is not (kind is bool) or not isinstance(value, kind):
        message = f"The field '{name}' must be of type {kind.__name__}, but was: {as_json(value)}"
        raise ExecutionError("States.QueryEvaluationError", message)
    return value


def pass_on(branch: "Branch", state: dict[str, Any], data: Any) -> tuple[Any, str | None]:
    """A Pass state's output and next state."""
    return branch.output(state, data, default=data), branch.following(state)


def succeed(branch: "Branch", state: dict[str, Any], data: Any) -> tuple[Any, None]:
    """A Succeed state's output."""
    return branch.output(state, data, default=data), None


def wait(branch: "Branch", state: dict[str, Any], data: Any) -> tuple[Any, str | None]:
    """Wait for `Seconds` or until `Timestamp`, either possibly an expression."""
    if "Seconds" in state:
        seconds = float(_typed(branch, state, "Seconds", data, int))
        if seconds < 0:
            raise ExecutionError("States.QueryEvaluationError", f"Seconds is negative: {seconds:.0f}")
    else:
        moment = datetime.fromisoformat(_typed(branch, state, "Timestamp", data, str))
        seconds = max(0.0, moment.timestamp() - time.time())
    branch.lifetime.sleep(seconds)
    return branch.output(state, data, default=data), branch.following(state)


def choose(branch: "Branch", state: dict[str, Any], data: Any) -> tuple[Any, str | None]:
    """The first rule whose `Condition` is true; `Default` otherwise."""
    for rule in state["Choices"]:
        if _typed(branch, rule, "Condition", data, bool):
            return branch.output(rule, data, default=data), rule["Next"]
    if "Default" not in state:
        raise ExecutionError("States.NoChoiceMatched", "no rule matched and there is no Default")
    return branch.output(state, data, default=data), state["Default"]


def fail(branch: "Branch", state: dict[str, Any], data: Any) -> NoReturn:
    """Raise a Fail state's error; `Error` and `Cause` may be expressions."""
    parts = {name: _typed(branch, state, name, data, str) if name in state else "" for name in ("Error", "Cause")}
    raise ExecutionError(parts["Error"], parts["Cause"])
