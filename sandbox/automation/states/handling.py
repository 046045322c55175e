"""`Retry` and `Catch`, https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html"""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sandbox.automation.states.expressions import ExecutionError

if TYPE_CHECKING:
    from sandbox.automation.states.branch import Branch

NEVER_BY_ALL = ("States.DataLimitExceeded", "States.Runtime")
"""What States.ALL does not match; States.Runtime is never retried nor caught."""


def matches(names: list[str], error: str) -> bool:
    """Whether a retrier's or catcher's `ErrorEquals` matches an error's name."""
    if error == "States.Runtime":
        return False
    if error in names or (error == "States.HeartbeatTimeout" and "States.Timeout" in names):
        return True
    if "States.ALL" in names and error not in NEVER_BY_ALL:
        return True
    return "States.TaskFailed" in names and error not in (*NEVER_BY_ALL, "States.Timeout")


class Retriers:
    """A state's `Retry` field and how often each of its retriers has been used."""

    def __init__(self, retriers: list[dict[str, Any]]) -> None:
        self._retriers = retriers
        self._used = [0] * len(retriers)

    @property
    def count(self) -> int:
        """`$states.context.State.RetryCount`."""
        return sum(self._used)

    def delay(self, error: str) -> float | None:
        """Seconds to wait before the next attempt, or None if there is to be none."""
        for index, retrier in enumerate(self._retriers):
            if not matches(retrier["ErrorEquals"], error):
                continue
            used = self._used[index]
            if used >= retrier.get("MaxAttempts", 3):
                return None
            self._used[index] += 1
            seconds = retrier.get("IntervalSeconds", 1) * float(retrier.get("BackoffRate", 2.0)) ** used
            seconds = min(seconds, retrier.get("MaxDelaySeconds", seconds))
            full_jitter = retrier.get("JitterStrategy") == "FULL"
            return random.uniform(0, seconds) if full_jitter else seconds  # noqa: S311 - spreads load
        return None


def handled(branch: "Branch", state: dict[str, Any], data: Any, attempt: Callable[[], Any]) -> tuple[Any, str | None]:
    """The output and next state of `attempt()`, retried and caught as `state` says; raises what is left."""
    retriers = Retriers(state.get("Retry", []))
    while True:
        branch.context["State"]["RetryCount"] = retriers.count
        try:
            return attempt(), branch.following(state)
        except ExecutionError as error:
            delay = retriers.delay(error.error)
            if delay is None:
                return caught(branch, state, data, error)
            branch.lifetime.sleep(delay)


def caught(branch: "Branch", state: dict[str, Any], data: Any, error: Any) -> tuple[Any, str]:
    """The output and next state of the first catcher that matches; raises `error` if there is none."""
    for catcher in state.get("Catch", []):
        if matches(catcher["ErrorEquals"], error.error):
            document = {"Error": error.error, "Cause": error.cause}
            output = branch.output(catcher, data, default=document, error_output=document)
            return output, catcher["Next"]
    raise error
