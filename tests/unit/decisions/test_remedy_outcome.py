"""What a remediation came to: one outcome for whatever its steps have left."""

from datetime import UTC, datetime, timedelta

import pytest

from opskit.adapters.alarms import AlarmState
from opskit.decisions.remedy_check import judge_remedy
from opskit.decisions.remedy_outcome import ERRORS, judge_remediation
from opskit.verdict import Outcome

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ADMITTED = {"verdict": "ADMITTED", "reason": "it fires"}
RESERVED = {"verdict": "RESERVED", "reason": "action 1 of 6 allowed"}
DONE = {"done": True, "what": "one pod was replaced"}


def left(*, failed=None, **given):
    nothing = dict.fromkeys(("admission", "plan", "reservation", "acted", "watched"))
    state, error, cause = failed or ("", "", "")
    return nothing | {"admission": ADMITTED, "failure": {"state": state, "error": error, "cause": cause}} | given


def verdict(name):
    return {"verdict": name, "reason": "because"}


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        ({"admission": verdict("DUPLICATE")}, "DUPLICATE"),
        ({"admission": verdict("STALE")}, "STALE"),
        ({"admission": verdict("UNKNOWN")}, "UNKNOWN"),
        ({"admission": verdict("ESCALATED")}, "ESCALATED"),
        ({"plan": verdict("DONE")}, "RECOVERED"),
        ({"plan": verdict("SUPPRESS")}, "SUPPRESSED"),
        ({"plan": verdict("ESCALATE")}, "ESCALATED"),
        ({"plan": verdict("PLANNED")}, "PLANNED"),
        ({"plan": verdict("ACT"), "reservation": verdict("SUPPRESS")}, "SUPPRESSED"),
        ({"plan": verdict("ESCALATE"), "reservation": verdict("WAIT")}, "ESCALATED"),
        (
            {"plan": verdict("ACT"), "reservation": RESERVED, "acted": {"done": False, "what": "at its bound"}},
            "ESCALATED",
        ),
        ({"reservation": RESERVED, "acted": DONE, "watched": {"outcome": "PASS", "reason": "OK"}}, "RESOLVED"),
        ({"reservation": RESERVED, "acted": DONE, "watched": {"outcome": "FAIL", "reason": "stays"}}, "INEFFECTIVE"),
        ({"acted": DONE, "watched": {"outcome": "INCONCLUSIVE", "reason": "unread"}}, "INCONCLUSIVE"),
        ({"failed": ("PlanRemedy", "MeasurementError", "unread")}, "INCONCLUSIVE"),
        ({"failed": ("RequestRemedy", "States.Timeout", "")}, "REFUSED"),
        ({"failed": ("RequestRemedy", "ApprovalRejectedError", "no")}, "REFUSED"),
        ({"failed": ("AdmitAlarm", "InvalidInputError", "no"), "admission": None}, "REFUSED"),
        ({"failed": ("EndSessions", "States.Timeout", "x"), "reservation": RESERVED}, "FAILED"),
        ({"failed": ("RollBackRelease", "States.TaskFailed", "x"), "acted": DONE}, "FAILED"),
        # Nothing of the kind is foreseen, so it must not pass for success.
        ({"plan": verdict("ACT"), "reservation": RESERVED}, "FAILED"),
        ({"plan": verdict("WAIT")}, "FAILED"),
        ({"acted": DONE}, "FAILED"),
        ({"watched": {"outcome": "WAIT", "reason": "not yet"}}, "FAILED"),
    ],
)
def test_an_execution_has_one_outcome_and_fails_by_its_name(given, outcome):
    ending = judge_remediation(left(**given))
    assert ending.outcome == outcome
    assert ending.error == ERRORS.get(outcome, "")
    assert ending.reason


def test_the_reason_says_what_was_done_and_what_came_of_it():
    found = judge_remediation(left(acted=DONE, watched={"outcome": "PASS", "reason": "the alarm is OK"}))
    assert found.reason == "one pod was replaced; the alarm is OK"


def alarm(state):
    return AlarmState("a", "arn", state, "because", NOW)


@pytest.mark.parametrize(
    ("state", "after", "outcome"),
    [
        ("OK", 0, Outcome.PASS),
        ("OK", 900, Outcome.PASS),
        ("ALARM", 599.9, Outcome.WAIT),
        ("ALARM", 600, Outcome.FAIL),
        ("INSUFFICIENT_DATA", 10, Outcome.WAIT),
        ("INSUFFICIENT_DATA", 600, Outcome.INCONCLUSIVE),
        (None, 10, Outcome.WAIT),
        (None, 600, Outcome.INCONCLUSIVE),
    ],
)
def test_only_an_alarm_that_is_ok_says_that_it_helped(state, after, outcome):
    found = judge_remedy(
        alarm(state) if state else None,
        unreadable=None if state else "no answer",
        acted_at=NOW,
        verify_seconds=600,
        now=NOW + timedelta(seconds=after),
    )
    assert found.outcome is outcome
    assert found.facts["waited_seconds"] == after
