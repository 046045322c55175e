"""Swaps, the way back from them, undoing them, and what becomes of the tags."""

from datetime import UTC, datetime

import pytest

from opskit.decisions.interruption import BACK, DRIFTED, NOT_MOVED, STAYED, Interrupted, way_back
from opskit.decisions.manifest import Kind
from opskit.decisions.swaps import Swap, digest_of, swaps_of, tags_when_live, tags_when_replaced
from opskit.decisions.undo import Former, plan_undo
from opskit.ledger import Event, OperationRecord

AT = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
DB = Swap(Kind.DATABASE, "old-db", "old:5432", "new-db", "new:5432")
REDIS = Swap(Kind.CACHE, "old-cache", "old:6379", "new-cache", "new:6379")
BOTH = (DB, REDIS)
BEFORE = {Kind.DATABASE: "old:5432", Kind.CACHE: "old:6379"}
AFTER = {Kind.DATABASE: "new:5432", Kind.CACHE: "new:6379"}
THERE = {Kind.DATABASE: True, Kind.CACHE: True}


def record(*events, **facts):
    kept = tuple(Event(AT, what, details) for what, details in events)
    return OperationRecord("restore", "arn", "restore-1", AT, facts=facts, outcome="REPLACED", events=kept)


def test_the_database_goes_first_and_what_is_approved_is_all_of_it():
    assert swaps_of([REDIS.as_dict(), DB.as_dict()]) == BOTH
    assert digest_of(BOTH) != digest_of((DB,)) != digest_of((DB.back,))
    assert digest_of(BOTH) == digest_of(swaps_of([DB.as_dict(), REDIS.as_dict()]))


@pytest.mark.parametrize(
    ("now", "there", "outcome", "back"),
    [
        (BEFORE, THERE, NOT_MOVED, ()),
        (AFTER, THERE, BACK, (REDIS.back, DB.back)),
        (AFTER | {Kind.CACHE: "old:6379"}, THERE, BACK, (DB.back,)),
        (AFTER, THERE | {Kind.DATABASE: False}, STAYED, ()),
        (AFTER | {Kind.CACHE: "someone:1"}, THERE, DRIFTED, ()),
        (AFTER | {Kind.CACHE: "old:6379"}, THERE | {Kind.CACHE: False}, BACK, (DB.back,)),
    ],
)
def test_the_way_back_is_whole_and_leads_to_what_is_there(now, there, outcome, back):
    way = way_back(BOTH, now, there)
    assert (way.outcome, way.swaps) == (outcome, back)


ANNOUNCED = ("cutting over", {"swaps": [DB.as_dict(), REDIS.as_dict()]})


@pytest.mark.parametrize(
    ("events", "verified", "under_way"),
    [
        ([ANNOUNCED], False, True),
        ([ANNOUNCED, ("cut over", {})], False, False),
        ([ANNOUNCED, ("cut over", {}), ("verified through the service", {"outcome": "PASS"})], True, False),
        ([ANNOUNCED, ("cut over", {}), ("verified through the service", {"outcome": "FAIL"})], False, False),
        ([ANNOUNCED, ("cut over", {}), ("swapping back", {"swaps": []})], False, True),
    ],
)
def test_the_record_of_an_interrupted_restore_says_how_far_it_was(events, verified, under_way):
    seen = Interrupted.of(record(*events))
    assert (seen.swaps, seen.verified, seen.under_way) == (BOTH, verified, under_way)


def test_one_that_announced_nothing_moved_nothing():
    assert Interrupted.of(record()) == Interrupted()


def test_what_goes_live_gets_the_tags_of_its_predecessor_and_no_end_of_its_time():
    before = {"backup": "true", "Team": "x", "ops:keep-until": "y", "ops:restore-id": "z", "aws:cloud": "w"}
    changes = tags_when_live(before)
    assert changes.add == {"backup": "true", "Team": "x"}
    assert set(changes.remove) == {"ops:expires-at", "ops:replaced-by", "ops:keep-until"}


def test_what_was_replaced_is_no_longer_backed_up_and_says_until_when_it_is_kept():
    changes = tags_when_replaced("new-db", AT)
    assert changes.remove == ("backup",)
    assert changes.add == {"ops:replaced-by": "new-db", "ops:keep-until": "2026-11-23T09:30:00.000000Z"}


FORMER = Former.of("restore-1", record(swapped=[DB.as_dict(), REDIS.as_dict()], tags={"database": {"backup": "true"}}))


def undo(former=FORMER, live=AFTER, **changes):
    status = dict.fromkeys(THERE, "available") | changes.get("status", {})
    endpoints = {swap.kind: swap.to_endpoint for swap in former.swaps_back} | changes.get("endpoints", {})
    return plan_undo(former, live=live, status=status, endpoints=endpoints)


def test_an_undo_is_the_same_the_other_way():
    assert undo().swaps == (DB.back, REDIS.back)
    assert FORMER.tags == {"database": {"backup": "true"}}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"live": BEFORE}, "undo what came after it first"),
        ({"status": {Kind.DATABASE: None}}, "old-db, which restore-1 replaced, is gone"),
        ({"status": {Kind.DATABASE: "deleting"}}, "is gone"),
        ({"status": {Kind.CACHE: "modifying"}}, "must be available first"),
        ({"endpoints": {Kind.CACHE: "moved:6379"}}, "is at moved:6379 now"),
    ],
)
def test_an_undo_is_refused_as_a_whole(changes, words):
    found = undo(**changes)
    assert found.swaps == ()
    assert words in found.reason


def test_only_what_replaced_something_can_be_undone():
    assert "no restore x on record" in undo(Former.of("x", None)).reason
    assert "without having replaced anything" in undo(Former.of("restore-1", record())).reason
