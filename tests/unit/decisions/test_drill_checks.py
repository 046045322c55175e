"""What is in a drill's copies, against the manifest and the source at the cut."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

from opskit.clock import timestamp
from opskit.decisions.contents import CacheContents, DatabaseContents
from opskit.decisions.drill_checks import (
    MOST_CARRIED_BYTES,
    carried,
    check_restored_cache,
    check_restored_database,
    judge_lost_data,
)
from opskit.decisions.manifest import Component, Kind
from opskit.decisions.recovery import judge_checks
from opskit.verdict import Outcome
from tests.unit.decisions.backups import CACHE_CONTENTS, CONTENTS, HOUR, component, contents

BEFORE = contents()
AFTER = contents(rows={"detections": 1100, "sites": 12})


def recorded(**changes: Any) -> Component:
    sides = {"before": BEFORE.as_dict(), "after": AFTER.as_dict()} | changes
    return component(Kind.DATABASE, contents=sides)


def cut(found: DatabaseContents | None, problem: str | None = None) -> dict[str, Any]:
    heartbeat = found.heartbeat if found else None
    return {
        "heartbeat": timestamp(heartbeat) if heartbeat else None,
        "contents": found.as_dict() if found else None,
        "problem": problem,
    }


def outcome(method: str, source: dict[str, Any], found: DatabaseContents, **more: Any) -> Outcome:
    return judge_checks(check_restored_database(method, recorded(), source, found, **more)).outcome


def rows(detections: int) -> DatabaseContents:
    return contents(rows={"detections": detections, "sites": 12})


def test_a_snapshot_lies_between_the_two_captures_around_it() -> None:
    nothing = cut(None)
    assert outcome("snapshot", nothing, rows(1050)) is Outcome.PASS
    assert outcome("snapshot", nothing, rows(999)) is Outcome.FAIL
    assert outcome("snapshot", nothing, rows(1101)) is Outcome.FAIL


def test_the_log_s_end_lies_between_the_last_capture_and_the_source_at_the_cut() -> None:
    source = cut(rows(2000))
    assert outcome("latest", source, rows(1100)) is Outcome.PASS
    assert outcome("latest", source, rows(2000)) is Outcome.PASS
    assert outcome("latest", source, rows(1099)) is Outcome.FAIL
    assert outcome("latest", source, rows(2001)) is Outcome.FAIL


def test_without_the_source_nothing_bounds_growth_and_that_is_not_a_pass() -> None:
    source = cut(None, "the source does not answer")
    assert outcome("latest", source, rows(5000)) is Outcome.INCONCLUSIVE
    assert outcome("latest", source, rows(1099)) is Outcome.FAIL


def test_without_a_second_capture_the_first_one_counts() -> None:
    one = recorded(after=None)
    found = check_restored_database("latest", one, cut(rows(1200)), rows(1000))
    assert judge_checks(found).outcome is Outcome.PASS


def test_a_tolerance_that_was_asked_for_is_given() -> None:
    source = cut(rows(2000))
    assert outcome("latest", source, rows(1090), tolerances={"detections": {"fewer": 0.01}}) is Outcome.PASS
    assert outcome("latest", source, rows(9000), tolerances={"detections": {"more": None}}) is Outcome.PASS


def test_a_table_that_stood_still_is_compared_by_its_rows() -> None:
    changed = replace(rows(1500), checksums={"sites": "other"})
    assert outcome("latest", cut(rows(2000)), changed) is Outcome.FAIL
    # It moved at the source meanwhile, so either may be in the copy.
    moved = replace(rows(2000), checksums={"sites": "later"})
    assert outcome("latest", cut(moved), changed) is Outcome.PASS


def test_lost_data_is_between_the_heartbeats() -> None:
    source = cut(contents(heartbeat=HOUR + timedelta(seconds=120)))
    found = judge_lost_data(source, CONTENTS, target_seconds=300)
    assert (found.outcome, found.facts["seconds"]) == (Outcome.PASS, 120)
    assert judge_lost_data(source, CONTENTS, target_seconds=120).outcome is Outcome.FAIL
    assert judge_lost_data(cut(None, "no"), CONTENTS, target_seconds=300).outcome is Outcome.INCONCLUSIVE
    assert judge_lost_data(source, contents(heartbeat=None), target_seconds=300).outcome is Outcome.FAIL


def test_what_a_state_carries_of_a_schema_of_any_size() -> None:
    def schema(tables: int) -> DatabaseContents:
        names = [f"public.table_number_{n}" for n in range(tables)]
        return contents(rows=dict.fromkeys(names, 10**6), checksums=dict.fromkeys(names, "ab" * 32))

    assert carried(schema(100)) == schema(100).as_dict()
    many = carried(schema(2000))
    assert many is not None
    assert (len(many["rows"]), many["checksums"]) == (2000, {})
    assert len(json.dumps(many)) < MOST_CARRIED_BYTES
    assert carried(schema(20_000)) is None


LOADED = HOUR + timedelta(minutes=30)  # before the first of them expires


def cache_outcome(found: CacheContents, after: CacheContents | None = None, **more: Any) -> Outcome:
    sides = {"before": CACHE_CONTENTS.as_dict()} | ({"after": after.as_dict()} if after else {})
    checks = check_restored_cache(component(Kind.CACHE, contents=sides), found, loaded_at=LOADED, **more)
    return judge_checks(checks).outcome


def test_a_cache_is_compared_with_the_captures_around_its_backup() -> None:
    assert cache_outcome(CACHE_CONTENTS) is Outcome.PASS
    fewer = replace(CACHE_CONTENTS, keys=90)
    assert cache_outcome(fewer) is Outcome.FAIL
    assert cache_outcome(fewer, after=fewer) is Outcome.PASS
    more = replace(CACHE_CONTENTS, keys=130)
    assert cache_outcome(more) is Outcome.FAIL
    assert cache_outcome(more, after=more) is Outcome.PASS


def test_a_part_of_the_keys_may_differ_where_that_was_asked_for() -> None:
    found = replace(CACHE_CONTENTS, keys=95, expiries={k: v for k, v in CACHE_CONTENTS.expiries.items() if k != "k3"})
    assert cache_outcome(found) is Outcome.FAIL
    assert cache_outcome(found, tolerances={"cache": {"fewer": 0.1}}) is Outcome.PASS
    assert cache_outcome(found, tolerances={"cache": {"fewer": 0.01}}) is Outcome.FAIL
