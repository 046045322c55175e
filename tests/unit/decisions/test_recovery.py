"""Restored data is what was backed up, or it is said what is not; RPO and RTO from what was measured."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opskit.decisions.contents import CacheContents, DatabaseContents
from opskit.decisions.recovery import (
    Check,
    Tolerance,
    check_cache,
    check_database,
    check_object,
    judge_checks,
    judge_recovery_point,
    judge_recovery_time,
)
from opskit.verdict import Outcome

from .backups import CACHE_CONTENTS, CONTENTS, HOUR, contents

PASS, FAIL, INCONCLUSIVE = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE


def failing(checks: tuple[Check, ...], outcome: Outcome = FAIL) -> list[str]:
    assert all(check.reason for check in checks)
    return [check.name for check in checks if check.outcome is outcome]


def test_a_copy_that_is_the_same_passes_every_check() -> None:
    checks = check_database(CONTENTS, None, CONTENTS)
    assert [(check.name, check.outcome) for check in checks] == [
        ("schema", PASS),
        ("rows of detections", PASS),
        ("rows of sites", PASS),
        ("checksum of sites", PASS),
    ]
    assert judge_checks(checks).outcome is PASS
    assert judge_checks(checks).reason == "all 4 checks passed"


@pytest.mark.parametrize(
    ("restored", "failed"),
    [
        (contents(schema_sha256="00"), ["schema"]),
        (contents(rows={"detections": 999, "sites": 12}), ["rows of detections"]),
        (contents(rows={"detections": 1001, "sites": 12}), ["rows of detections"]),
        (contents(rows={"sites": 12}), ["rows of detections"]),
        (contents(rows=CONTENTS.rows | {"secret": 1}), ["rows of secret"]),
        (contents(checksums={"sites": "00"}), ["checksum of sites"]),
        (contents(schema_sha256="00", rows={}, checksums={"sites": "00"}),
         ["schema", "rows of detections", "rows of sites", "checksum of sites"]),
    ],
)  # fmt: skip
def test_whatever_was_tampered_with_is_named(restored: DatabaseContents, failed: list[str]) -> None:
    checks = check_database(CONTENTS, None, restored)
    assert failing(checks) == failed
    verdict = judge_checks(checks)
    assert verdict.outcome is FAIL
    assert all(name in verdict.reason for name in failed)


def test_a_checksum_that_was_not_computed_proves_nothing() -> None:
    checks = check_database(CONTENTS, None, contents(checksums={}))
    assert failing(checks, INCONCLUSIVE) == ["checksum of sites"]
    assert judge_checks(checks).outcome is INCONCLUSIVE


AFTER = contents(rows={"detections": 1100, "sites": 12})


@pytest.mark.parametrize(("rows", "passes"), [(999, False), (1000, True), (1050, True), (1100, True), (1101, False)])
def test_a_table_that_grew_meanwhile_has_as_many_rows_as_then(rows: int, passes: bool) -> None:
    restored = contents(rows={"detections": rows, "sites": 12})
    assert failing(check_database(CONTENTS, AFTER, restored)) == ([] if passes else ["rows of detections"])


def test_a_checksum_counts_only_where_the_table_stood_still() -> None:
    moved = replace(AFTER, checksums={"sites": "52"})
    checks = check_database(CONTENTS, moved, contents(checksums={"sites": "00"}))
    assert "checksum of sites" not in [check.name for check in checks]
    assert failing(check_database(CONTENTS, AFTER, contents(checksums={"sites": "00"}))) == ["checksum of sites"]


def test_a_migration_during_the_backup_leaves_the_schema_open() -> None:
    migrated = contents(schema_sha256="5d")
    assert failing(check_database(CONTENTS, migrated, CONTENTS), INCONCLUSIVE) == ["schema"]
    assert failing(check_database(CONTENTS, migrated, contents(schema_sha256="00"))) == ["schema"]


@pytest.mark.parametrize(
    ("tolerance", "rows", "passes"),
    [
        (Tolerance(fewer=0.1), 900, True),
        (Tolerance(fewer=0.1), 899, False),
        (Tolerance(fewer=0.1), 1001, False),
        (Tolerance(more=0.1), 1100, True),
        (Tolerance(more=0.1), 1101, False),
        (Tolerance(more=None), 10**9, True),
        (Tolerance(more=None), 999, False),
    ],
)
def test_a_tolerance_is_of_one_table(tolerance: Tolerance, rows: int, passes: bool) -> None:
    restored = contents(rows={"detections": rows, "sites": 12})
    for given_as in ({"tolerances": {"detections": tolerance}}, {"default": tolerance}):
        checks = check_database(CONTENTS, None, restored, **given_as)  # type: ignore[arg-type]
        assert failing(checks) == ([] if passes else ["rows of detections"])
    checks = check_database(CONTENTS, None, restored, tolerances={"sites": tolerance})
    assert failing(checks) == ["rows of detections"]


@given(st.integers(0, 5000), st.integers(0, 5000), st.integers(0, 5000))
def test_missing_rows_are_always_found(before: int, after: int, restored: int) -> None:
    checks = check_database(
        contents(rows={"t": before}, checksums={}),
        contents(rows={"t": after}, checksums={}),
        contents(rows={"t": restored}),
    )
    assert (failing(checks) == []) is (min(before, after) <= restored <= max(before, after))


def loaded(hours: float = 0.0, **changes: Any) -> list[str]:
    """Checks that fail when the cache is looked at `hours` after the backup; by default as Redis would have it."""
    at = HOUR + timedelta(hours=hours)
    left = {key: expiry for key, expiry in CACHE_CONTENTS.expiries.items() if expiry is None or expiry > at}
    gone = len(CACHE_CONTENTS.expiries) - len(left)
    restored = CacheContents(**({"keys": 100 - 3 * gone, "expiring": 60 - 3 * gone, "expiries": left} | changes))
    return failing(check_cache(CACHE_CONTENTS, restored, loaded_at=at))


@pytest.mark.parametrize("hours", [0, 0.5, 1.5, 5.5, 10.5, 19.5, 20.5, 500])
def test_a_cache_loses_what_expires_and_nothing_else(hours: float) -> None:
    assert loaded(hours) == []
    # The 40 keys that never expire must all be there, whenever it is looked at.
    assert loaded(hours, keys=39) == ["keys"]
    assert loaded(hours, expiries={"lasting": None}) == ([] if hours >= 20 else ["sampled keys"])


def test_a_cache_that_is_not_what_it_was() -> None:
    assert loaded(keys=0, expiries={}) == ["keys", "sampled keys"]
    assert loaded(keys=101) == ["keys"]
    everything = dict(CACHE_CONTENTS.expiries)
    assert loaded(expiries=everything | {"k0": None}) == ["sampled keys"]
    assert loaded(expiries=everything | {"lasting": HOUR + timedelta(days=1)}) == ["sampled keys"]
    assert loaded(expiries=everything | {"k3": HOUR + timedelta(hours=4, seconds=3)}) == ["sampled keys"]
    assert loaded(expiries=everything | {"k3": HOUR + timedelta(hours=4, seconds=1)}) == []
    assert loaded(5.5, expiries=everything) == ["sampled keys"]  # five of them should be gone


def test_keys_of_which_none_was_sampled_prove_nothing() -> None:
    checks = check_cache(CacheContents(keys=5), CacheContents(keys=5), loaded_at=HOUR)
    assert failing(checks, INCONCLUSIVE) == ["sampled keys"]
    empty = check_cache(CacheContents(keys=0), CacheContents(keys=0), loaded_at=HOUR)
    assert judge_checks(empty).outcome is PASS


@pytest.mark.parametrize(
    ("recorded", "found", "outcome"),
    [("ab", "ab", PASS), ("ab", "ac", FAIL), ("ab", None, FAIL), (None, "ab", INCONCLUSIVE), (None, None, FAIL)],
)
def test_an_object_is_the_one_that_was_stored(recorded: str | None, found: str | None, outcome: Outcome) -> None:
    assert check_object("dump.sqlite", recorded, found).outcome is outcome


def test_nothing_checked_is_nothing_proven() -> None:
    assert judge_checks([]).outcome is INCONCLUSIVE
    mixed = [Check("a", INCONCLUSIVE, "?"), Check("b", FAIL, "!"), Check("c", PASS, ".")]
    assert judge_checks(mixed).outcome is FAIL
    assert judge_checks(mixed).facts["checks"][0] == {"name": "a", "outcome": "INCONCLUSIVE", "reason": "?"}


@pytest.mark.parametrize(
    ("source", "restored", "outcome", "seconds"),
    [
        (HOUR, HOUR, PASS, 0.0),
        (HOUR, HOUR - timedelta(seconds=299), PASS, 299.0),
        (HOUR, HOUR - timedelta(seconds=300), FAIL, 300.0),
        (HOUR, HOUR + timedelta(microseconds=1), FAIL, -1e-6),
        (HOUR, HOUR + timedelta(days=1), FAIL, -86400.0),
        (HOUR, None, FAIL, None),
        (None, HOUR, INCONCLUSIVE, None),
        (None, None, INCONCLUSIVE, None),
    ],
)
def test_what_was_lost_is_told_by_heartbeats(
    source: datetime | None, restored: datetime | None, outcome: Outcome, seconds: float | None
) -> None:
    verdict = judge_recovery_point(source, restored, target_seconds=300)
    assert (verdict.outcome, verdict.facts["seconds"]) == (outcome, seconds)


def after(seconds: float) -> datetime:
    return HOUR + timedelta(seconds=seconds)


def test_recovery_runs_from_the_declaration_to_the_first_verified_write() -> None:
    phases = [("restore", after(800)), ("warm", after(900)), ("cut over", after(950))]
    verdict = judge_recovery_time(HOUR, phases, after(960), target_seconds=1800)
    assert verdict.outcome is PASS
    assert verdict.facts == {
        "phases": {"restore": 800.0, "warm": 100.0, "cut over": 50.0, "verified": 10.0},
        "seconds": 960.0,
        "target_seconds": 1800,
    }
    assert verdict.reason == "recovered after 960 s (target: below 1800 s), most of it restore"


@pytest.mark.parametrize(
    ("phases", "verified", "outcome"),
    [
        ([("restore", after(1700))], after(1799.9), PASS),
        ([("restore", after(1700))], after(1800), FAIL),
        ([("restore", after(800))], None, FAIL),  # available, and yet nobody could use it
        ([("restore", after(-1))], after(5), FAIL),
        ([("restore", after(800)), ("warm", after(700))], after(900), FAIL),
        ([("restore", after(800))], after(700), FAIL),
        ([], after(5), PASS),
        ([], None, FAIL),
    ],
)
def test_a_recovery_that_was_not_verified_or_not_in_order_is_none(
    phases: list[tuple[str, datetime]], verified: datetime | None, outcome: Outcome
) -> None:
    assert judge_recovery_time(HOUR, phases, verified, target_seconds=1800).outcome is outcome


def test_contents_travel_as_json() -> None:
    for database in (CONTENTS, contents(heartbeat=None, checksums={})):
        assert DatabaseContents.from_dict(database.as_dict()) == database
    assert CacheContents.from_dict(CACHE_CONTENTS.as_dict()) == CACHE_CONTENTS
    with pytest.raises(KeyError):
        DatabaseContents.from_dict({})


AT = HOUR + timedelta(minutes=30)


def judged_between(restored: CacheContents, after: CacheContents) -> list[str]:
    return failing(check_cache(CACHE_CONTENTS, restored, loaded_at=AT, after=after))


def test_keys_that_moved_while_the_cache_was_backed_up_are_not_compared() -> None:
    later = HOUR + timedelta(hours=30)
    rewritten = replace(CACHE_CONTENTS, expiries=CACHE_CONTENTS.expiries | {"k3": later})
    assert judged_between(rewritten, after=rewritten) == []
    assert judged_between(CACHE_CONTENTS, after=rewritten) == []
    other = replace(CACHE_CONTENTS, expiries=CACHE_CONTENTS.expiries | {"k4": later})
    assert judged_between(other, after=rewritten) == ["sampled keys"]


def test_a_key_that_is_gone_after_counts_only_if_after_was_asked_for_it() -> None:
    left = {key: at for key, at in CACHE_CONTENTS.expiries.items() if key != "k3"}
    deleted = replace(CACHE_CONTENTS, keys=99, expiries=left)
    # The same keys were asked for.
    assert judged_between(deleted, after=deleted) == []
    # All were asked for.
    whole = CacheContents(keys=21, expiring=20, expiries=left | {"new": None})
    assert failing(check_cache(CACHE_CONTENTS, deleted, loaded_at=AT, after=replace(whole))) == []
    # Others were.
    elsewhere = replace(CACHE_CONTENTS, expiries={"x": None, "y": None})
    assert judged_between(deleted, after=elsewhere) == ["sampled keys"]


def test_a_sample_of_which_everything_moved_proves_nothing() -> None:
    gone = CacheContents(keys=0, expiring=0)
    checks = check_cache(replace(CACHE_CONTENTS, keys=21), CacheContents(keys=0), loaded_at=AT, after=gone)
    assert failing(checks, INCONCLUSIVE) == ["sampled keys"]
