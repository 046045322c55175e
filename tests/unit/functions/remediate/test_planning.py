"""Planning and reserving: every guardrail is asked twice, and what is reserved is what was planned."""

from datetime import timedelta

import pytest

from opskit import clients
from opskit.adapters.databases import Databases
from opskit.adapters.switch import switch_parameter
from opskit.errors import MeasurementError
from opskit.ledger import Live, Version
from opskit.traffic import Colour
from tests.unit.functions.conftest import NEW, OLD, START
from tests.unit.functions.remediate.conftest import (
    RESOURCE,
    SUFFIX,
    as_execution,
    event_of,
    planned,
    reserved,
    set_switch,
)

LOCK = "remedy:database"


def checks(found):
    return {check["guard"]: check["verdict"] for check in found["checks"]}


def test_the_plan_says_what_would_be_done_and_what_every_guardrail_says(plan):
    assert (plan["verdict"], plan["action"], plan["approval"]) == ("ACT", "end_sessions", False)
    assert plan["resource_arn"] == RESOURCE
    assert set(checks(plan).values()) == {"ACT"}
    assert plan["verify_seconds"] == 600
    assert "idle in a transaction" in plan["words"]


def test_planning_changes_nothing_but_the_record(plan, run):
    assert run.ledger.holder(LOCK) is None
    assert run.ledger.actions() == []
    (event,) = run.ledger.operation_of("remediate", "r1").events
    assert (event.what, event.facts["verdict"]) == ("planned", "ACT")


def test_an_alarm_that_goes_by_itself_is_done(admission, run, alarms):
    alarms.calm(SUFFIX, START)
    assert planned(run, admission)["verdict"] == "DONE"


@pytest.mark.parametrize("value", ['{"paused": true, "reason": "moving"}', "yes", '{"paused": "no"}', None])
def test_the_switch_holds_when_it_is_thrown_broken_or_missing(admission, run, value):
    ssm, name = clients.client("ssm"), switch_parameter("detection-api", "dev")
    if value is None:
        ssm.delete_parameter(Name=name)
    else:
        ssm.put_parameter(Name=name, Value=value, Type="String", Overwrite=True)
    assert planned(run, admission)["verdict"] == "SUPPRESS"


def test_a_pause_ends_with_its_time(admission, run, clock):
    set_switch(paused=True, until=START + timedelta(seconds=30), reason="moving", by="ann")
    assert planned(run, admission)["verdict"] == "SUPPRESS"
    clock.advance(31)
    assert planned(run, admission)["verdict"] == "ACT"


def test_a_release_comes_first_until_it_has_taken_too_long(admission, run, clock):
    run.ledger.acquire("somebody", "a release", 10_000)
    assert planned(run, admission)["verdict"] == "WAIT"
    clock.advance(2761)
    found = planned(run, admission)
    assert found["verdict"] == "ESCALATE"
    assert "somebody" in found["reason"]


def test_a_database_that_the_service_no_longer_uses_is_not_touched(admission, run, monkeypatch):
    monkeypatch.setattr(Databases, "instances", lambda _: ())
    found = planned(run, admission)
    assert (found["verdict"], checks(found)["live"]) == ("ESCALATE", "ESCALATE")


def test_an_alarm_that_cannot_be_read_is_no_reason_to_act(admission, run, alarms):
    alarms.broken = True
    with pytest.raises(MeasurementError):
        planned(run, admission)


def test_a_dry_run_says_what_would_be_done_and_reserves_nothing(admit, run):
    found = planned(run, admit(run, {"alarm": SUFFIX, "dry_run": True}))
    assert (found["verdict"], found["action"]) == ("PLANNED", "end_sessions")
    assert found["reason"].startswith("would end at most")


def test_a_release_that_finished_just_now_is_rolled_back_and_announced(admit, run, alarms, platform, monkeypatch):
    monkeypatch.setattr(type(platform), "alarm_resource", lambda *_: platform.load_balancer_arn)
    monkeypatch.setattr("opskit.decisions.guardrails.mismatch", lambda *_, **__: None)
    lock = run.ledger.acquire("r", "a release", 60)
    previous = Version(Colour.BLUE, OLD, "sha256:a")
    live = Live(Colour.GREEN, NEW, "sha256:b", previous, release="release-1", at=START - timedelta(seconds=60))
    run.ledger.record_live(live, lock=lock, expected_revision=None)
    run.ledger.release(lock)
    alarms.calm(SUFFIX, START)
    alarms.fire("alb-response-time")
    admission = admit(run, event_of("alb-response-time"))
    found = planned(run, admission)
    assert (found["verdict"], found["action"]) == ("ACT", "roll_back_release")
    held = reserved(run, admission, found)
    assert held["action"] == "roll_back_release"
    assert run.ledger.operation_of("remediate", "r1").events[-1].what == "acting"
    # Nobody renews it while the other workflow runs.
    holder = run.ledger.holder("remedy:balancer")
    assert (holder.lease_until - START).total_seconds() == 1860


def test_the_cause_is_treated_first(admit, run, alarms):
    alarms.fire("alb-response-time")
    found = planned(run, admit(run, event_of("alb-response-time")))
    assert checks(found)["cause"] == "WAIT"


def test_reserving_takes_the_lock_and_a_place(reservation, run):
    assert (reservation["verdict"], reservation["action"]) == ("RESERVED", "end_sessions")
    assert run.ledger.holder(LOCK).owner == run.execution.id
    assert [one["execution"] for one in run.ledger.actions()] == ["r1"]
    assert run.ledger.operation_of("remediate", "r1").events[-1].what == "reserved"


def test_reserving_again_has_the_same_lock_and_place(admission, plan, reservation, run):
    again = reserved(run, admission, plan)
    assert again["lock"]["fence"] == reservation["lock"]["fence"]
    assert len(run.ledger.actions()) == 1


def test_one_that_was_stopped_reserves_nothing_any_more(admission, plan, run):
    """Its function runs on, and nobody would free what it took."""
    run.ledger.close_operation(run.operation_key, "INTERRUPTED", "stopped")
    found = reserved(run, admission, plan)
    assert (found["verdict"], found["lock"]) == ("ESCALATE", None)
    assert "INTERRUPTED" in found["reason"]
    assert run.ledger.holder(LOCK) is None
    assert run.ledger.actions() == []
    assert run.ledger.remedy_state(SUFFIX).last_acted_at is None


def test_two_alarms_about_one_resource_are_treated_one_after_the_other(admission, plan, reservation, run):
    other = as_execution(run, "r2")
    found = reserved(other, admission, plan)
    assert (found["verdict"], found["lock"]) == ("WAIT", None)
    assert "r1" in found["reason"]


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (lambda alarms, run: set_switch(paused=True, reason="moving"), "SUPPRESS"),
        (lambda alarms, run: alarms.calm(SUFFIX, START), "DONE"),
        (lambda alarms, run: run.ledger.acquire("somebody", "a release", 60), "WAIT"),
        (lambda alarms, run: [run.ledger.struck(SUFFIX, f"x{n}", 3) for n in range(3)], "ESCALATE"),
    ],
)
def test_what_has_changed_since_the_plan_counts_and_the_lock_is_free_again(
    admission, plan, alarms, run, change, verdict
):
    change(alarms, run)
    found = reserved(run, admission, plan)
    assert (found["verdict"], found["action"]) == (verdict, None)
    assert run.ledger.holder(LOCK) is None
    assert run.ledger.actions() == []


def test_what_was_approved_is_what_is_done(admission, plan, run):
    found = reserved(run, admission, plan | {"digest": "sha256:other", "words": "something else"})
    assert found["verdict"] == "WAIT"
    assert "something else" in found["reason"]
    assert run.ledger.holder(LOCK) is None


def test_the_cap_holds_over_all_runbooks(admission, plan, run):
    for number in range(12):
        assert run.ledger.reserve("eks-cpu", "arn", f"x{number}", 12, START).reserved
    found = reserved(run, admission, plan)
    assert found["verdict"] == "ESCALATE"
    assert run.ledger.holder(LOCK) is None
