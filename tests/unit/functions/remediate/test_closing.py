"""The last step of every path: one outcome, counted once, on record and in evidence, the lock free, people told."""

import json

import pytest

from functions.remediate import close_remediation
from opskit import clients
from opskit.adapters.notifier import Notifier
from opskit.clock import timestamp
from opskit.ledger import Lock
from tests.unit.functions.conftest import START
from tests.unit.functions.remediate.conftest import NAME, SUFFIX, as_execution, event_of, left, planned, set_switch

ACTED = {"done": True, "what": "12 sessions were ended", "facts": {"ended": 12}, "capture": {"top": ["select 1"]}}
OK = {"outcome": "PASS", "reason": "the alarm is OK", "facts": {}, "at": timestamp(START)}
STAYS = OK | {"outcome": "FAIL", "reason": "the alarm is ALARM"}


def close(run, **given):
    return close_remediation.handler.__wrapped__(left(**given), run)


def evidence(run, report):
    body = clients.client("s3").get_object(Bucket="evidence", Key=report["evidence"])["Body"].read()
    return json.loads(body)["body"]


@pytest.fixture
def acted(admission, plan, reservation, run, clock):
    """All that is left of an execution that has acted, five seconds after the alarm was planned."""
    clock.advance(5)
    run.ledger.note(run.operation_key, "acting", {}, lock=Lock.from_dict(reservation["lock"]))
    return {
        "admission": admission,
        "plan": plan,
        "reservation": reservation,
        "acted": ACTED,
        "acted_at": timestamp(clock.now()),
        "watched": OK | {"at": timestamp(clock.now())},
    }


def test_an_action_that_helped_is_resolved_and_everything_about_it_is_kept(acted, run, told, clock):
    run.ledger.struck(SUFFIX, "earlier", 3)
    report = close(run, **acted)
    assert (report["outcome"], report["error"]) == ("RESOLVED", "")
    assert report["reason"] == "12 sessions were ended; the alarm is OK"
    assert report["seconds"] == {"alarm_to_action": 10.0, "action_to_ok": 0.0}
    record = run.ledger.operation_of("remediate", "r1")
    assert (record.outcome, record.facts["action"], record.facts["acted"]) == ("RESOLVED", "end_sessions", True)
    assert evidence(run, report)["acted"]["capture"] == {"top": ["select 1"]}
    assert run.ledger.holder("remedy:database") is None
    assert run.ledger.remedy_state(SUFFIX).strikes == 0
    (message,) = told
    assert (message["kind"], message["outcome"], message["done"]) == ("REMEDIATION", "RESOLVED", ACTED["what"])


def test_an_action_that_did_not_help_is_a_strike_once(acted, run, told):
    for _ in range(2):
        report = close(run, **acted | {"watched": STAYS})
    assert (report["outcome"], report["error"]) == ("INEFFECTIVE", "RemediationIneffective")
    assert run.ledger.remedy_state(SUFFIX).strikes == 1
    assert not report["blocked"]


def test_the_third_strike_leaves_it_to_people_and_says_how_they_give_it_back(acted, run, told):
    for earlier in ("a", "b"):
        run.ledger.struck(SUFFIX, earlier, 3)
    report = close(run, **acted | {"watched": STAYS})
    assert report["blocked"]
    assert f"`ops resume --alarm {SUFFIX}`" in report["reason"]
    assert told[0]["reason"] == report["reason"]


@pytest.mark.parametrize(
    ("given", "outcome", "strikes"),
    [
        ({"watched": OK | {"outcome": "INCONCLUSIVE"}}, "INCONCLUSIVE", 1),
        ({"failure": {"state": "CheckRemedy", "error": "LockLostError", "cause": "gone"}}, "FAILED", 1),
        ({"acted": ACTED | {"done": False, "what": "nothing over the bound"}, "watched": None}, "ESCALATED", 0),
    ],
)
def test_what_nobody_saw_help_counts_and_what_did_nothing_does_not(acted, run, told, given, outcome, strikes):
    assert close(run, **acted | given)["outcome"] == outcome
    assert run.ledger.remedy_state(SUFFIX).strikes == strikes


def test_what_failed_before_it_acted_is_no_strike_and_frees_the_lock(admission, plan, reservation, run, told):
    failure = {"state": "EndSessions", "error": "DatabaseLoginError", "cause": "no"}
    report = close(run, admission=admission, plan=plan, reservation=reservation, failure=failure)
    assert (report["outcome"], report["acted"], report["seconds"]) == ("FAILED", False, None)
    assert run.ledger.remedy_state(SUFFIX).strikes == 0
    assert run.ledger.holder("remedy:database") is None


def test_a_lock_whose_step_s_answer_was_lost_is_freed_and_another_s_is_not(admission, plan, run, told):
    run.ledger.acquire(run.execution.id, "x", 60, "remedy:database")
    other = run.ledger.acquire("other", "x", 60, "remedy:cache")
    close(
        run, admission=admission, plan=plan, failure={"state": "ReserveRemedy", "error": "States.Timeout", "cause": "x"}
    )
    assert run.ledger.holder("remedy:database") is None
    assert run.ledger.holder("remedy:cache").owner == other.owner


def test_a_duplicate_is_on_record_without_evidence_or_a_message(admit, run, told):
    admit(run)
    second = as_execution(run, "r2")
    report = close(second, admission=admit(second))
    assert (report["outcome"], report["error"], report["evidence"]) == ("DUPLICATE", "", None)
    assert run.ledger.operation_of("remediate", "r2").outcome == "DUPLICATE"
    assert told == []
    assert clients.client("s3").list_objects_v2(Bucket="evidence")["KeyCount"] == 0


def test_an_alarm_nobody_knows_is_told_of_and_one_that_tells_by_itself_is_not(admit, run, told):
    close(run, admission=admit(run, event_of("undreamt-of")))
    assert [message["outcome"] for message in told] == ["UNKNOWN"]
    other = as_execution(run, "r2")
    close(other, admission=admit(other, event_of("alb-5xx")))
    assert len(told) == 1


def test_what_a_pause_holds_back_is_told_with_who_paused(admission, run, told):
    set_switch(paused=True, by="ann", reason="moving")
    report = close(run, admission=admission, plan=planned(run, admission))
    assert (report["outcome"], report["acted"]) == ("SUPPRESSED", False)
    (message,) = told
    assert "paused by ann" in message["reason"]


def test_a_dry_run_of_a_person_is_read_by_that_person_alone(admit, run, told):
    admission = admit(run, {"alarm": SUFFIX, "dry_run": True})
    report = close(run, admission=admission, plan=planned(run, admission))
    assert (report["outcome"], report["acted"], report["action"]) == ("PLANNED", False, "end_sessions")
    assert told == []


def test_an_input_that_was_refused_is_on_record_whatever_is_in_it(run, told):
    failure = {"state": "AdmitAlarm", "error": "InvalidInputError", "cause": "alarm must be string, got 17"}
    report = close(run, input={"alarm": 17, "requested_by": ["x"]}, failure=failure)
    assert (report["outcome"], report["error"]) == ("REFUSED", "RemediationRefused")
    record = run.ledger.operation_of("remediate", "r1")
    assert (record.outcome, record.facts["alarm"], record.requested_by) == ("REFUSED", None, None)
    close(as_execution(run, "r2"), input="text", failure=failure)


def test_an_alarm_that_cannot_be_read_is_inconclusive(run, told):
    failure = {"state": "AdmitAlarm", "error": "MeasurementError", "cause": f"the state of {NAME} could not be read"}
    assert close(run, failure=failure)["error"] == "RemediationInconclusive"


def test_that_nobody_could_be_told_fails_nothing(acted, run, monkeypatch):
    def refuse(*_):
        raise RuntimeError("no topic")

    monkeypatch.setattr(Notifier, "publish", refuse)
    assert close(run, **acted)["outcome"] == "RESOLVED"
