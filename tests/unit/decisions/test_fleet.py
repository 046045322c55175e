"""Which databases and caches a run is about."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from opskit.adapters.cache_state import CacheSnapshot, CacheState
from opskit.adapters.database_state import DatabaseState
from opskit.decisions.cache_turn import Node
from opskit.decisions.fleet import Scope, database_parts, plan_caches, refuse_unknown
from opskit.decisions.manifest import Component, Kind, Status
from opskit.decisions.snapshot import snapshot_tags
from opskit.decisions.taking import Phase
from opskit.errors import InvalidInputError

from .backups import CACHE, DATABASE

HOUR = datetime(2026, 11, 23, 9, tzinfo=UTC)
SCOPE = Scope("detection-api", "dev", HOUR, "run-1", HOUR + timedelta(minutes=1))
TAGGED = {"backup": "true"}


def database(name: str = "orders", **changes: Any) -> DatabaseState:
    given = {"tags": TAGGED} | changes
    return DatabaseState(name, f"arn:{name}", "db-1", given.pop("status", "available"), DATABASE, **given)


def group(name: str = "sessions", **changes: Any) -> CacheState:
    nodes = (Node(f"{name}-001", primary=True), Node(f"{name}-002"))
    return CacheState(name, f"arn:{name}", "available", CACHE, nodes, **({"tags": TAGGED} | changes))


def backup(hours_ago: int, **changes: Any) -> CacheSnapshot:
    hour = HOUR - timedelta(hours=hours_ago)
    name = f"detection-api-dev-sessions-{hour:%Y%m%d%H}"
    tags = snapshot_tags("detection-api", "dev", "sessions", hour, "run-0")
    taken = CacheSnapshot(name, "arn", None, "sessions-002", "available", "7.1", 1, hour, tags)
    return replace(taken, **changes)


def verified(snapshot: CacheSnapshot) -> dict[str, Component]:
    return {snapshot.name: Component(Kind.CACHE, "sessions", Status.VERIFIED, id=snapshot.name)}


@pytest.mark.parametrize(
    ("tags", "meant"),
    [
        (TAGGED, True),
        ({}, False),
        ({"backup": "false"}, False),
        (TAGGED | {"Service": "detection-api", "Environment": "dev"}, True),
        (TAGGED | {"Environment": "prod"}, False),
        (TAGGED | {"Service": "billing"}, False),
        (TAGGED | {"Owner": "billing"}, True),
    ],
)
def test_what_carries_the_tag_and_is_not_another_services_is_meant(tags: dict[str, str], meant: bool) -> None:
    assert bool(database_parts([database(tags=tags)], SCOPE)) is meant


def test_a_drills_copy_is_never_backed_up() -> None:
    assert database_parts([database("drill-0123abcd-orders")], SCOPE) == []


def test_a_database_is_known_by_its_name_status_and_encryption() -> None:
    (part,) = database_parts([database(status="modifying", replica_of="primary")], SCOPE)
    assert (part.snapshot, part.status, part.replica_of, part.encrypted) == (
        "detection-api-dev-orders-2026112309",
        "modifying",
        "primary",
        True,
    )
    assert (part.phase, part.since) == (Phase.WAITING, SCOPE.now.timestamp())


def test_what_was_not_asked_for_is_skipped_so_that_the_manifest_is_not_taken_for_whole() -> None:
    scope = replace(SCOPE, resources=frozenset({"orders"}))
    parts = database_parts([database(), database("billing")], scope)
    assert {part.resource: part.phase for part in parts} == {"orders": Phase.WAITING, "billing": Phase.SKIPPED}
    caches, reused = plan_caches([group()], [backup(1)], verified(backup(1)), scope)
    assert ([part.phase for part in caches], reused) == ([Phase.SKIPPED], [])


def test_a_name_that_nothing_has_is_refused() -> None:
    parts = database_parts([database()], SCOPE)
    refuse_unknown(None, parts, [])
    refuse_unknown(frozenset({"orders"}), parts, [])
    with pytest.raises(InvalidInputError, match="is called typo"):
        refuse_unknown(frozenset({"orders", "typo"}), parts, [])


def test_a_cache_whose_turn_it_is_is_taken_from_a_replica() -> None:
    (part,), reused = plan_caches([group(), group("untagged", tags={})], [], {}, SCOPE)
    assert (part.resource, part.node, part.phase, reused) == ("sessions", "sessions-002", Phase.WAITING, [])


def test_in_between_the_verified_backup_of_the_hour_before_counts() -> None:
    parts, (component,) = plan_caches([group()], [backup(1)], verified(backup(1)), SCOPE)
    assert (parts, component.id) == ([], backup(1).name)
    assert "not due" in str(component.reason)


def test_a_backup_that_no_manifest_verifies_does_not_count() -> None:
    parts, reused = plan_caches([group()], [backup(1)], {}, SCOPE)
    assert (len(parts), reused) == (1, [])


def test_a_backup_of_another_group_does_not_count() -> None:
    foreign = backup(1, tags=snapshot_tags("detection-api", "prod", "sessions", HOUR, "r"), cluster_id="other-001")
    parts, reused = plan_caches([group()], [foreign], verified(foreign), SCOPE)
    assert (len(parts), reused) == (1, [])


def test_a_cache_that_has_used_up_its_backups_is_skipped_with_the_reason() -> None:
    taken = [backup(30 + n, cluster_id=f"sessions-00{node}", taken_at=HOUR) for n in range(20) for node in (1, 2)]
    (part,), _ = plan_caches([group()], taken, {}, SCOPE)
    assert part.phase is Phase.SKIPPED
    assert "20 of 20" in str(part.reason)


def test_in_cluster_mode_the_group_is_taken_with_all_its_shards() -> None:
    configuration = replace(CACHE, cluster_mode=True, node_groups=3)
    (part,), _ = plan_caches([replace(group(), configuration=configuration)], [], {}, SCOPE)
    assert (part.node, part.shards) == (None, 3)
