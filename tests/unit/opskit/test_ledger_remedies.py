"""The remediation's memory: whoever comes at the same moment, nothing counts twice and no cap is overrun."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opskit.errors import UnavailableError
from opskit.ledger import Ledger, RemedyState, Seen, remedies

from .stand_ins import ENVIRONMENT, START, TABLE, Interruption, ManualClock, die, once

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PUT, TRANSACT, UPDATE = (f"before-call.dynamodb.{name}" for name in ("PutItem", "TransactWriteItems", "UpdateItem"))
HOUR = 3600


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remedies, "_PAUSE_SECONDS", 0)


@contextmanager
def overtaken(client: Any, event: str, others: list[Callable[[], object]]) -> Iterator[None]:
    """Before each write of `client` one of `others` does its own, which the next one overtakes in turn."""

    def handler(**_: Any) -> None:
        if others:
            others.pop(0)()

    client.meta.events.register(event, handler)
    try:
        yield
    finally:
        client.meta.events.unregister(event, handler)
    assert not others


# -- transitions


def test_the_first_about_a_transition_has_it(ledger: Ledger) -> None:
    assert ledger.seen("eks-cpu", START, "a", HOUR) == Seen(True, "a", 1)
    assert ledger.seen("eks-cpu", START, "b", HOUR) == Seen(False, "a", 1)
    assert ledger.seen("eks-cpu", START, "a", HOUR) == Seen(True, "a", 1), "a retried step is first again"
    assert ledger.seen("eks-memory", START, "b", HOUR) == Seen(True, "b", 1), "another alarm is another matter"


def test_transitions_are_counted_within_the_window(ledger: Ledger, clock: ManualClock) -> None:
    for number in range(3):
        seen = ledger.seen("eks-cpu", clock.now(), f"e{number}", HOUR)
        assert seen == Seen(True, f"e{number}", number + 1)
        clock.advance(1200)
    assert ledger.seen_so_far("eks-cpu", "person", HOUR) == Seen(True, "person", 2), "the first is an hour old"
    assert ledger.seen("eks-cpu", clock.now(), "e3", HOUR).transitions == 3
    assert ledger.seen_so_far("eks-cpu", "person", HOUR) == Seen(True, "person", 3), "which notes nothing"


def test_a_late_duplicate_is_one_still_after_the_window(ledger: Ledger, clock: ManualClock) -> None:
    ledger.seen("eks-cpu", START, "a", HOUR)
    clock.advance(50 * HOUR)
    assert ledger.seen("eks-cpu", START, "b", HOUR) == Seen(False, "a", 0)


def test_memory_of_transitions_is_bounded(ledger: Ledger) -> None:
    for number in range(70):
        ledger.seen("eks-cpu", START + timedelta(seconds=number), f"e{number}", HOUR)
    assert ledger.seen_so_far("eks-cpu", "x", 10 * HOUR).transitions == 64
    assert not ledger.seen("eks-cpu", START + timedelta(seconds=69), "late", HOUR).first


def test_of_many_duplicates_at_once_one_is_first(ledger: Ledger, dynamodb: "DynamoDBClient") -> None:
    found: list[Seen] = []
    others = [lambda name=f"e{n}": found.append(ledger.seen("eks-cpu", START, name, HOUR)) for n in range(6)]
    with overtaken(dynamodb, PUT, list(others)):
        found.append(ledger.seen("eks-cpu", START, "outermost", HOUR))
    assert len(found) == 7
    assert sum(seen.first for seen in found) == 1
    assert {seen.by for seen in found} == {next(seen.by for seen in found if seen.first)}


def test_no_transition_is_lost_to_another_at_once(ledger: Ledger, dynamodb: "DynamoDBClient") -> None:
    other = START + timedelta(seconds=1)
    with once(dynamodb, PUT, lambda: ledger.seen("eks-cpu", other, "b", HOUR)):
        assert ledger.seen("eks-cpu", START, "a", HOUR) == Seen(True, "a", 2)
    assert not ledger.seen("eks-cpu", other, "c", HOUR).first


def test_whoever_died_before_the_answer_came_is_first_again(ledger: Ledger, dynamodb: "DynamoDBClient") -> None:
    with once(dynamodb, "after-call.dynamodb.PutItem", die), pytest.raises(Interruption):
        ledger.seen("eks-cpu", START, "a", HOUR)
    assert ledger.seen("eks-cpu", START, "a", HOUR) == Seen(True, "a", 1)


# -- the cap over all runbooks


def test_the_cap_holds_over_all_runbooks(ledger: Ledger, clock: ManualClock) -> None:
    for number, alarm in enumerate(("eks-cpu", "database-cpu")):
        assert ledger.reserve(alarm, "arn", f"e{number}", 2, clock.now()).reserved
        clock.advance(60)
    refused = ledger.reserve("cache-cpu", "arn", "e2", 2, clock.now())
    assert not refused.reserved
    assert refused.actions == 2
    assert refused.next_at == START + timedelta(hours=1)
    assert refused.reason.startswith("2 actions of 2 allowed: eks-cpu at 2026-11-23T12:00:00.000000Z, database-cpu at")
    assert ledger.remedy_state("cache-cpu") == RemedyState(), "a refusal starts no cooldown"


def test_the_hour_slides(ledger: Ledger, clock: ManualClock) -> None:
    ledger.reserve("eks-cpu", "arn", "e0", 1, clock.now())
    clock.advance(HOUR - 1)
    assert not ledger.reserve("eks-cpu", "arn", "e1", 1, clock.now()).reserved
    assert len(ledger.actions()) == 1
    clock.advance(1)
    assert ledger.actions() == []
    assert ledger.reserve("eks-cpu", "arn", "e1", 1, clock.now()).reserved
    clock.advance(10)
    assert ledger.reserve("eks-cpu", "arn", "e2", 1, clock.now(), window_seconds=10).reserved, "a rehearsal's hour"


def test_an_execution_counts_once(ledger: Ledger, dynamodb: "DynamoDBClient", clock: ManualClock) -> None:
    with once(dynamodb, "after-call.dynamodb.TransactWriteItems", die), pytest.raises(Interruption):
        ledger.reserve("eks-cpu", "arn", "e0", 1, clock.now())
    clock.advance(5)
    again = ledger.reserve("eks-cpu", "arn", "e0", 1, clock.now())
    assert (again.reserved, again.actions) == (True, 1)
    assert len(ledger.actions()) == 1
    assert ledger.actions()[0] == {
        "at": "2026-11-23T12:00:00.000000Z",
        "execution": "e0",
        "alarm": "eks-cpu",
        "resource": "arn",
    }


def test_a_reservation_starts_the_cooldown_in_the_same_write(ledger: Ledger, dynamodb: "DynamoDBClient") -> None:
    with once(dynamodb, TRANSACT, die), pytest.raises(Interruption):
        ledger.reserve("eks-cpu", "arn", "e0", 5, START)
    assert (ledger.actions(), ledger.remedy_state("eks-cpu")) == ([], RemedyState())
    ledger.struck("eks-cpu", "earlier", 3)
    ledger.reserve("eks-cpu", "arn", "e0", 5, START)
    assert ledger.remedy_state("eks-cpu") == RemedyState(START, 1, None, "e0"), "and leaves the strikes"


def test_two_at_once_cannot_both_have_the_last(ledger: Ledger, dynamodb: "DynamoDBClient") -> None:
    found = []
    with once(dynamodb, TRANSACT, lambda: found.append(ledger.reserve("eks-cpu", "arn", "inner", 1, START))):
        found.append(ledger.reserve("database-cpu", "arn", "outer", 1, START))
    assert [one.reserved for one in found] == [True, False]
    assert [action["execution"] for action in ledger.actions()] == ["inner"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 5), st.lists(st.sampled_from(["eks-cpu", "cache-cpu", "database-cpu"]), min_size=1, max_size=8))
def test_the_cap_is_never_overrun_however_many_overtake(
    dynamodb: "DynamoDBClient", clock: ManualClock, cap: int, alarms: list[str]
) -> None:
    clock.advance(2 * HOUR)  # so that what the example before did is past
    ledger = Ledger(TABLE, "shop", ENVIRONMENT, clock=clock, client=dynamodb)
    start = clock.now()
    found = {}

    def asks(number: int) -> Callable[[], None]:
        def ask() -> None:
            name = f"{start}-{number}"
            found[name] = ledger.reserve(alarms[number], "arn", name, cap, clock.now())

        return ask

    first, *others = [asks(number) for number in range(len(alarms))]
    # Those whom the cap stops before they write overtake nobody, so not all may be called on the way.
    waiting = list(others)

    def handler(**_: Any) -> None:
        if waiting:
            waiting.pop(0)()

    dynamodb.meta.events.register(TRANSACT, handler)
    try:
        first()
        while waiting:
            waiting.pop(0)()
    finally:
        dynamodb.meta.events.unregister(TRANSACT, handler)
    reserved = {name for name, one in found.items() if one.reserved}
    assert len(found) == len(alarms)
    assert len(reserved) == min(cap, len(alarms))
    assert {action["execution"] for action in ledger.actions()} == reserved


def test_an_item_that_never_rests_is_an_error_worth_a_retry(ledger: Ledger, dynamodb: "DynamoDBClient") -> None:
    number = iter(range(1000))
    nested = []

    def meddle(**_: Any) -> None:
        if not nested:
            nested.append(True)
            ledger.seen("eks-cpu", START - timedelta(seconds=next(number) + 1), "other", HOUR)
            nested.clear()

    dynamodb.meta.events.register(PUT, meddle)
    with pytest.raises(UnavailableError, match="others kept writing the transitions of eks-cpu"):
        ledger.seen("eks-cpu", START, "a", HOUR)
    dynamodb.meta.events.unregister(PUT, meddle)


# -- strikes


def test_the_last_strike_blocks_and_names_its_execution(ledger: Ledger) -> None:
    assert ledger.remedy_state("eks-cpu") == RemedyState()
    assert ledger.struck("eks-cpu", "a", 3).strikes == 1
    assert ledger.struck("eks-cpu", "a", 3).strikes == 1, "an execution strikes once"
    assert ledger.struck("eks-cpu", "b", 3) == RemedyState(strikes=2)
    assert ledger.struck("eks-cpu", "c", 3) == RemedyState(strikes=3, blocked_by="c")
    assert ledger.struck("eks-cpu", "d", 3).blocked_by == "c"
    assert ledger.remedy_state("eks-memory") == RemedyState(), "a runbook of its own"


def test_an_action_that_helped_ends_the_row_but_lifts_no_block(ledger: Ledger) -> None:
    ledger.struck("eks-cpu", "a", 2)
    assert ledger.cleared("eks-cpu") == RemedyState()
    ledger.struck("eks-cpu", "b", 2)
    assert ledger.struck("eks-cpu", "c", 2).blocked_by == "c"
    assert ledger.cleared("eks-cpu").blocked_by == "c"
    assert ledger.unblock("eks-cpu") == RemedyState()
    assert ledger.struck("eks-cpu", "d", 2) == RemedyState(strikes=1), "and it begins anew"
    assert ledger.unblock("never-struck") == RemedyState()


def test_strikes_at_once_all_count(ledger: Ledger, dynamodb: "DynamoDBClient") -> None:
    others: list[Callable[[], object]] = [lambda name=name: ledger.struck("eks-cpu", name, 3) for name in "abc"]
    with overtaken(dynamodb, UPDATE, others):
        ledger.struck("eks-cpu", "d", 3)
    state = ledger.remedy_state("eks-cpu")
    assert state.strikes == 4
    assert state.blocked_by is not None


def test_a_reservation_between_a_strikes_read_and_write_is_kept(ledger: Ledger, dynamodb: "DynamoDBClient") -> None:
    with once(dynamodb, UPDATE, lambda: ledger.reserve("eks-cpu", "arn", "new", 5, START)):
        assert ledger.struck("eks-cpu", "old", 3) == RemedyState(START, 1, None, "new")
