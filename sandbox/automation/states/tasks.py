"""Task states: a call that may take too long, or that is answered later by a callback."""

import contextvars
import json
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

from ministack.core.responses import get_region
from ministack.services import stepfunctions

from sandbox.automation.states import permissions
from sandbox.automation.states.expressions import ExecutionError
from sandbox.automation.states.lifetime import Lifetime
from sandbox.automation.states.record import as_json

if TYPE_CHECKING:
    from sandbox.automation.states.branch import Branch

CALLBACK = ".waitForTaskToken"
DEFAULT_TIMEOUT = 99_999_999
"""Seconds, https://docs.aws.amazon.com/step-functions/latest/dg/state-task.html"""


class Callback:
    """A task token and what has been heard by it."""

    def __init__(self, lifetime: Lifetime) -> None:
        self.token = uuid.uuid4().hex
        self._lifetime = lifetime
        self.answer: tuple[bool, Any] | None = None
        self.closed = False
        self.heard_at = time.monotonic()

    def heartbeat(self) -> None:
        """Start the heartbeat interval anew."""
        self.heard_at = time.monotonic()
        self._lifetime.notify()

    def settle(self, succeeded: bool, outcome: Any) -> bool:
        """Take the answer: an output, or an `ExecutionError`; False when it comes too late."""
        if self.closed or self.answer is not None or self._lifetime.over:
            return False
        self.answer = (succeeded, outcome)
        self._lifetime.notify()
        return True


callbacks: dict[str, Callback] = {}
"""By token, closed ones too: a late answer is told so."""


class Call:
    """A service call in a thread of its own, so that nobody has to wait for it."""

    def __init__(self, lifetime: Lifetime, resource: str, arguments: Any) -> None:
        self._lifetime = lifetime
        self._result: Any = None
        self._error: Any = None
        self.done = False
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._run, resource, arguments), daemon=True).start()

    def _run(self, resource: str, arguments: Any) -> None:
        try:
            self._result = stepfunctions._invoke_resource(resource, arguments)
        except ExecutionError as error:
            self._error = error
        except Exception as error:  # noqa: BLE001 - what a call raises fails the task, not this process
            self._error = ExecutionError("States.TaskFailed", f"{type(error).__name__}: {error}")
        self.done = True
        self._lifetime.notify()

    def result(self) -> Any:
        """What the call returned; raises its `ExecutionError`."""
        if self._error is not None:
            raise self._error
        return self._result


def _limit(branch: "Branch", state: dict[str, Any], name: str, data: Any) -> int | None:
    """A time limit in seconds, possibly an expression; None if the state has none."""
    if name not in state:
        return None
    value = branch.render(state[name], data)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= DEFAULT_TIMEOUT:
        message = f"The field '{name}' must be a positive integer, but was: {as_json(value)}"
        raise ExecutionError("States.QueryEvaluationError", message)
    return value


def _await_callback(branch: "Branch", callback: Callback, deadline: float | None, beat: int | None) -> Any:
    while callback.answer is None:
        now = time.monotonic()
        left = None if deadline is None else deadline - now
        quiet = None if beat is None else callback.heard_at + beat - now
        if left is not None and left <= 0:
            raise ExecutionError("States.Timeout", "")
        if quiet is not None and quiet <= 0:
            raise ExecutionError("States.HeartbeatTimeout", "")
        heard = callback.heard_at
        branch.lifetime.wait_for(
            lambda heard=heard: callback.answer is not None or callback.heard_at != heard,  # type: ignore[misc]
            min((limit for limit in (left, quiet) if limit is not None), default=None),
        )
    succeeded, outcome = callback.answer
    if not succeeded:
        raise outcome
    return outcome


def _perform(branch: "Branch", state: dict[str, Any], data: Any, named: dict[str, str]) -> Any:
    resource: str = state["Resource"]
    callback = Callback(branch.lifetime) if resource.endswith(CALLBACK) else None
    if callback is not None:
        callbacks[callback.token] = callback
        branch.context["Task"] = {"Token": callback.token}
    try:
        arguments = branch.render(state["Arguments"], data) if "Arguments" in state else data
        timeout = _limit(branch, state, "TimeoutSeconds", data)
        beat = _limit(branch, state, "HeartbeatSeconds", data)
        limits = {"timeoutInSeconds": timeout, "heartbeatInSeconds": beat}
        scheduled = {**named, "region": get_region(), "parameters": as_json(arguments)}
        scheduled |= {name: limit for name, limit in limits.items() if limit is not None}
        branch.event("TaskScheduled", taskScheduledEventDetails=scheduled)
        branch.event("TaskStarted", taskStartedEventDetails=named)
        plain_resource = resource.removesuffix(CALLBACK)
        permissions.check(branch.role_arn, branch.record.execution["name"], plain_resource, arguments)
        deadline = None if timeout is None else time.monotonic() + timeout
        call = Call(branch.lifetime, plain_resource, arguments)
        if not branch.lifetime.wait_for(lambda: call.done, timeout):
            raise ExecutionError("States.Timeout", "")
        result = call.result()
        if callback is None:
            return result
        submitted = {**named, "output": as_json(result)}
        branch.event("TaskSubmitted", taskSubmittedEventDetails=submitted)
        return _await_callback(branch, callback, deadline, beat)
    finally:
        if callback is not None:
            callback.closed = True
            branch.context.pop("Task", None)


def run_task(branch: "Branch", state: dict[str, Any], data: Any) -> Any:
    """One attempt at a Task state: its output; raises `ExecutionError` or `Abandoned`."""
    service, _, operation = state["Resource"].rpartition(":::")[2].partition(":")
    named = {"resourceType": service, "resource": operation}
    try:
        result = _perform(branch, state, data, named)
    except ExecutionError as error:
        details = {**named, "error": error.error, "cause": error.cause}
        if error.error in ("States.Timeout", "States.HeartbeatTimeout"):
            branch.event("TaskTimedOut", taskTimedOutEventDetails=details)
        elif error.error == "States.QueryEvaluationError":
            pass  # The expression has left its own event.
        else:
            branch.event("TaskFailed", taskFailedEventDetails=details)
        raise
    branch.event("TaskSucceeded", taskSucceededEventDetails={**named, "output": as_json(result)})
    return branch.output(state, data, default=result, result=result)


def answer(token: str, succeeded: bool, outcome: Any) -> str | None:
    """Answer a task by its token; the name of the error to return, or None."""
    callback = callbacks.get(token)
    if callback is None:
        return "TaskDoesNotExist"
    if succeeded:
        try:
            outcome = json.loads(outcome)
        except ValueError:
            return "InvalidOutput"
    return None if callback.settle(succeeded, outcome) else "TaskTimedOut"


def heartbeat(token: str) -> str | None:
    """Take a heartbeat; the name of the error to return, or None."""
    callback = callbacks.get(token)
    if callback is None:
        return "TaskDoesNotExist"
    if callback.closed:
        return "TaskTimedOut"
    callback.heartbeat()
    return None
