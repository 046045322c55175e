from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opskit.ledger import Event, Ledger, Live, ReleaseRecord
from opskit.ledger.records import MAX_EVENTS
from opskit.traffic import Colour, Weights

from .stand_ins import START, Interruption, ManualClock, die, once

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ARN = "arn:aws:states:eu-west-1:1:execution:shop-test-release:"


def record(name: str = "first", after_seconds: float = 0, **changes: Any) -> ReleaseRecord:
    return replace(ReleaseRecord(f"{ARN}{name}", name, "release", START + timedelta(seconds=after_seconds)), **changes)


FULL = record(
    requested_by="ana",
    reason="ticket 7",
    image="shop@sha256:bb",
    digest="sha256:bb",
    from_colour=Colour.BLUE,
    to_colour=Colour.GREEN,
    strategy="canary",
    approval={"by": "bo", "at": "2026-11-23T12:00:00Z"},
    override_alarms="it is the repair",
    weights=Weights(90, 10),
    intent=Weights(50, 50),
    events=(Event(START, "deployed", {"p95_seconds": 0.25, "pods": 3, "names": ["a"], "none": None}),),
)


def test_a_record_reads_back_as_it_was_written(ledger: Ledger) -> None:
    ledger.open_record(FULL)
    assert ledger.record_of("first") == FULL
    assert ledger.history() == [FULL]


def test_a_record_travels_as_json() -> None:
    assert ReleaseRecord.from_dict(FULL.as_dict()) == FULL
    assert FULL.as_dict()["key"] == FULL.key == "RELEASE#2026-11-23T12:00:00.000000Z#first"
    assert ReleaseRecord.from_dict(record().as_dict()) == record()


def test_opening_again_leaves_the_record_as_it_is(ledger: Ledger) -> None:
    ledger.open_record(record())
    ledger.update_record(record().key, image="shop@sha256:bb")
    ledger.open_record(record())
    assert ledger.record_of("first") == record(image="shop@sha256:bb")


def test_an_execution_without_a_record_has_none(ledger: Ledger) -> None:
    assert ledger.record_of("first") is None


@given(st.lists(st.floats(0, 1e6), unique=True, max_size=30))
def test_keys_sort_as_starts_do(starts: list[float]) -> None:
    keys = [record("x", start).key for start in starts]
    assert sorted(keys) == [key for _, key in sorted(zip(starts, keys, strict=True))]


def test_history_is_the_newest_first_and_no_more_than_asked_for(ledger: Ledger) -> None:
    for number in range(5):
        ledger.open_record(record(f"r{number}", after_seconds=number))
    assert [entry.execution_name for entry in ledger.history(3)] == ["r4", "r3", "r2"]
    assert len(ledger.history()) == 5


def test_updates_set_clear_and_note(ledger: Ledger, clock: ManualClock) -> None:
    ledger.open_record(record(weights=Weights(100, 0)))
    ledger.update_record(record().key, intent=Weights(0, 100))
    clock.advance(1)
    ledger.update_record(record().key, "shifted", {"seconds": 0.5}, weights=Weights(0, 100), intent=None)
    assert ledger.record_of("first") == record(
        weights=Weights(0, 100), events=(Event(clock.now(), "shifted", {"seconds": 0.5}),)
    )


def test_has_event() -> None:
    assert FULL.has_event("deployed")
    assert not FULL.has_event("deploy")


@pytest.mark.parametrize("field", ["outcome", "ended_at", "events", "started_at", "execution_name", "colour"])
def test_what_is_not_open_to_change_is_refused(ledger: Ledger, field: str) -> None:
    ledger.open_record(record())
    with pytest.raises(TypeError, match=f"{field} cannot be changed; approval, "):
        ledger.update_record(record().key, **{field: "x"})
    assert ledger.record_of("first") == record()


@pytest.mark.parametrize("event", [None, "shifted"])
def test_a_record_that_is_not_there_is_not_made_by_an_update(ledger: Ledger, event: str | None) -> None:
    with pytest.raises(LookupError, match=r"no record RELEASE#.*#first"):
        ledger.update_record(record().key, event, image="x")
    with pytest.raises(LookupError):
        ledger.close_record(record().key, "SUCCEEDED", "")
    assert ledger.history() == []


def test_a_close_says_how_and_when_it_ended(ledger: Ledger, clock: ManualClock) -> None:
    ledger.open_record(record())
    clock.advance(90)
    assert ledger.close_record(record().key, "SUCCEEDED", "all traffic on green", suffered={"failed": 0})
    facts = {"outcome": "SUCCEEDED", "reason": "all traffic on green", "suffered": {"failed": 0}}
    assert ledger.record_of("first") == record(
        ended_at=clock.now(),
        outcome="SUCCEEDED",
        outcome_reason="all traffic on green",
        events=(Event(clock.now(), "closed", facts),),
    )


def test_the_first_close_wins(ledger: Ledger, clock: ManualClock) -> None:
    ledger.open_record(record())
    ledger.close_record(record().key, "SUCCEEDED", "done")
    closed = ledger.record_of("first")
    clock.advance(1)
    assert not ledger.close_record(record().key, "FAILED", "late")
    assert not ledger.close_record(record().key, "SUCCEEDED", "done")
    assert ledger.record_of("first") == closed


def test_a_repair_replaces_the_outcome_and_keeps_the_former(ledger: Ledger) -> None:
    ledger.open_record(record())
    ledger.close_record(record().key, "FAILED", "stopped")
    assert ledger.close_record(record().key, "ABORTED", "stopped from outside", repair=True)
    assert not ledger.close_record(record().key, "ABORTED", "again", repair=True)
    after = ledger.record_of("first")
    assert after is not None
    assert (after.outcome, after.outcome_reason) == ("ABORTED", "stopped from outside")
    assert [event.facts.get("replaces") for event in after.events] == [None, "FAILED"]


def test_of_two_closes_at_the_same_moment_one_wins(ledger: Ledger, dynamodb: "DynamoDBClient") -> None:
    ledger.open_record(record())

    def rival() -> None:
        assert ledger.close_record(record().key, "ABORTED", "stopped")

    with once(dynamodb, "before-call.dynamodb.UpdateItem", rival):
        assert not ledger.close_record(record().key, "SUCCEEDED", "done")
    after = ledger.record_of("first")
    assert after is not None
    assert after.outcome == "ABORTED"
    assert len(after.events) == 1


def test_a_close_whose_answer_was_lost_happened_once(ledger: Ledger, dynamodb: "DynamoDBClient") -> None:
    ledger.open_record(record())
    with once(dynamodb, "after-call.dynamodb.UpdateItem", die), pytest.raises(Interruption):
        ledger.close_record(record().key, "SUCCEEDED", "done")
    ledger.close_record(record().key, "SUCCEEDED", "done")
    after = ledger.record_of("first")
    assert after is not None
    assert (after.outcome, len(after.events)) == ("SUCCEEDED", 1)


def test_events_are_bounded_counted_and_leave_room_for_the_close(ledger: Ledger) -> None:
    full = tuple(Event(START, f"event {number}", {}) for number in range(MAX_EVENTS - 4))
    ledger.open_record(record(events=full))
    for number in range(3):
        ledger.update_record(record().key, f"late {number}", image=f"image {number}")
    live = Live(Colour.BLUE, "shop@sha256:aa", "sha256:aa", None, "first", START)
    lock = ledger.acquire("first", "release", 60)
    ledger.record_live(live, lock=lock, expected_revision=None, record_key=record().key, event=("live", {}))
    ledger.close_record(record().key, "FAILED", "x")
    for outcome in ("ABORTED", "TIMED_OUT"):
        ledger.close_record(record().key, outcome, "y", repair=True)
    after = ledger.record_of("first")
    assert after is not None
    assert len(after.events) == MAX_EVENTS
    assert [event.what for event in after.events[-4:]] == ["late 0", "live", "closed", "closed"]
    assert after.events_dropped == 3
    assert (after.image, after.outcome) == ("image 2", "TIMED_OUT")


def test_a_name_that_comes_again_finds_the_later_record(ledger: Ledger) -> None:
    ledger.open_record(record())
    ledger.open_record(record(after_seconds=91 * 86400))
    assert ledger.record_of("first") == record(after_seconds=91 * 86400)
    assert len(ledger.history()) == 2
