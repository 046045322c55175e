"""What one run leaves to the next about the snapshots that are there."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from opskit.adapters.cache_state import CacheSnapshot
from opskit.adapters.database_state import DatabaseSnapshot
from opskit.decisions.holdings import FEW, Holdings, database_holdings, failed_remains, held_caches, held_database
from opskit.decisions.retention import Held, State
from opskit.decisions.snapshot import snapshot_tags

NOW = datetime(2026, 11, 23, 9, 5, tzinfo=UTC)
HOUR = NOW.replace(minute=0)
TAGS = snapshot_tags("detection-api", "dev", "orders", HOUR, "run-1")


def snapshot(name: str = "s", **changes: Any) -> DatabaseSnapshot:
    return replace(DatabaseSnapshot(name, "arn", "orders", "available", 100, 20, True, "16", NOW, TAGS), **changes)


def held(number: int, state: State = State.VERIFIED) -> Held:
    hour = HOUR - timedelta(hours=number)
    return Held(f"orders-{hour:%Y%m%d%H}", "orders", hour, state)


def test_holdings_survive_their_travels() -> None:
    known = Holdings(NOW, tuple(held(n, state) for n, state in enumerate(State)), others=3)
    assert Holdings.from_dict(json.loads(json.dumps(known.as_dict()))) == known


@pytest.mark.parametrize(
    ("count", "age", "enough"),
    [(FEW + 1, 1, True), (FEW, 1, False), (FEW + 1, 24, False), (0, 0, False)],
)
def test_few_or_old_ones_are_listed_again(count: int, age: float, enough: bool) -> None:
    known = Holdings(NOW - timedelta(hours=age), tuple(held(n) for n in range(count)))
    assert known.enough(NOW) is enough


def test_a_run_adds_what_it_took_and_takes_off_what_is_gone() -> None:
    known = Holdings(NOW, (held(2), held(3)), others=1)
    later = known.after([held(0), held(2, State.UNVERIFIED)], [held(3).name, "never there"])
    assert set(later.held) == {held(0), held(2, State.UNVERIFIED)}
    assert (later.listed_at, later.others) == (NOW, 1)


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, State.VERIFIED),
        ({"status": "failed"}, State.UNVERIFIED),
        ({"status": "creating", "percent": 10}, State.IN_PROGRESS),
        ({"status": "copying"}, State.IN_PROGRESS),
    ],
)
def test_a_listed_snapshot_is_as_good_as_its_status(changes: dict[str, Any], state: State) -> None:
    found = held_database(snapshot(**changes), "detection-api", "dev")
    assert found == Held("s", "orders", HOUR, state)


def test_what_our_tags_are_not_on_is_only_counted() -> None:
    listed = [snapshot("a"), snapshot("b", tags={}), snapshot("c", tags=TAGS | {"ops:environment": "prod"})]
    found = database_holdings(listed, "detection-api", "dev", NOW)
    assert ([one.name for one in found.held], found.others) == (["a"], 2)


def test_cache_snapshots_are_held_by_their_tags() -> None:
    one = CacheSnapshot("a", "arn", None, "orders-001", "restoring", "7", 1, NOW, TAGS)
    listed = [one, replace(one, name="b", tags={}), replace(one, name="c", status="failed")]
    assert [(h.name, h.state) for h in held_caches(listed, "detection-api", "dev")] == [
        ("a", State.IN_PROGRESS),
        ("c", State.UNVERIFIED),
    ]


def test_only_failed_ones_of_ours_under_the_names_that_are_needed_are_in_the_way() -> None:
    listed = [
        snapshot("a", status="failed"),
        snapshot("b"),
        snapshot("c", status="failed", tags={}),
        snapshot("d", status="failed"),
    ]
    assert failed_remains(listed, ["a", "b", "c"], "detection-api", "dev") == ("a",)
