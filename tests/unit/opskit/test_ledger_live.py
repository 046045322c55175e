from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from opskit.errors import LockLostError
from opskit.ledger import Event, Ledger, Live, Lock, ReleaseRecord, StaleRevisionError, Version
from opskit.traffic import Colour

from .stand_ins import START, Interruption, ManualClock, die, once

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

BLUE = Live(Colour.BLUE, "shop@sha256:aa", "sha256:aa", None, "first", START)
GREEN = Live(
    Colour.GREEN, "shop@sha256:bb", "sha256:bb", Version(Colour.BLUE, "shop@sha256:aa", "sha256:aa"), "second", START
)


@pytest.fixture
def lock(ledger: Ledger) -> Lock:
    return ledger.acquire("first", "release", 60)


def test_nothing_is_live_at_first(ledger: Ledger) -> None:
    assert ledger.live() is None


def test_each_record_counts_the_revision_up(ledger: Ledger, lock: Lock) -> None:
    assert ledger.record_live(BLUE, lock=lock, expected_revision=None) == replace(BLUE, revision=1)
    assert ledger.record_live(GREEN, lock=lock, expected_revision=1) == replace(GREEN, revision=2)
    assert ledger.live() == replace(GREEN, revision=2)


@pytest.mark.parametrize("expected", [None, 0, 2])
def test_a_revision_that_moved_is_refused(ledger: Ledger, lock: Lock, expected: int | None) -> None:
    ledger.record_live(BLUE, lock=lock, expected_revision=None)
    with pytest.raises(StaleRevisionError, match=r"found 1 .*shop@sha256:aa on blue by first"):
        ledger.record_live(GREEN, lock=lock, expected_revision=expected)
    assert ledger.live() == replace(BLUE, revision=1)


def test_who_lost_the_lock_records_nothing(ledger: Ledger, lock: Lock, clock: ManualClock) -> None:
    clock.advance(60)
    ledger.acquire("second", "release", 60)
    with pytest.raises(LockLostError, match="held by second"):
        ledger.record_live(BLUE, lock=lock, expected_revision=None)
    assert ledger.live() is None


def test_a_lock_lost_between_looking_and_writing_is_noticed(
    ledger: Ledger, lock: Lock, dynamodb: "DynamoDBClient"
) -> None:
    def seize() -> None:
        ledger.seize("first", "repair", "repair", 60)

    with (
        once(dynamodb, "before-call.dynamodb.TransactWriteItems", seize),
        pytest.raises(LockLostError),
    ):
        ledger.record_live(BLUE, lock=lock, expected_revision=None)
    assert ledger.live() is None


def test_a_record_whose_answer_was_lost_is_the_same_record_again(
    ledger: Ledger, lock: Lock, dynamodb: "DynamoDBClient", clock: ManualClock
) -> None:
    with once(dynamodb, "after-call.dynamodb.TransactWriteItems", die), pytest.raises(Interruption):
        ledger.record_live(BLUE, lock=lock, expected_revision=None)
    clock.advance(5)
    again = ledger.record_live(replace(BLUE, at=clock.now()), lock=lock, expected_revision=None)
    assert again == ledger.live() == replace(BLUE, revision=1)


RECORD = ReleaseRecord("arn:first", "first", "release", START)
LIVE_NOW = ("recorded as live", {"colour": "blue"})


def events(ledger: Ledger) -> tuple[Event, ...]:
    found = ledger.record_of("first")
    assert found is not None
    return found.events


def test_the_event_goes_into_the_record_once_with_what_is_live(
    ledger: Ledger, lock: Lock, dynamodb: "DynamoDBClient"
) -> None:
    ledger.open_record(RECORD)
    with once(dynamodb, "after-call.dynamodb.TransactWriteItems", die), pytest.raises(Interruption):
        ledger.record_live(BLUE, lock=lock, expected_revision=None, record_key=RECORD.key, event=LIVE_NOW)
    assert events(ledger) == (Event(START, *LIVE_NOW),)
    again = ledger.record_live(BLUE, lock=lock, expected_revision=None, record_key=RECORD.key, event=LIVE_NOW)
    assert again == ledger.live()
    assert events(ledger) == (Event(START, *LIVE_NOW),)


@pytest.mark.parametrize("held", [True, False])
def test_the_event_is_not_written_without_what_is_live(ledger: Ledger, lock: Lock, held: bool) -> None:
    ledger.open_record(RECORD)
    expected = 7 if held else None
    if not held:
        ledger.release(lock)
    with pytest.raises(StaleRevisionError if held else LockLostError):
        ledger.record_live(BLUE, lock=lock, expected_revision=expected, record_key=RECORD.key, event=LIVE_NOW)
    assert events(ledger) == ()


def test_nothing_is_live_without_its_record(ledger: Ledger, lock: Lock) -> None:
    with pytest.raises(LookupError, match="has no record RELEASE#"):
        ledger.record_live(BLUE, lock=lock, expected_revision=None, record_key=RECORD.key, event=LIVE_NOW)
    assert ledger.live() is None


@pytest.mark.parametrize("live", [BLUE, GREEN, replace(BLUE, digest=None)])
def test_what_is_live_travels_as_json(live: Live) -> None:
    assert Live.from_dict(live.as_dict()) == live
