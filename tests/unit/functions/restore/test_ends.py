"""How a restore ends: closed once, with evidence, the lock freed, people told; or repaired by who comes after."""

import json
from datetime import timedelta
from unittest.mock import patch

import pytest

from functions.restore import close_restore, cut_over, repair_interrupted_restore, swap_back
from opskit import clients
from opskit.adapters import executions
from opskit.adapters.executions import Ended
from opskit.adapters.notifier import Notifier
from opskit.decisions.manifest import Kind
from opskit.errors import UnavailableError
from tests.unit.functions.conftest import START
from tests.unit.functions.restore.conftest import ARN

NOTHING = dict.fromkeys(("copies", "restored", "cut", "verified", "kept", "discarded", "input"))
LOOKS = {
    kind: {
        "outcome": "PASS",
        "name": f"{name}-new",
        "endpoint": f"{name}-new:1",
        "status": "available",
        "differences": [],
        "from_source": [],
    }
    for kind, name in (("database", "db"), ("cache", "cache"))
}


def after(seconds):
    return (START + timedelta(seconds=seconds)).isoformat()


COPIES = {"looks": LOOKS, "at": after(600)}


@pytest.fixture
def told(monkeypatch):
    messages = []
    monkeypatch.setattr(Notifier, "publish", lambda _, subject, message: messages.append(message))
    return messages


def close(event, run, outcome="ISOLATED", **more):
    ending = {"outcome": outcome, "error": "", "reason": "well"}
    return close_restore.handler.__wrapped__(event | NOTHING | {"ending": ending} | more, run)


def test_an_isolated_restore_says_what_is_there_until_when_and_how_to_remove_it(event, run, told):
    done = close(event, run, copies=COPIES)
    assert {one["name"] for one in done["restored"]} == {"db-new", "cache-new"}
    assert done["remove"][0] == "aws rds delete-db-instance --db-instance-identifier db-new --skip-final-snapshot"
    assert "database db-new, cache cache-new, to be removed by 2026-11-24" in done["reason"]
    record = run.ledger.operation_of("restore", "r1")
    assert (record.outcome, record.evidence) == ("ISOLATED", done["evidence"])
    assert run.ledger.holder() is None
    assert told[0]["outcome"] == "ISOLATED"
    stored = clients.client("s3").get_object(Bucket="evidence", Key=done["evidence"])["Body"].read()
    assert json.loads(stored)["body"]["plan"]["restore_id"] == "0123456789ab"


def test_a_replacement_is_measured_from_the_declaration_to_the_verification(event, run, told):
    done = close(
        event,
        run,
        "REPLACED",
        copies=COPIES,
        cut={"began_at": after(660), "at": after(661)},
        verified={"outcome": "PASS", "at": after(663)},
        kept={"kept": [], "keep_until": "later", "recovery_point": {"outcome": "PASS"}},
    )
    facts = done["recovery_time"]["facts"]
    assert facts["phases"]["cut over"] == 1
    assert facts["phases"]["verified"] == 2
    assert done["swapped"] == event["swaps"]
    assert done["remove"] == []
    assert done["recovery_point"] == {"outcome": "PASS"}
    assert run.ledger.operation_of("restore", "r1").facts["swapped"] == event["swaps"]


def test_what_was_discarded_is_not_kept(event, run, told):
    discarded = {"deleted": [{"kind": "database", "name": "db-new", "reason": "x"}]}
    done = close(event, run, "FAILED", copies=COPIES, discarded=discarded)
    assert [one["name"] for one in done["restored"]] == ["cache-new"]
    assert "Deleted: database db-new" in done["reason"]
    assert done["recovery_time"]["outcome"] == "FAIL"


def test_one_that_was_refused_before_it_had_a_plan_is_on_record_too(run, world, told):
    event = {"settings": {}, "request": None, "plan": None, "begun": {"lock": None}, "swaps": []}
    done = close(event, run, "REFUSED", input={"requested_by": "me"})
    record = run.ledger.operation_of("restore", "r1")
    assert (record.outcome, record.requested_by, record.evidence) == ("REFUSED", "me", done["evidence"])


def test_closing_twice_closes_once(event, run, told):
    first, second = close(event, run), close(event, run, "FAILED")
    assert run.ledger.operation_of("restore", "r1").outcome == "ISOLATED"
    assert first["evidence"] == second["evidence"]


def test_people_who_cannot_be_told_stop_nothing(event, run, monkeypatch):
    monkeypatch.setattr(Notifier, "publish", lambda *_: (_ for _ in ()).throw(RuntimeError("no topic")))
    close(event, run)
    assert run.ledger.holder() is None


def test_somebody_elses_lock_is_not_freed(event, run, told):
    run.ledger.seize(ARN, owner="somebody", purpose="else", lease_seconds=60)
    close(event, run)
    assert run.ledger.holder().owner == "somebody"


@pytest.fixture
def slept(monkeypatch):
    seconds = []
    monkeypatch.setattr(repair_interrupted_restore.time, "sleep", seconds.append)
    return seconds


def repair(run, status="ABORTED"):
    """Told of the end of the execution, which has ended with `status`, or runs if that is None."""
    end = Ended(ARN, "r1", status, "pulled", run.clock.now()) if status else None
    with patch.object(executions, "ended_execution", return_value=end):
        event = {"detail": {"executionArn": ARN, "name": "r1", "status": "ABORTED"}}
        return repair_interrupted_restore.handler.__wrapped__(event, run)["repaired"]


def outcome(run):
    record = run.ledger.operation_of("restore", "r1")
    return record.outcome, record.outcome_reason


def now(world):
    return world.endpoint("database"), world.endpoint("cache")


def test_one_that_moved_nothing_is_closed_and_its_lock_freed(event, run, world, told, slept):
    assert repair(run)
    assert outcome(run) == ("INTERRUPTED", "aborted: pulled; nothing had been cut over")
    assert run.ledger.holder() is None
    assert told[0]["copies"] == {"database": "db-new", "cache": "cache-new"}
    assert repair(run) == []
    assert slept == []


def test_one_that_was_not_verified_goes_back(event, run, world, told, slept):
    cut_over.handler.__wrapped__(event, run)
    assert repair(run, "TIMED_OUT")
    assert now(world) == ("db:5432", "cache:6379")
    assert "back on" in outcome(run)[1]
    assert run.ledger.operation_of("restore", "r1").facts["swapped"] == []


def test_one_that_stopped_half_way_is_waited_out_and_goes_back(event, run, world, told, slept):
    run.ledger.note(run.operation_key, "cutting over", {"swaps": event["swaps"]})
    world.move("database", "db-new:5432")
    assert repair(run)
    assert slept[0] > 0
    assert now(world) == ("db:5432", "cache:6379")


def test_one_that_stopped_on_its_way_back_is_brought_back(event, run, world, told, slept, monkeypatch):
    cut_over.handler.__wrapped__(event, run)
    run.ledger.note(run.operation_key, "verified through the service", {"outcome": "FAIL"})
    run.ledger.note(run.operation_key, "swapping back", {"swaps": []})
    world.move("cache", "cache:6379")
    assert repair(run)
    assert now(world) == ("db:5432", "cache:6379")


def test_one_that_was_verified_stays(event, run, world, told, slept):
    cut_over.handler.__wrapped__(event, run)
    run.ledger.note(run.operation_key, "verified through the service", {"outcome": "PASS"})
    assert repair(run)
    assert now(world) == ("db-new:5432", "cache-new:6379")
    assert "backup=true" in outcome(run)[1]
    facts = run.ledger.operation_of("restore", "r1").facts
    assert facts["swapped"] == event["swaps"], "so that it can be undone"
    assert facts["tags"]["database"] == {"backup": "true"}


def test_one_that_has_nowhere_to_go_back_to_stays(event, run, world, told, slept):
    cut_over.handler.__wrapped__(event, run)
    del world.there[Kind.DATABASE, "db"]
    assert repair(run)
    assert now(world) == ("db-new:5432", "cache-new:6379")
    assert "stays with what was restored" in outcome(run)[1]


def test_one_that_closed_itself_is_left_alone(event, run, world, told, slept):
    close(event, run, "FAILED")
    told.clear()
    assert repair(run, "FAILED") == []
    assert told == []


def test_an_event_about_an_execution_that_runs_is_not_believed(event, run, world, told, slept):
    with pytest.raises(UnavailableError, match="it runs"):
        repair(run, None)
    assert run.ledger.holder().owner == ARN
    assert run.ledger.operation_of("restore", "r1").outcome is None


def test_a_step_that_still_runs_can_change_nothing_after_the_repair(event, run, world, told, slept):
    repair(run)
    with pytest.raises(Exception, match="lost the lock"):
        cut_over.handler.__wrapped__(event, run)
    with pytest.raises(Exception, match="lost the lock"):
        swap_back.handler.__wrapped__(event, run)
    assert now(world) == ("db:5432", "cache:6379")


def test_what_was_overlooked_is_found_on_schedule(event, run, world, told, slept, monkeypatch):
    ended = Ended(ARN, "r1", "TIMED_OUT", None, run.clock.now())
    monkeypatch.setattr(repair_interrupted_restore, "ended_execution", lambda arn: ended if arn == ARN else None)
    done = repair_interrupted_restore.handler.__wrapped__({}, run)
    assert [one["execution"] for one in done["repaired"]] == ["r1"]
    assert repair_interrupted_restore.handler.__wrapped__({}, run) == {"repaired": []}


def test_a_releases_lock_is_left_to_its_own_repair(run, world, monkeypatch):
    run.ledger.acquire(ARN.replace("-restore:", "-release:"), "a release", 60)
    monkeypatch.setattr(repair_interrupted_restore, "ended_execution", pytest.fail)
    assert repair_interrupted_restore.handler.__wrapped__({}, run) == {"repaired": []}


def test_a_repair_without_evidence_still_closes_tells_and_frees(event, run, world, told, slept, monkeypatch):
    monkeypatch.setattr(type(run.evidence), "append", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("no bucket")))
    assert repair(run)
    assert "no evidence" in outcome(run)[1]
    assert run.ledger.holder() is None
