"""Backups of a cache stay within ElastiCache's 20 a node and day, and none is forgotten."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from opskit.decisions.cache_turn import BACKUPS_PER_NODE, WINDOW, Backup, Node, Turn, plan_cache_turn

HOUR = datetime(2026, 11, 23, 10, tzinfo=UTC)
NODES = (Node("c-001", primary=True), Node("c-002"), Node("c-003"))
ONE = (Node("c-001", primary=True),)


def backup(hours_ago: int, node: str | None = "c-002", *, verified: bool = True) -> Backup:
    hour = HOUR - timedelta(hours=hours_ago)
    return Backup(f"b-{hours_ago}", node, hour + timedelta(minutes=3), hour if verified else None)


def turn(
    *backups: Backup, nodes: tuple[Node, ...] = NODES, cluster_mode: bool = False, every: int = 2
) -> tuple[str, ...]:
    plan = plan_cache_turn(
        HOUR, HOUR + timedelta(minutes=1), nodes, backups, cluster_mode=cluster_mode, every_hours=every
    )
    assert plan.reason
    assert plan.as_dict()["decision"] == plan.decision.value
    return (plan.decision.value, str(plan.node or plan.backup))


def test_every_second_hour_one_is_taken_and_in_between_the_last_one_counts() -> None:
    assert turn()[0] == "TAKE"
    assert turn(backup(1)) == ("REUSE", "b-1")
    assert turn(backup(2))[0] == "TAKE"
    assert turn(backup(3), backup(1)) == ("REUSE", "b-1")
    assert turn(backup(2), every=3) == ("REUSE", "b-2")


def test_one_that_failed_is_made_up_for_in_the_next_hour() -> None:
    assert turn(backup(1, verified=False), backup(3))[0] == "TAKE"


def test_a_second_delivery_takes_what_the_first_did() -> None:
    assert turn(backup(0), backup(1))[0] == "TAKE"


def test_replicas_take_turns_and_the_primary_is_spared() -> None:
    taken = [
        plan_cache_turn(HOUR + timedelta(hours=n), HOUR + timedelta(hours=n), NODES, []).node for n in range(0, 8, 2)
    ]
    assert sorted(set(map(str, taken))) == ["c-002", "c-003"]
    assert taken[:2] == taken[2:]


def test_a_node_that_cannot_is_passed_over() -> None:
    busy = (Node("c-001", primary=True), Node("c-002", available=False), Node("c-003"))
    assert turn(nodes=busy) == ("TAKE", "c-003")
    full = [backup(2, "c-003") for _ in range(BACKUPS_PER_NODE)]
    assert turn(*full, nodes=busy) == ("TAKE", "c-001")


def test_where_no_node_can_it_is_skipped_with_the_reason() -> None:
    full = [backup(2, "c-001") for _ in range(BACKUPS_PER_NODE)]
    plan = plan_cache_turn(HOUR, HOUR, ONE, full)
    assert (plan.decision, plan.reason) == (
        Turn.SKIP,
        "no node can be backed up: c-001 has had 20 of 20 in 24 hours",
    )
    assert plan_cache_turn(HOUR, HOUR, (), []).reason == "no node can be backed up: the cache has none"


def test_only_the_last_24_hours_count() -> None:
    old = [backup(25, "c-001") for _ in range(BACKUPS_PER_NODE)]
    assert turn(*old, nodes=ONE) == ("TAKE", "c-001")


def test_in_cluster_mode_the_whole_group_is_taken_and_every_node_counts() -> None:
    assert turn(nodes=NODES, cluster_mode=True) == ("TAKE", "None")
    groups = [backup(2, None) for _ in range(19)]
    assert turn(*groups, cluster_mode=True)[0] == "TAKE"
    assert turn(*groups, backup(2, "c-003"), cluster_mode=True)[0] == "SKIP"


@pytest.mark.parametrize("nodes", [ONE, NODES[:2], NODES], ids=["one", "two", "three"])
@pytest.mark.parametrize("every", [1, 2])
def test_thirty_days_stay_within_what_elasticache_allows(nodes: tuple[Node, ...], every: int) -> None:
    chance = random.Random(len(nodes) + every)  # noqa: S311 - the same luck in every run
    backups: list[Backup] = []
    oldest = timedelta(0)
    for number in range(30 * 24):
        hour = HOUR + timedelta(hours=number)
        now = hour + timedelta(minutes=5)
        plan = plan_cache_turn(hour, now, nodes, backups, every_hours=every)
        if plan.decision is Turn.TAKE:
            verified = chance.random() > 0.1
            backups.append(Backup(f"b{number}", plan.node, now, hour if verified else None))
        for node in nodes:
            used = [one for one in backups if one.cluster_id == node.cluster_id and one.taken_at > now - WINDOW]
            assert len(used) <= BACKUPS_PER_NODE
        newest = max((one.hour for one in backups if one.hour), default=hour)
        oldest = max(oldest, hour - newest)
        backups = [one for one in backups if one.taken_at > now - WINDOW]
    # Every hour of a single node is more than is allowed: then some hours are skipped, and none of the others is.
    assert oldest <= timedelta(hours=8 if every == 1 and len(nodes) == 1 else 5)
