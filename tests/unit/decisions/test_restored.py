from dataclasses import replace
from datetime import timedelta

import pytest

from opskit.adapters.probe import ProbeResult
from opskit.decisions.contents import CacheContents
from opskit.decisions.recovery import Check
from opskit.decisions.restored import (
    check_restored_cache,
    check_restored_database,
    judge_restored,
    judge_service,
)
from opskit.verdict import Outcome
from tests.unit.decisions.backups import CACHE_CONTENTS, CONTENTS, HOUR

RECORDED = {"before": CONTENTS.as_dict(), "after": CONTENTS.as_dict()}
AT = HOUR + timedelta(seconds=30)


def outcomes(restored, recorded=RECORDED, *, exact=True, at=AT):
    checks = check_restored_database(restored, recorded, exact=exact, at=at, begun_at=AT)
    return {check.name: check.outcome for check in checks}


def test_a_set_must_come_back_as_it_was_recorded():
    assert set(outcomes(CONTENTS).values()) == {Outcome.PASS}
    less = outcomes(replace(CONTENTS, rows={"detections": 999, "sites": 12}))
    assert less["rows of detections"] is Outcome.FAIL


def test_another_moment_than_the_backups_may_hold_more_or_less_which_is_told():
    found = outcomes(replace(CONTENTS, rows={"detections": 999}, schema_sha256="other"), exact=False)
    assert found["rows of detections"] is Outcome.INCONCLUSIVE
    assert found["rows of sites"] is Outcome.INCONCLUSIVE
    assert found["schema"] is Outcome.INCONCLUSIVE
    assert Outcome.FAIL not in found.values()


def test_data_from_after_the_moment_is_not_the_moment_that_was_asked_for():
    late = replace(CONTENTS, heartbeat=AT + timedelta(seconds=1))
    assert outcomes(late, exact=False)["heartbeat"] is Outcome.FAIL
    assert outcomes(late, exact=True)["heartbeat"] is Outcome.PASS


def test_a_heartbeat_that_is_missing_or_old_is_told():
    assert outcomes(replace(CONTENTS, heartbeat=None))["heartbeat"] is Outcome.INCONCLUSIVE
    assert outcomes(CONTENTS, at=HOUR + timedelta(hours=1))["heartbeat"] is Outcome.INCONCLUSIVE


def test_without_a_manifest_there_is_nothing_to_compare_with():
    assert outcomes(CONTENTS, {})["contents"] is Outcome.INCONCLUSIVE


def test_a_cache_may_lack_what_is_computed_again_but_not_most_of_it():
    recorded = {"before": CACHE_CONTENTS.as_dict()}
    few = CacheContents(keys=70, expiring=30)
    some = check_restored_cache(few, recorded, loaded_at=HOUR)
    assert [check.outcome for check in some] == [Outcome.PASS, Outcome.INCONCLUSIVE]
    none = check_restored_cache(CacheContents(keys=0), recorded, loaded_at=HOUR)
    assert none[0].outcome is Outcome.FAIL
    assert check_restored_cache(few, {}, loaded_at=HOUR)[0].outcome is Outcome.INCONCLUSIVE


def test_what_could_not_be_compared_does_not_stop_a_recovery_and_is_told():
    unsure = Check("contents", Outcome.INCONCLUSIVE, "nobody knows")
    verdict = judge_restored([Check("write", Outcome.PASS, "done"), unsure])
    assert verdict.outcome is Outcome.PASS
    assert "nobody knows" in verdict.reason
    assert judge_restored([unsure, Check("write", Outcome.FAIL, "refused")]).outcome is Outcome.FAIL


GOOD = ProbeResult(200, 0.1, {"ready": True, "database": "new:5432", "cache": True})
STORED = ProbeResult(201, 0.1, {})
ENDPOINTS = {"database": "new:5432", "cache_endpoint": "new:6379"}


def service(*readiness, written=STORED, read=GOOD, late=False, endpoints=ENDPOINTS):
    return judge_service(readiness, written, read, endpoints=endpoints, out_of_time=late)


def test_the_service_works_when_every_answer_agrees_and_a_write_is_stored():
    assert service(GOOD, GOOD).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"readiness": [GOOD, replace(GOOD, body_json={"database": "old:5432"})]}, "uses database 'old:5432'"),
        ({"readiness": [replace(GOOD, body_json=GOOD.body_json | {"cache_endpoint": "old:6379"})]}, "cache_endpoint"),
        ({"readiness": [replace(GOOD, status=503)]}, "not ready"),
        ({"readiness": [ProbeResult(None, 0, error="refused")]}, "refused"),
        ({"readiness": []}, "not asked"),
        ({"readiness": [GOOD], "written": replace(STORED, status=202)}, "did not store"),
        ({"readiness": [GOOD], "written": None}, "did not store"),
        ({"readiness": [GOOD], "read": replace(GOOD, status=500)}, "does not read"),
    ],
)
def test_anything_else_is_waited_for_until_the_time_is_out(arguments, words):
    readiness = arguments.pop("readiness")
    verdict = service(*readiness, **arguments)
    assert (verdict.outcome, words in verdict.reason) == (Outcome.WAIT, True), verdict.reason
    assert service(*readiness, late=True, **arguments).outcome is Outcome.FAIL


def test_a_service_that_does_not_say_which_cache_it_uses_is_judged_by_what_it_does():
    assert service(GOOD, endpoints={"cache_endpoint": "new:6379"}).outcome is Outcome.PASS
