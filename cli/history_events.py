"""What the events of an execution's history say: endings, attempts, causes, verdicts.

https://docs.aws.amazon.com/step-functions/latest/apireference/API_HistoryEvent.html
"""

import json
from collections.abc import Mapping
from typing import Any

ENDINGS = {
    "ExecutionSucceeded": "SUCCEEDED",
    "ExecutionFailed": "FAILED",
    "ExecutionTimedOut": "TIMED_OUT",
    "ExecutionAborted": "ABORTED",
}
_OUTCOMES = frozenset({"PASS", "FAIL", "INCONCLUSIVE", "WAIT"})
# One attempt of a task that came to nothing; what follows (a retry, a Catch, the end) is another event.
ATTEMPT_FAILED = (
    "TaskFailed",
    "TaskTimedOut",
    "TaskStartFailed",
    "TaskSubmitFailed",
    "LambdaFunctionFailed",
    "LambdaFunctionTimedOut",
    "LambdaFunctionStartFailed",
    "LambdaFunctionScheduleFailed",
    "EvaluationFailed",
)
ATTEMPT_SUCCEEDED = ("TaskSucceeded", "LambdaFunctionSucceeded")


def plain_cause(cause: str) -> str:
    """The sentence in a cause: Lambda reports JSON with the message inside, everything else plain text."""
    report = parsed(cause)
    if isinstance(report, dict) and isinstance(report.get("errorMessage"), str):
        return str(report["errorMessage"]).strip()
    return cause.strip()


def sentence(error: str, cause: str) -> str:
    """An error and its cause, as one sentence."""
    plain = plain_cause(cause)
    return f"{error}: {plain}" if plain else error


def details_of(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """The event's details, whatever its type; empty where it has none."""
    return next((value for key, value in event.items() if key.endswith("EventDetails")), {})


def parsed(text: Any) -> Any:
    """A document in an event; None where there is none, or none that is JSON."""
    if not isinstance(text, str):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def verdict_in(data: Any) -> tuple[str, str] | None:
    """(outcome, reason) of the verdict in what a state returned, under `verdict` or at the top.

    A decision, or an outcome other than a verdict's, makes a reason worth telling, with an outcome of "".
    """
    if not isinstance(data, dict):
        return None
    found = data.get("verdict", data)
    if isinstance(found, str):
        found = {"outcome": found, "reason": data.get("reason")}
    if not isinstance(found, dict):
        return None
    if isinstance(found.get("done"), bool) and isinstance(found.get("what"), str):
        # What a repair has done, or why it could not.
        return "", found["what"]
    outcome = found.get("outcome", found.get("decision"))
    if not isinstance(outcome, str):
        return None
    reason = found.get("reason")
    return outcome if outcome in _OUTCOMES else "", reason if isinstance(reason, str) else ""
