"""What a remediation came to, from what its steps have left."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# The executions that end well; what is not among them is a failure, by the name of its error.
ERRORS: Mapping[str, str] = {
    "ESCALATED": "RemediationEscalated",
    "INEFFECTIVE": "RemediationIneffective",
    "INCONCLUSIVE": "RemediationInconclusive",
    "REFUSED": "RemediationRefused",
    "FAILED": "RemediationFailed",
}
# After an action, each of these means that nobody has seen it help.
STRIKES = frozenset({"INEFFECTIVE", "INCONCLUSIVE", "FAILED"})

_CHECKED = {"PASS": "RESOLVED", "FAIL": "INEFFECTIVE", "INCONCLUSIVE": "INCONCLUSIVE"}
_JUDGED = {"DONE": "RECOVERED", "SUPPRESS": "SUPPRESSED", "ESCALATE": "ESCALATED", "PLANNED": "PLANNED"}


@dataclass(frozen=True, slots=True)
class Ending:
    """The outcome, why, and the error's name: empty for an execution that ends well."""

    outcome: str
    reason: str

    @property
    def error(self) -> str:
        """The error that the execution fails with."""
        return ERRORS.get(self.outcome, "")


def judge_remediation(left: Mapping[str, Any]) -> Ending:
    """The ending of an execution.

    `left`: `failure` (`state`, `error`, `cause`, empty where nothing failed) and what the steps returned, None where
    they did not come so far: `admission`, `plan`, `reservation`, `acted`, `watched`. The last that was decided counts.
    """
    if left["failure"]["state"]:
        return _failed(left["failure"])
    if watched := left["watched"]:
        outcome = _CHECKED.get(watched["outcome"])
        return Ending(outcome, _with_action(left, watched["reason"])) if outcome else _unforeseen("CheckRemedy")
    if acted := left["acted"]:
        return _unforeseen("FollowAction") if acted["done"] else Ending("ESCALATED", acted["what"])
    for name in ("reservation", "plan"):
        judged = left[name]
        # What waited for something else was planned anew, so an older verdict to wait is none.
        if judged and judged["verdict"] in _JUDGED:
            return Ending(_JUDGED[judged["verdict"]], judged["reason"])
    admission = left["admission"]
    if admission and admission["verdict"] != "ADMITTED":
        return Ending(admission["verdict"], admission["reason"])
    return _unforeseen("FollowReservation" if left["reservation"] else "FollowPlan")


def _failed(failure: Mapping[str, Any]) -> Ending:
    state, error, cause = failure["state"], failure["error"], failure["cause"]
    if error == "MeasurementError":
        return Ending("INCONCLUSIVE", cause)
    if state == "RequestRemedy" and error == "States.Timeout":
        return Ending("REFUSED", "nobody approved in time, so nothing was done")
    if error in ("ApprovalRejectedError", "InvalidInputError"):
        return Ending("REFUSED", cause)
    return Ending("FAILED", f"{state}: {cause}")


def _with_action(left: Mapping[str, Any], reason: str) -> str:
    return f"{left['acted']['what']}; {reason}" if left["acted"] else reason


def _unforeseen(state: str) -> Ending:
    return Ending("FAILED", f"{state} led to the end without a verdict: the state machine and its steps do not agree")
