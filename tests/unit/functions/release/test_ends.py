"""How a release ends: closed once, on record, with evidence, the lock freed; or repaired by who comes after."""

import json
from unittest.mock import patch

import pytest

from functions.release import acquire_lock, close_release, repair_interrupted, request_approval
from opskit import clients
from opskit.adapters import executions
from opskit.adapters.balancer import Balancer
from opskit.adapters.executions import Ended
from opskit.errors import InvalidInputError, LockHeldError, UnavailableError
from opskit.ledger import Live
from opskit.step import Execution
from opskit.traffic import Colour, Weights
from tests.unit.functions.conftest import NEW, OLD, SETTINGS


def close(event, run, outcome="SUCCEEDED", **more):
    event = {"input": {}, "shift": None, **event, "outcome": outcome, "reason": "because", **more}
    return close_release.handler.__wrapped__(event, run)


def evidence():
    s3 = clients.client("s3")
    keys = [found["Key"] for found in s3.list_objects_v2(Bucket="evidence").get("Contents", [])]
    return {key: json.loads(s3.get_object(Bucket="evidence", Key=key)["Body"].read()) for key in keys}


def test_closing_writes_evidence_closes_the_record_and_frees_the_lock(event, run):
    done = close(event, run)
    record = run.ledger.record_of("r1")
    assert (record.outcome, record.outcome_reason, record.evidence) == ("SUCCEEDED", "because", done["evidence"])
    assert evidence()[done["evidence"]]["body"]["plan"]["image"] == NEW
    assert run.ledger.holder() is None


def test_closing_twice_is_closing_once(event, run):
    first = close(event, run)
    assert close(event, run) == first
    assert len(evidence()) == 1
    assert [e.what for e in run.ledger.record_of("r1").events].count("closed") == 1


def test_a_refusal_before_the_lock_is_on_record_too(run):
    given = {"settings": SETTINGS, "input": {"image": "9.9.9"}, "request": None, "plan": None, "lock": None}
    close(given, run, "REFUSED")
    record = run.ledger.record_of("r1")
    assert (record.outcome, record.image) == ("REFUSED", "9.9.9")


def test_a_refusal_leaves_the_lock_of_the_other_alone(run):
    held = run.ledger.acquire("another", "its own release", 60)
    given = {"settings": SETTINGS, "input": {}, "request": None, "plan": None, "lock": None}
    close(given, run, "REFUSED")
    run.ledger.hold(held, 60)


def test_a_record_opens_with_the_lock_and_not_without(event, run, plan):
    request = event["request"]
    given = {"settings": SETTINGS, "request": request, "plan": plan}
    other = Execution(run.execution.id.replace(":r1", ":r2"), "r2", run.execution.started_at)
    second = type(run)(settings=run.settings, execution=other, load_platform=run.load_platform, clock=run.clock)
    with pytest.raises(LockHeldError, match="r1"):
        acquire_lock.handler.__wrapped__(given, second)
    assert run.ledger.record_of("r2") is None
    assert acquire_lock.handler.__wrapped__(given, run)["fence"] == event["lock"]["fence"]


def test_the_lock_is_held_through_an_approval_of_any_length(event, run, clock):
    request_approval.handler.__wrapped__({**event, "task_token": "t"}, run)
    clock.advance(event["request"]["approval_seconds"] + 30)
    assert not run.ledger.holder().expired
    assert run.ledger.approval("r1").digest == NEW.partition("@")[2]


@pytest.fixture
def stopped(monkeypatch):
    """The calls that a repair makes to the step which stops pods, and the time that it sleeps."""
    calls = {"invoked": [], "slept": 0.0}

    def invoke(name, payload):
        calls["invoked"].append((name, payload["colour"], payload["lock"]["fence"]))
        return {}

    def sleep(seconds):
        calls["slept"] += seconds

    monkeypatch.setattr(repair_interrupted, "invoke", invoke)
    monkeypatch.setattr(repair_interrupted.time, "sleep", sleep)
    return calls


def told(run, **more):
    """What EventBridge hands on; of it only whose end it is counts."""
    return {"detail": {"executionArn": run.execution.id, "name": "r1", "status": "ABORTED", **more}}


def recorded_live(run, colour=Colour.BLUE):
    lock = run.ledger.acquire(run.execution.id, "setup", 60)
    live = Live(colour=colour, image=OLD, digest=None, previous=None, release="r0", at=run.clock.now())
    run.ledger.record_live(live, lock=lock, expected_revision=None)


def shifted(run, platform, weights):
    """What a release leaves that was stopped after its shift."""
    for what in ("deploying", "deployed", "shifting traffic", "traffic shifted"):
        run.ledger.update_record(run.record_key, what)
    Balancer(platform).set_weights(weights)


def repair(run, status="ABORTED", event=None):
    """Told of the end of the execution, which has ended with `status`, or runs if that is None."""
    end = Ended(run.execution.id, "r1", status, "pulled the plug", run.clock.now()) if status else None
    with patch.object(executions, "ended_execution", return_value=end):
        return repair_interrupted.handler.__wrapped__(event or told(run), run)


@pytest.mark.parametrize("status", ["ABORTED", "TIMED_OUT", "FAILED"])
def test_a_repair_makes_the_weights_whole_and_frees_the_lock(event, run, platform, healthy, stopped, status):
    recorded_live(run)
    shifted(run, platform, Weights(30, 70))
    done = repair(run, status)
    assert done["repaired"]
    assert Balancer(platform).weights() == Weights(100, 0)
    assert [call[:2] for call in stopped["invoked"]] == [("detection-api-dev-release-scale-down", "green")]
    assert run.ledger.holder() is None
    record = run.ledger.record_of("r1")
    assert record.outcome == status
    assert "pulled the plug" in record.outcome_reason
    assert any("/repair/" in key for key in evidence())


def test_a_repair_told_twice_repairs_once(event, run, healthy, stopped):
    recorded_live(run)
    assert repair(run)["repaired"]
    assert not repair(run)["repaired"]


def test_a_change_that_is_confirmed_meanwhile_is_not_waited_for_any_longer(
    event, run, platform, healthy, stopped, monkeypatch
):
    recorded_live(run)
    run.ledger.update_record(run.record_key, "shifting traffic", intent=Weights(30, 70))
    balancer, slept = Balancer(platform), []

    def confirm(seconds):
        slept.append(seconds)
        if len(slept) == 2:
            balancer.set_weights(Weights(30, 70))
            run.ledger.update_record(run.record_key, "traffic shifted", weights=Weights(30, 70), intent=None)

    monkeypatch.setattr(repair_interrupted.time, "sleep", confirm)
    assert repair(run)["repaired"]
    assert slept == [1.0, 1.0]
    assert balancer.weights() == Weights(100, 0)
    assert run.ledger.holder() is None


def test_an_event_about_an_execution_that_runs_is_not_believed(event, run, platform, healthy, stopped):
    recorded_live(run)
    shifted(run, platform, Weights(30, 70))
    with pytest.raises(UnavailableError, match="it runs"):
        repair(run, None)
    assert Balancer(platform).weights() == Weights(30, 70)
    assert run.ledger.holder().owner == run.execution.id
    assert not stopped["invoked"]


def test_an_event_about_something_else_is_refused(event, run, healthy, stopped):
    for arn in (run.execution.id.replace("-release", "-restore"), "arn:aws:states:us-east-1:1:stateMachine:x", "r1"):
        with pytest.raises(InvalidInputError, match="no execution of detection-api-dev-release"):
            repair(run, event=told(run, executionArn=arn))
    assert run.ledger.holder().owner == run.execution.id


def test_how_it_ended_is_asked_and_not_taken_from_the_event(event, run, healthy, stopped):
    repair(run, "TIMED_OUT", told(run, status="SUCCEEDED", cause="all is well"))
    record = run.ledger.record_of("r1")
    assert record.outcome == "TIMED_OUT"
    assert "pulled the plug" in record.outcome_reason


def test_nothing_is_repaired_while_another_holds_the_lock(event, run, platform, healthy, stopped):
    shifted(run, platform, Weights(30, 70))
    run.ledger.seize(run.execution.id, owner="the next release", purpose="go on", lease_seconds=60)
    assert not repair(run)["repaired"]
    assert Balancer(platform).weights() == Weights(30, 70)


def test_weights_that_the_execution_never_moved_are_left_alone(event, run, platform, healthy, stopped):
    recorded_live(run)
    Balancer(platform).set_weights(Weights(30, 70))
    assert "moved no traffic" in repair(run)["reason"]
    assert Balancer(platform).weights() == Weights(30, 70)
    assert not stopped["invoked"]


def test_a_colour_kept_warm_is_not_stopped_by_a_repair_that_did_not_deploy_it(event, run, platform, healthy, stopped):
    recorded_live(run)
    for what in ("shifting traffic", "traffic shifted"):
        run.ledger.update_record(run.record_key, what)
    Balancer(platform).set_weights(Weights(30, 70))
    assert repair(run)["repaired"]
    assert Balancer(platform).weights() == Weights(100, 0)
    assert not stopped["invoked"]


def test_the_first_release_of_all_goes_back_to_the_colour_that_it_came_from(event, run, platform, healthy, stopped):
    shifted(run, platform, Weights(0, 100))
    repair(run)
    assert Balancer(platform).weights() == Weights(100, 0)


def test_a_step_that_may_be_under_way_is_waited_out_and_corrected(event, run, platform, healthy, stopped, monkeypatch):
    """The lock is freed only when no step of the ended execution can be writing any more."""
    recorded_live(run)
    run.ledger.update_record(run.record_key, "shifting traffic", intent=Weights(0, 100))

    def late_write(seconds):
        stopped["slept"] += seconds
        Balancer(platform).set_weights(Weights(0, 100))

    monkeypatch.setattr(repair_interrupted.time, "sleep", late_write)
    assert repair(run)["repaired"]
    assert stopped["slept"] >= repair_interrupted.STEP_SECONDS
    assert Balancer(platform).weights() == Weights(100, 0)
    assert run.ledger.record_of("r1").intent is None


def test_a_repair_without_evidence_still_closes_tells_and_frees(event, run, platform, healthy, stopped, monkeypatch):
    recorded_live(run)
    monkeypatch.setattr(type(run.evidence), "append", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("no bucket")))
    repair(run)
    assert "no evidence" in run.ledger.record_of("r1").outcome_reason
    assert run.ledger.holder() is None


def test_a_lock_that_was_overlooked_is_found_on_schedule(event, run, platform, healthy, stopped, monkeypatch):
    recorded_live(run)
    shifted(run, platform, Weights(30, 70))
    found = Ended(run.execution.id, "r1", "TIMED_OUT", None, run.clock.now())
    monkeypatch.setattr(repair_interrupted, "ended_execution", lambda arn: found if arn == run.execution.id else None)
    assert repair_interrupted.handler.__wrapped__({}, run)["repaired"]
    assert Balancer(platform).weights() == Weights(100, 0)
    assert not repair_interrupted.handler.__wrapped__({}, run)["repaired"]


def test_a_lock_whose_execution_runs_is_left_alone(event, run, monkeypatch):
    monkeypatch.setattr(repair_interrupted, "ended_execution", lambda arn: None)
    assert not repair_interrupted.handler.__wrapped__({}, run)["repaired"]
    run.hold(event)


def test_with_no_healthy_target_anywhere_the_weights_stay_and_people_are_told(event, run, platform, healthy, stopped):
    recorded_live(run)
    shifted(run, platform, Weights(30, 70))
    healthy.update({Colour.BLUE: 0, Colour.GREEN: 0})
    done = repair(run)
    assert done["colour"] is None
    assert Balancer(platform).weights() == Weights(30, 70)
    assert "neither colour" in run.ledger.record_of("r1").outcome_reason


def test_a_lock_that_a_restore_holds_is_left_to_the_repair_of_restores(run, monkeypatch):
    restore = run.execution.id.replace("-release:", "-restore:")
    run.ledger.acquire(restore, "replace", 60)
    monkeypatch.setattr(repair_interrupted, "ended_execution", lambda arn: pytest.fail(f"{arn} was looked at"))
    assert not repair_interrupted.handler.__wrapped__({}, run)["repaired"]
    assert run.ledger.holder().owner == restore
