"""Steps that begin, look at and discard copies."""

import pytest

from functions.restore import begin_restore, check_copies, discard_failed
from opskit.adapters.copies import Copies
from opskit.decisions.manifest import Kind
from opskit.errors import LockHeldError, LockLostError, NotReadyError, QuotaExceededError


def call(module, event, run, **more):
    return module.handler.__wrapped__({**event, **more}, run)


@pytest.fixture
def fresh(event, run):
    """Nothing has begun yet."""
    lock = run.ledger.holder()
    run.ledger.release(run.ledger.seize(lock.owner, "x", "x", 1))
    return event


def test_a_restore_that_replaces_is_on_record_and_has_the_lock_before_anything_is_made(fresh, run, world, monkeypatch):
    def begin(_, copy):
        assert run.ledger.holder().owner == run.execution.id
        assert run.ledger.operation_of("restore", "r1").events[-1].what == "restoring"

    monkeypatch.setattr(Copies, "begin", begin)
    done = call(begin_restore, fresh, run)
    assert done["lock"]["owner"] == run.execution.id
    assert done["refused"] == {}


def test_an_isolated_restore_needs_no_lock_and_an_undo_no_copies(fresh, run, world, plan):
    assert call(begin_restore, fresh, run, plan=plan | {"mode": "isolated"})["lock"] is None
    assert world.begun == ["db-new", "cache-new"]
    undo = call(begin_restore, fresh, run, plan=plan | {"mode": "undo", "parts": {}})
    assert undo["lock"]
    assert world.begun == ["db-new", "cache-new"]


def test_while_a_release_is_under_way_nothing_is_begun(fresh, run, world):
    run.ledger.acquire("a-release", "a release", 60)
    with pytest.raises(LockHeldError, match="a-release"):
        call(begin_restore, fresh, run)
    assert world.begun == []


def test_what_is_refused_for_good_leaves_the_other_component_to_be_had(fresh, run, world, monkeypatch):
    def begin(_, copy):
        if copy.kind is Kind.CACHE:
            raise QuotaExceededError("no capacity")

    monkeypatch.setattr(Copies, "begin", begin)
    assert "no capacity" in call(begin_restore, fresh, run)["refused"]["cache"]


def test_what_is_in_use_is_tried_again_by_the_state_machine(fresh, run, world, monkeypatch):
    def begin(_, copy):
        raise NotReadyError("copying")

    monkeypatch.setattr(Copies, "begin", begin)
    with pytest.raises(NotReadyError):
        call(begin_restore, fresh, run)


def test_both_are_waited_for(event, run, world):
    assert call(check_copies, event, run)["outcome"] == "PASS"
    world.change(Kind.DATABASE, "db-new", status="creating")
    waiting = call(check_copies, event, run)
    assert (waiting["outcome"], waiting["looks"]["cache"]["outcome"]) == ("WAIT", "PASS")


def test_one_that_failed_is_a_failure_once_the_other_is_settled(event, run, world):
    world.change(Kind.DATABASE, "db-new", status="creating")
    world.change(Kind.CACHE, "cache-new", status="create-failed")
    assert call(check_copies, event, run)["outcome"] == "WAIT"
    world.change(Kind.DATABASE, "db-new", status="available")
    done = call(check_copies, event, run)
    assert (done["outcome"], "create-failed" in done["reason"]) == ("FAIL", True)


def test_one_that_could_not_be_begun_failed(event, run, world):
    refused = event["begun"] | {"refused": {"cache": "no capacity"}}
    done = call(check_copies, event, run, begun=refused)
    assert done["looks"]["cache"]["reason"] == "cache-new could not be begun: no capacity"


def test_time_runs_out(event, run, world, clock):
    world.change(Kind.DATABASE, "db-new", status="creating")
    clock.advance(601)
    assert "still creating after 601 s" in call(check_copies, event, run)["reason"]


def test_a_look_keeps_the_lock_or_loses_it(event, run, world):
    run.ledger.seize(run.execution.id, owner="somebody", purpose="else", lease_seconds=60)
    with pytest.raises(LockLostError):
        call(check_copies, event, run)


def test_what_failed_is_deleted_and_nothing_else(event, run, world):
    looks = {"database": {"outcome": "FAIL"}, "cache": {"outcome": "PASS"}}
    done = call(discard_failed, event, run, looks=looks)
    assert world.deleted == ["db-new"]
    assert [one["name"] for one in done["deleted"]] == ["db-new"]


def test_a_copy_without_the_tag_or_one_that_is_live_is_left(event, run, world):
    world.change(Kind.DATABASE, "db-new", tags={})
    world.move("cache", "cache-new:6379")
    done = call(discard_failed, event, run, looks=None)
    assert world.deleted == []
    assert ["its tag" in done["left"][0]["reason"], "it is live" in done["left"][1]["reason"]] == [True, True]
