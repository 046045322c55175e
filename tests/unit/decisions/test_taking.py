"""One resource's snapshot, from look to look."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from opskit.adapters.cache_state import CacheSnapshot
from opskit.adapters.database_state import DatabaseSnapshot
from opskit.decisions.manifest import Kind, Status
from opskit.decisions.taking import (
    GIB,
    Limits,
    Part,
    Phase,
    judge_cache_snapshot,
    judge_database_snapshot,
    judge_export,
    judge_waiting,
    put_off,
)

NOW = datetime(2026, 11, 23, 9, 5, tzinfo=UTC)
LIMITS = Limits(source=600, snapshot=1800)


def part(kind: Kind = Kind.DATABASE, ago: float = 0, **changes: Any) -> Part:
    since = (NOW - timedelta(seconds=ago)).timestamp()
    return replace(Part(kind, "orders", "dev-orders-2026112309", since=since), **changes)


def taken(ago: float = 60, **changes: Any) -> Part:
    return part(ago=ago, phase=Phase.TAKEN, **changes)


def snapshot(**changes: Any) -> DatabaseSnapshot:
    whole = DatabaseSnapshot(
        name="dev-orders-2026112309",
        arn="arn",
        database="orders",
        status="available",
        percent=100,
        allocated_gib=20,
        encrypted=True,
        engine_version="16.4",
        taken_at=NOW,
    )
    return replace(whole, **changes)


def cached(**changes: Any) -> CacheSnapshot:
    whole = CacheSnapshot("dev-orders-2026112309", "arn", None, "orders-002", "available", "7.1", 4096, NOW)
    return replace(whole, **changes)


@pytest.mark.parametrize(
    "one",
    [
        part(),
        part(Kind.CACHE, phase=Phase.EXPORTED, taken_at=NOW, exports=({"key": "a.rdb", "bytes": 3},), node="n-1"),
        part(phase=Phase.FAILED, reason="no", encrypted=True, replica_of="x", status="modifying", bytes=7, shards=3),
    ],
)
def test_a_part_survives_its_travels(one: Part) -> None:
    assert Part.from_dict(json.loads(json.dumps(one.as_dict()))) == one


def test_what_is_as_by_default_does_not_travel() -> None:
    assert set(part().as_dict()) == {"kind", "resource", "snapshot", "since"}


@pytest.mark.parametrize(
    ("changes", "ago", "phase", "ready"),
    [
        ({}, 0, Phase.WAITING, True),
        ({"status": "storage-optimization"}, 0, Phase.WAITING, True),
        ({"status": "modifying"}, 599, Phase.WAITING, False),
        ({"status": "modifying"}, 600, Phase.SKIPPED, False),
        ({"status": "stopped"}, 0, Phase.SKIPPED, False),
        ({"replica_of": "primary"}, 0, Phase.SKIPPED, False),
        ({"kind": Kind.CACHE, "status": "snapshotting"}, 5, Phase.WAITING, False),
        ({"kind": Kind.CACHE, "status": "deleting"}, 5, Phase.SKIPPED, False),
    ],
)
def test_a_source_that_is_not_available_is_waited_for_then_skipped_with_the_reason(
    changes: dict[str, Any], ago: float, phase: Phase, ready: bool
) -> None:
    found, may = judge_waiting(part(ago=ago, **changes), NOW, LIMITS)
    assert (found.phase, may) == (phase, ready)
    assert found.reason
    assert found.since == (NOW.timestamp() if phase is Phase.SKIPPED else part(ago=ago).since)


def test_what_is_refused_for_now_is_tried_until_the_sources_time_is_over() -> None:
    assert put_off(part(ago=599), "Throttling", NOW, LIMITS).phase is Phase.WAITING
    over = put_off(part(ago=600), "Throttling", NOW, LIMITS)
    assert (over.phase, over.reason) == (Phase.FAILED, "refused for 600 s: Throttling")


def test_a_database_snapshot_is_verified_once_it_is_whole() -> None:
    done = judge_database_snapshot(taken(encrypted=True), snapshot(), NOW, LIMITS)
    assert (done.phase, done.reason, done.taken_at, done.bytes) == (Phase.VERIFIED, None, NOW, 20 * GIB)
    component = done.component()
    assert (component.status, component.id, component.bytes) == (Status.VERIFIED, done.snapshot, 20 * GIB)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"database": "other"}, "it is of other"),
        ({"encrypted": False}, "it is not encrypted, and its source is"),
        ({"allocated_gib": 0}, "it has no size"),
        ({"taken_at": None}, "it has no moment"),
        ({"status": "failed"}, "RDS could not take it"),
        ({"status": "deleting"}, "it is being deleted"),
    ],
)
def test_a_database_snapshot_in_doubt_failed(changes: dict[str, Any], why: str) -> None:
    done = judge_database_snapshot(taken(encrypted=True), snapshot(**changes), NOW, LIMITS)
    assert done.phase is Phase.FAILED
    assert why in str(done.reason)
    assert done.component().status is Status.FAILED


def test_an_unencrypted_database_has_unencrypted_snapshots() -> None:
    assert judge_database_snapshot(taken(), snapshot(encrypted=False), NOW, LIMITS).phase is Phase.VERIFIED


@pytest.mark.parametrize(
    ("ago", "found", "phase"),
    [
        (60, snapshot(status="creating", percent=40), Phase.TAKEN),
        (1800, snapshot(status="creating", percent=40), Phase.FAILED),
        (30, None, Phase.TAKEN),
        (61, None, Phase.FAILED),
    ],
)
def test_a_snapshot_is_waited_for_but_not_for_ever(ago: float, found: DatabaseSnapshot | None, phase: Phase) -> None:
    assert judge_database_snapshot(taken(ago), found, NOW, LIMITS).phase is phase


def test_a_cache_snapshot_is_exported_once_it_is_available() -> None:
    waiting = taken(kind=Kind.CACHE)
    assert judge_cache_snapshot(waiting, cached(status="creating"), NOW, LIMITS).phase is Phase.TAKEN
    assert judge_cache_snapshot(waiting, cached(status="failed"), NOW, LIMITS).phase is Phase.FAILED
    assert judge_cache_snapshot(waiting, None, NOW, LIMITS).phase is Phase.TAKEN
    ready = judge_cache_snapshot(waiting, cached(), NOW, LIMITS)
    assert (ready.phase, ready.taken_at, ready.bytes) == (Phase.EXPORTING, NOW, 4096)


def test_an_export_is_done_when_every_shard_is_there_and_none_is_written() -> None:
    one = part(Kind.CACHE, ago=10, phase=Phase.EXPORTING, shards=2)
    objects = [{"key": "a-0001.rdb", "bytes": 1}, {"key": "a-0002.rdb", "bytes": 1}]
    assert judge_export(one, "copying", objects, NOW, LIMITS) == one
    assert judge_export(one, "available", objects[:1], NOW, LIMITS) == one
    done = judge_export(one, "available", objects, NOW, LIMITS)
    assert (done.phase, done.exports) == (Phase.EXPORTED, tuple(objects))
    late = judge_export(part(Kind.CACHE, ago=1800, phase=Phase.EXPORTING, shards=2), "copying", [], NOW, LIMITS)
    assert late.phase is Phase.FAILED


def test_what_is_pending_at_the_end_counts_as_failed_and_what_was_skipped_has_no_snapshot() -> None:
    left = taken().component()
    assert (left.status, left.reason) == (Status.FAILED, "it was still TAKEN at the end")
    skipped = part(phase=Phase.SKIPPED, reason="stopped").component()
    assert (skipped.status, skipped.id, skipped.reason) == (Status.SKIPPED, None, "stopped")


def test_the_checksum_of_a_cache_is_that_of_its_only_export() -> None:
    exports = tuple({"key": f"{n}", "bytes": 1, "sha256": f"{n}" * 64} for n in (1, 2))
    done = part(Kind.CACHE, phase=Phase.VERIFIED, exports=exports[:1]).component()
    assert (done.sha256, done.contents) == ("1" * 64, {"exports": [exports[0]]})
    assert part(Kind.CACHE, phase=Phase.VERIFIED, exports=exports).component().sha256 is None
