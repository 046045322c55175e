from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opskit.errors import LockHeldError, LockLostError
from opskit.ledger import Holder, Ledger, Lock

from .stand_ins import ENVIRONMENT, START, TABLE, Interruption, ManualClock, die, once

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ARN = "arn:aws:states:eu-west-1:1:execution:shop-test-release:"


def test_a_free_lock_is_taken(ledger: Ledger) -> None:
    lock = ledger.acquire(f"{ARN}first", "release of 1.2", 60)
    assert lock == Lock(f"{ARN}first", 1)
    assert lock.superseded is None
    assert ledger.holder() == Holder(f"{ARN}first", "release of 1.2", 1, START, START + timedelta(seconds=60), False)


def test_a_held_lock_is_refused_with_who_why_since_when_and_what_to_do(ledger: Ledger, clock: ManualClock) -> None:
    ledger.acquire(f"{ARN}first", "release of 1.2", 60)
    clock.advance(59)
    with pytest.raises(LockHeldError) as caught:
        ledger.acquire(f"{ARN}second", "release of 1.3", 60)
    assert str(caught.value) == (
        "the lock is held by first for release of 1.2 since 2026-11-23T12:00:00.000000Z; "
        "its lease runs until 2026-11-23T12:01:00.000000Z. Wait for it, or end it with `ops abort`."
    )


def test_acquiring_again_returns_the_same_fence_and_renews(ledger: Ledger, clock: ManualClock) -> None:
    first = ledger.acquire("first", "release", 60)
    clock.advance(50)
    assert ledger.acquire("first", "release", 60) == first
    holder = ledger.holder()
    assert holder is not None
    assert (holder.acquired_at, holder.lease_until) == (START, START + timedelta(seconds=110))


def test_an_expired_lease_is_taken_over_and_the_loser_is_told(ledger: Ledger, clock: ManualClock) -> None:
    first = ledger.acquire("first", "release", 60)
    clock.advance(60)
    second = ledger.acquire("second", "rollback", 60)
    assert second.fence == first.fence + 1
    assert second.superseded == Holder("first", "release", 1, START, START + timedelta(seconds=60), True)
    with pytest.raises(LockLostError, match=r"first \(fence 1\) has lost the lock: it is held by second for rollback"):
        ledger.hold(first, 60)
    assert not ledger.release(first)
    ledger.hold(second, 60)


def test_an_expired_lease_that_nobody_took_can_be_renewed(ledger: Ledger, clock: ManualClock) -> None:
    lock = ledger.acquire("first", "release", 60)
    clock.advance(600)
    ledger.hold(lock, 60)
    with pytest.raises(LockHeldError):
        ledger.acquire("second", "release", 60)


def test_a_release_frees_the_lock_once_and_keeps_the_fence(ledger: Ledger) -> None:
    first = ledger.acquire("first", "release", 60)
    assert ledger.release(first)
    assert ledger.holder() is None
    assert not ledger.release(first)
    second = ledger.acquire("second", "release", 60)
    assert second.fence == 2
    assert second.superseded is None


def test_who_freed_the_lock_has_lost_it(ledger: Ledger) -> None:
    lock = ledger.acquire("first", "release", 60)
    ledger.release(lock)
    with pytest.raises(LockLostError, match=r"it was freed at 2026-11-23T12:00:00\.000000Z, last held by first"):
        ledger.hold(lock, 60)


def test_a_lock_that_never_was_cannot_be_held(ledger: Ledger) -> None:
    with pytest.raises(LockLostError, match="there is no such lock"):
        ledger.hold(Lock("first", 1), 60)


@pytest.mark.parametrize("now", ["held by second", "freed at", "no such lock"])
def test_who_has_lost_the_lock_is_told_why_without_a_right_to_read(
    ledger: Ledger, dynamodb: "DynamoDBClient", now: str
) -> None:
    lock = Lock("first", 1)
    if now != "no such lock":
        ledger.release(ledger.acquire("first", "release", 60))
    if now == "held by second":
        ledger.acquire("second", "release", 60)
    asked: list[str] = []
    dynamodb.meta.events.register("before-call.dynamodb", lambda model, **_: asked.append(model.name))
    with pytest.raises(LockLostError, match=now):
        ledger.hold(lock, 60)
    assert asked == ["UpdateItem"]


def test_the_same_owner_with_an_older_fence_has_lost_the_lock(ledger: Ledger) -> None:
    old = ledger.acquire("first", "release", 60)
    ledger.release(old)
    ledger.acquire("first", "release", 60)
    with pytest.raises(LockLostError):
        ledger.hold(old, 60)
    assert not ledger.release(old)


def test_seizing_does_not_wait_for_the_lease(ledger: Ledger) -> None:
    first = ledger.acquire("first", "release", 600)
    seized = ledger.seize("first", "first#repair", "repair", 60)
    assert seized is not None
    assert seized == Lock("first#repair", 2)
    assert seized.superseded is not None
    assert seized.superseded.owner == "first"
    with pytest.raises(LockLostError):
        ledger.hold(first, 60)
    assert ledger.seize("first", "first#repair", "repair", 60) == seized


@pytest.mark.parametrize("before", ["free", "another's", "new"])
def test_only_the_named_holder_can_be_seized_from(ledger: Ledger, before: str) -> None:
    if before != "new":
        lock = ledger.acquire("second", "release", 60)
        if before == "free":
            ledger.release(lock)
    assert ledger.seize("first", "first#repair", "repair", 60) is None
    holder = ledger.holder()
    assert (holder.owner if holder else None) == ("second" if before == "another's" else None)


def test_environments_do_not_share_a_lock(ledger: Ledger, dynamodb: "DynamoDBClient", clock: ManualClock) -> None:
    elsewhere = Ledger(TABLE, "shop", "prod", clock=clock, client=dynamodb)
    ledger.acquire("first", "release", 60)
    assert elsewhere.holder() is None
    assert elsewhere.acquire("second", "release", 60).fence == 1


def test_an_acquisition_whose_answer_was_lost_is_found_again(
    ledger: Ledger, dynamodb: "DynamoDBClient", clock: ManualClock
) -> None:
    ledger.acquire("first", "release", 60)
    clock.advance(60)
    with once(dynamodb, "after-call.dynamodb.PutItem", die), pytest.raises(Interruption):
        ledger.acquire("second", "release", 60)
    lock = ledger.acquire("second", "release", 60)
    assert lock.fence == 2
    assert lock.superseded is not None
    assert lock.superseded.owner == "first"


def test_a_holder_that_renews_at_the_last_moment_keeps_the_lock(
    ledger: Ledger, dynamodb: "DynamoDBClient", clock: ManualClock
) -> None:
    first = ledger.acquire("first", "release", 60)
    clock.advance(60)
    with (
        once(dynamodb, "before-call.dynamodb.PutItem", lambda: ledger.hold(first, 60)),
        pytest.raises(LockHeldError, match="held by first"),
    ):
        ledger.acquire("second", "release", 60)
    ledger.hold(first, 60)


def test_of_two_at_the_same_moment_one_gets_the_lock(ledger: Ledger, dynamodb: "DynamoDBClient") -> None:
    def rival() -> None:
        ledger.acquire("second", "release", 60)

    with (
        once(dynamodb, "before-call.dynamodb.PutItem", rival),
        pytest.raises(LockHeldError, match="held by second"),
    ):
        ledger.acquire("first", "release", 60)


def test_seizing_wins_against_a_zombie_that_renews(ledger: Ledger, dynamodb: "DynamoDBClient") -> None:
    first = ledger.acquire("first", "release", 60)
    with once(dynamodb, "before-call.dynamodb.PutItem", lambda: ledger.hold(first, 600)):
        assert ledger.seize("first", "first#repair", "repair", 60) == Lock("first#repair", 2)


def test_a_lock_and_its_holder_travel_as_json(ledger: Ledger, clock: ManualClock) -> None:
    ledger.acquire("first", "release", 60)
    clock.advance(60)
    lock = ledger.acquire("second", "release", 60)
    back = Lock.from_dict(lock.as_dict())
    assert (back, back.superseded) == (lock, lock.superseded)
    assert Lock.from_dict({"owner": "second", "fence": 2}) == lock


@dataclass
class Model:
    """What must be true of the lock, whatever is done to it: kept by hand, from what the ledger answered."""

    current: Lock | None = None
    until: datetime = START
    highest: int = 0
    granted: list[Lock] = field(default_factory=list)

    def grant(self, lock: Lock, now: datetime, lease: int, *, seized_from: str | None = None) -> None:
        if lock != self.current:
            held = self.current is not None and self.until > now
            assert not held or (self.current is not None and self.current.owner == seized_from)
            assert lock.fence > self.highest, "a fence came again"
            self.granted.append(lock)
        self.current, self.highest = lock, lock.fence
        self.until = now + timedelta(seconds=lease)


OWNERS = ("a", "b", "c")
Action = tuple[str, str, int, int]
# Who acts, what, for how long a lease, and after how many seconds; a rival may act between reading and writing.
ACTIONS = st.tuples(
    st.sampled_from(OWNERS),
    st.sampled_from(("acquire", "hold", "release", "seize")),
    st.integers(1, 30),
    st.integers(0, 20),
)
PARTITIONS = count()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(ACTIONS, st.none() | ACTIONS), max_size=10))
def test_there_are_never_two_valid_holders_and_the_fence_only_grows(
    dynamodb: "DynamoDBClient", actions: list[tuple[Action, Action | None]]
) -> None:
    clock, model = ManualClock(), Model()
    ledger = Ledger(TABLE, f"shop-{next(PARTITIONS)}", ENVIRONMENT, clock=clock, client=dynamodb)
    for action, rival in actions:
        clock.advance(action[3])
        with interrupted(dynamodb, rival and partial(act, ledger, clock, model, rival)):
            act(ledger, clock, model, action)


@contextmanager
def interrupted(client: "DynamoDBClient", rival: Callable[[], None] | None) -> Iterator[None]:
    """Let `rival` act once, between what is read and what is written within; or not, if nothing is written."""
    waiting = [rival] if rival else []

    def handler(**_: object) -> None:
        if waiting:
            waiting.pop()()

    names = ("before-call.dynamodb.PutItem", "before-call.dynamodb.UpdateItem")
    for name in names:
        client.meta.events.register(name, handler)
    yield
    for name in names:
        client.meta.events.unregister(name, handler)


def act(ledger: Ledger, clock: ManualClock, model: Model, action: Action) -> None:
    owner, what, lease, _ = action
    mine = next((lock for lock in reversed(model.granted) if lock.owner == owner), None)
    if what == "acquire":
        try:
            lock = ledger.acquire(owner, "test", lease)
        except LockHeldError:
            assert model.current is not None
            assert model.current.owner != owner
            assert model.until > clock.now(), "a lock that was free was refused"
        else:
            model.grant(lock, clock.now(), lease)
    elif what == "seize":
        victim = OWNERS[(OWNERS.index(owner) + 1) % len(OWNERS)]
        seized = ledger.seize(victim, owner, "test", lease)
        if seized is not None:
            model.grant(seized, clock.now(), lease, seized_from=victim)
        else:
            assert model.current is None or model.current.owner not in (victim, owner)
    elif mine is not None and what == "hold":
        try:
            ledger.hold(mine, lease)
        except LockLostError:
            assert mine != model.current, "the valid holder was turned away"
        else:
            assert mine == model.current, "two hold the lock"
            model.until = clock.now() + timedelta(seconds=lease)
    elif mine is not None:
        assert ledger.release(mine) == (mine == model.current)
        if mine == model.current:
            model.current = None
