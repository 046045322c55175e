"""What a drill has shown: one outcome of all its components."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from opskit.clock import timestamp
from opskit.decisions.drill_outcome import (
    LONGEST_REASON,
    MOST_CHECKS,
    SKIPPED,
    component_result,
    failed_result,
    judge_drill,
)
from opskit.decisions.recovery import Check
from opskit.verdict import Outcome, Verdict

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
GOOD = Check("rows of sites", Outcome.PASS, "12; 12 expected")
BAD = Check("rows of detections", Outcome.FAIL, "3; 1000 expected")
UNKNOWN = Check("schema", Outcome.INCONCLUSIVE, "the source's schema changed")


def at(seconds: float) -> str:
    return timestamp(START + timedelta(seconds=seconds))


def point(outcome: Outcome = Outcome.PASS, seconds: float | None = 60.0) -> dict[str, Any]:
    return Verdict(outcome, f"{seconds} s were lost", {"seconds": seconds}).as_dict()


def database(*checks: Check, verified: float | None = 900, **more: Any) -> dict[str, Any]:
    given = {"recovery_point": point(), "phases": [["ask", at(10)], ["restore", at(800)]]} | more
    return component_result("database", checks or (GOOD,), verified_at=at(verified) if verified else None, **given)


def cache(*checks: Check, verified: float | None = 300) -> dict[str, Any]:
    phases = [["ask", at(10)], ["restore", at(290)]]
    return component_result("cache", checks or (GOOD,), verified_at=at(verified) if verified else None, phases=phases)


OBJECTS = component_result("objects", [GOOD])
SKIPPED_CACHE = {"component": "cache", "outcome": SKIPPED, "reason": "not asked for"}


def judged(*results: dict[str, Any], target: float = 1800, **more: Any) -> Verdict:
    given = {"expected": [one["component"] for one in results if one["outcome"] != SKIPPED]} | more
    return judge_drill(results, declared_at=START, target_seconds=target, **given)


def test_all_good_passes_with_what_was_measured() -> None:
    found = judged(database(), cache(), OBJECTS)
    assert found.outcome is Outcome.PASS
    assert (found.facts["rto_seconds"], found.facts["rpo_seconds"]) == (900, 60)
    assert found.facts["recovery_time"]["facts"]["phases"] == {"ask": 10, "restore": 790, "verified": 100}
    assert found.facts["checks"] == {"passed": 3, "not_passed": []}
    assert "recovered after 900 s" in found.reason


def test_recovered_is_when_the_last_one_is() -> None:
    found = judged(database(verified=900), cache(verified=1200), OBJECTS)
    assert found.facts["rto_seconds"] == 1200
    assert found.facts["recovery_time"]["facts"]["phases"]["restore"] == 280


@pytest.mark.parametrize("check", [BAD, UNKNOWN])
def test_a_check_that_did_not_pass_fails_the_drill(check: Check) -> None:
    found = judged(database(GOOD, check), OBJECTS)
    assert found.outcome is Outcome.FAIL
    assert f"database: {check.name}: {check.reason}" in found.reason
    assert found.facts["checks"] == {"passed": 2, "not_passed": [f"{check.name}: {check.reason}"]}


@pytest.mark.parametrize("outcome", [Outcome.FAIL, Outcome.INCONCLUSIVE])
def test_so_does_a_recovery_point_that_did_not_pass(outcome: Outcome) -> None:
    result = database(recovery_point=point(outcome, None))
    assert (result["outcome"], result["reason"]) == (outcome.value, "None s were lost")
    assert judged(result, OBJECTS).outcome is Outcome.FAIL
    assert judged(result, OBJECTS).facts["rpo_seconds"] is None


def test_a_failed_check_outweighs_an_unknown_recovery_point() -> None:
    result = database(BAD, recovery_point=point(Outcome.INCONCLUSIVE, None))
    assert result["outcome"] == "FAIL"
    assert "3; 1000 expected" in result["reason"]
    assert "were lost" in result["reason"]


def test_too_slow_fails() -> None:
    found = judged(database(verified=1800), OBJECTS)
    assert found.outcome is Outcome.FAIL
    assert "target: below 1800 s" in found.reason


def test_never_verified_fails_whatever_the_other_did() -> None:
    found = judged(database(verified=None), cache(), OBJECTS)
    assert found.outcome is Outcome.FAIL
    assert "no read and write were ever verified" in found.reason
    assert found.facts["rto_seconds"] is None


def test_a_component_that_was_not_asked_for_counts_for_nothing() -> None:
    assert judged(database(), SKIPPED_CACHE, OBJECTS).outcome is Outcome.PASS


def test_objects_alone_have_no_recovery_time() -> None:
    found = judged(OBJECTS)
    assert found.outcome is Outcome.PASS
    assert (found.facts["rto_seconds"], found.facts["recovery_time"]) == (None, None)


@pytest.mark.parametrize("result", [SKIPPED_CACHE, None])
def test_what_should_have_been_looked_at_and_was_not_fails(result: dict[str, Any] | None) -> None:
    results = [database(), OBJECTS, *([result] if result else [])]
    found = judged(*results, expected=["database", "cache", "objects"])
    assert found.outcome is Outcome.FAIL
    assert "cache: it was never looked at" in found.reason


def test_a_failure_on_the_way_fails_and_is_said_first() -> None:
    found = judged(failure="BeginDrill: the lock is held", expected=["database", "objects"])
    assert (found.outcome, found.reason) == (Outcome.FAIL, "BeginDrill: the lock is held")


def test_what_was_not_torn_down_fails_a_drill_that_passed() -> None:
    found = judged(database(), OBJECTS, left=["drill-1-db"])
    assert (found.outcome, found.reason) == (Outcome.FAIL, "not torn down: drill-1-db")


def test_a_component_that_could_not_be_restored_says_why() -> None:
    result = failed_result("database", "it is restore-error", verified_at=None, phases=[["ask", at(5)]])
    assert result["outcome"] == "FAIL"
    found = judged(result, OBJECTS)
    assert "database: database: it is restore-error" in found.reason
    assert found.facts["rto_seconds"] is None


def test_many_checks_are_kept_within_bounds_the_telling_ones_first() -> None:
    passed = [Check(f"rows of t{n}", Outcome.PASS, "as recorded") for n in range(1000)]
    result = component_result("database", [*passed, BAD])
    assert len(result["checks"]) == MOST_CHECKS + 1
    assert result["checks"][0] == BAD.as_dict()
    assert result["checks"][-1] == {"name": "701 more", "outcome": "PASS", "reason": "left out for want of room"}
    wrong = [Check(f"rows of t{n}", Outcome.FAIL, "gone") for n in range(1000)]
    result = component_result("database", wrong)
    assert {check["outcome"] for check in result["checks"]} == {"FAIL"}
    assert len(result["reason"]) == LONGEST_REASON
    assert len(json.dumps(result)) < 60_000
    assert len(judged(result, OBJECTS).reason) == LONGEST_REASON
