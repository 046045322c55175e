"""An execution that was stopped, or ended without closing: nothing of it is left open."""

import pytest

from functions.remediate import settle_interrupted_remediation as settling
from opskit.adapters.executions import Ended
from opskit.ledger import Lock
from tests.unit.functions.conftest import START
from tests.unit.functions.remediate.conftest import EXECUTION, SUFFIX

LOCK = "remedy:database"


def ended(name="r1", status="ABORTED"):
    moment = START.timestamp() * 1000
    return {
        "detail": {
            "executionArn": f"{EXECUTION}:{name}",
            "name": name,
            "status": status,
            "cause": None,
            "startDate": moment,
            "stopDate": moment + 10_000,
        }
    }


def settle(run, event):
    return settling.handler.__wrapped__(event, run)["settled"]


@pytest.fixture
def acting(reservation, run):
    run.ledger.note(run.operation_key, "acting", {}, lock=Lock.from_dict(reservation["lock"]))
    return reservation


def test_one_that_was_stopped_before_it_acted_is_closed_and_its_lock_is_free(reservation, run, told):
    (done,) = settle(run, ended())
    assert "it had not acted" in done["reason"]
    assert run.ledger.operation_of("remediate", "r1").outcome == "INTERRUPTED"
    assert run.ledger.holder(LOCK) is None
    assert run.ledger.remedy_state(SUFFIX).strikes == 0
    assert told[0]["outcome"] == "INTERRUPTED"


def test_one_that_had_acted_keeps_others_away_until_its_action_has_ended(acting, run, told, clock):
    settle(run, ended())
    holder = run.ledger.holder(LOCK)
    assert (holder.expired, (holder.lease_until - clock.now()).total_seconds()) == (False, 65)
    clock.advance(65)
    assert run.ledger.acquire("other", "x", 60, LOCK)


@pytest.mark.parametrize(("status", "strikes"), [("ABORTED", 0), ("TIMED_OUT", 1), ("FAILED", 1)])
def test_who_stops_it_has_looked_and_what_ended_by_itself_did_not_help(acting, run, told, status, strikes):
    settle(run, ended(status=status))
    settle(run, ended(status=status))
    assert run.ledger.remedy_state(SUFFIX).strikes == strikes


def test_an_action_that_begins_while_it_is_settled_is_known_or_cannot_begin(reservation, run, told, monkeypatch):
    """What was read before the lock was seized may be past."""
    ledger, seize = type(run.ledger), type(run.ledger).seize

    def late(self, *given, **named):
        self.note(run.operation_key, "acting", {}, lock=Lock.from_dict(reservation["lock"]))
        monkeypatch.setattr(ledger, "seize", seize)
        return seize(self, *given, **named)

    monkeypatch.setattr(ledger, "seize", late)
    (done,) = settle(run, ended())
    assert "it had not acted" not in done["reason"]
    assert run.ledger.holder(LOCK).purpose.startswith("settling")


def test_a_reservation_that_is_made_while_it_is_settled_leaves_no_lock(admission, run, told, monkeypatch):
    ledger, close = type(run.ledger), type(run.ledger).close_operation

    def late(self, *given, **named):
        run.ledger.acquire(run.execution.id, "a repair", 300, LOCK)
        return close(self, *given, **named)

    monkeypatch.setattr(ledger, "close_operation", late)
    settle(run, ended())
    assert run.ledger.holder(LOCK) is None


def test_its_action_can_announce_nothing_any_more(reservation, run, told):
    settle(run, ended())
    assert not run.ledger.release(Lock.from_dict(reservation["lock"]))


def test_one_that_has_closed_is_left_as_it_is(admission, run, told):
    run.ledger.close_operation(run.operation_key, "ESCALATED", "because")
    assert settle(run, ended(status="FAILED")) == []
    assert told == []


def test_one_that_ended_before_it_was_on_record_is_accounted_for(run, told):
    (done,) = settle(run, ended("r9"))
    assert done["execution"] == "r9"
    assert run.ledger.operation_of("remediate", "r9").outcome == "INTERRUPTED"


def test_what_no_event_told_of_is_found_by_its_open_record(admission, run, told, monkeypatch):
    found = Ended(f"{EXECUTION}:r1", "r1", "TIMED_OUT", None, START)
    monkeypatch.setattr(settling, "ended_execution", lambda arn: found if arn.endswith(":r1") else None)
    (done,) = settle(run, {})
    assert done["execution"] == "r1"
    assert settle(run, {}) == []


def test_one_that_still_runs_is_not_overlooked_but_running(admission, run, told, monkeypatch):
    monkeypatch.setattr(settling, "ended_execution", lambda _: None)
    assert settle(run, {}) == []
    assert run.ledger.operation_of("remediate", "r1").outcome is None


def test_that_no_evidence_can_be_written_keeps_nothing_open(reservation, run, told, monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("no bucket")

    monkeypatch.setattr(type(run.evidence), "append", refuse)
    (done,) = settle(run, ended())
    assert "no evidence could be written" in done["reason"]
    assert run.ledger.operation_of("remediate", "r1").outcome == "INTERRUPTED"
