"""Each objective passes, fails and cannot be judged on its own."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from opskit.decisions.manifest import Kind
from opskit.decisions.objectives import (
    LastDrill,
    Observed,
    Reading,
    Targets,
    judge_objectives,
    last_complete,
    newest_cache_backup,
)
from opskit.verdict import Outcome

from .backups import FAILED, HOUR, component, manifest

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
TARGETS = Targets()


def ago(seconds: float) -> Reading:
    return Reading(NOW - timedelta(seconds=seconds))


GOOD = Observed(
    restorable=ago(599.9),
    heartbeat=ago(60),
    cache_snapshot=ago(7000),
    manifest=ago(3600),
    drill=LastDrill(NOW - timedelta(days=7), rto=1799.9, rpo=299.9),
)


def outcomes(observed: Observed, targets: Targets = TARGETS) -> dict[str, Outcome]:
    found = judge_objectives(observed, targets, NOW)
    assert all(verdict.reason for verdict in found.verdicts.values())
    return {name: verdict.outcome for name, verdict in found.verdicts.items()} | {"overall": found.overall.outcome}


def only(outcome: Outcome, *names: str) -> dict[str, Outcome]:
    everything = dict.fromkeys(outcomes(GOOD), Outcome.PASS)
    return everything | dict.fromkeys((*names, "overall"), outcome)


def test_all_hold() -> None:
    found = judge_objectives(GOOD, TARGETS, NOW)
    assert found.overall.outcome is Outcome.PASS
    assert found.overall.reason == "all 7 objectives hold"
    assert list(found.as_dict()["objectives"]) == [
        "restorable_lag",
        "heartbeat_age",
        "cache_snapshot_age",
        "manifest_age",
        "drill_age",
        "drill_rto",
        "drill_rpo",
    ]
    assert found.as_dict()["objectives"]["heartbeat_age"]["facts"] == {
        "target_seconds": 180,
        "seconds": 60.0,
        "at": "2026-11-23T11:59:00.000000Z",
    }


READINGS = [
    ("restorable", "restorable_lag", 600),
    ("heartbeat", "heartbeat_age", 180),
    ("cache_snapshot", "cache_snapshot_age", 10800),
    ("manifest", "manifest_age", 9000),
]


@pytest.mark.parametrize(("source", "objective", "target"), READINGS)
def test_each_reading_on_its_own(source: str, objective: str, target: float) -> None:
    stale = replace(GOOD, **{source: ago(target)})  # the bound itself is too much
    assert outcomes(stale) == only(Outcome.FAIL, objective)
    assert outcomes(replace(GOOD, **{source: ago(target - 0.001)})) == outcomes(GOOD)
    assert outcomes(replace(GOOD, **{source: Reading()})) == only(Outcome.FAIL, objective)
    unreadable = replace(GOOD, **{source: Reading(unreadable="AccessDenied")})
    assert outcomes(unreadable) == only(Outcome.INCONCLUSIVE, objective)
    assert "AccessDenied" in judge_objectives(unreadable, TARGETS, NOW).overall.reason
    assert outcomes(stale, replace(TARGETS, **{objective: target + 1})) == outcomes(GOOD)


@pytest.mark.parametrize(("source", "objective", "target"), READINGS)
def test_a_moment_of_the_future_is_a_wrong_clock(source: str, objective: str, target: float) -> None:
    assert outcomes(replace(GOOD, **{source: ago(-4)})) == outcomes(GOOD)
    assert outcomes(replace(GOOD, **{source: ago(-6)})) == only(Outcome.FAIL, objective)


@pytest.mark.parametrize(
    ("drill", "outcome", "objectives"),
    [
        (LastDrill(NOW - timedelta(days=8), 1000, 100), Outcome.FAIL, ["drill_age"]),
        (LastDrill(NOW, 1800, 100), Outcome.FAIL, ["drill_rto"]),
        (LastDrill(NOW, 1000, 300), Outcome.FAIL, ["drill_rpo"]),
        (LastDrill(NOW, 1000, -1), Outcome.FAIL, ["drill_rpo"]),
        (LastDrill(NOW, None, 100), Outcome.INCONCLUSIVE, ["drill_rto"]),
        (LastDrill(NOW, 1000, None), Outcome.INCONCLUSIVE, ["drill_rpo"]),
        (LastDrill(), Outcome.FAIL, ["drill_age", "drill_rto", "drill_rpo"]),
        (LastDrill(unreadable="Timeout"), Outcome.INCONCLUSIVE, ["drill_age", "drill_rto", "drill_rpo"]),
        (LastDrill(NOW - timedelta(days=9), 4000, 400), Outcome.FAIL, ["drill_age", "drill_rto", "drill_rpo"]),
    ],
)
def test_the_last_good_drill(drill: LastDrill, outcome: Outcome, objectives: list[str]) -> None:
    assert outcomes(replace(GOOD, drill=drill)) == only(outcome, *objectives)


def test_a_failure_outweighs_what_could_not_be_read_and_both_are_told() -> None:
    both = replace(GOOD, heartbeat=ago(1000), manifest=Reading(unreadable="Timeout"))
    found = judge_objectives(both, TARGETS, NOW)
    assert found.overall.outcome is Outcome.FAIL
    assert found.overall.facts == {"objectives": ["heartbeat_age"]}
    assert found.verdicts["manifest_age"].outcome is Outcome.INCONCLUSIVE


def test_a_target_is_above_zero() -> None:
    with pytest.raises(ValueError, match="every target is above 0"):
        Targets(rpo=0)


def test_why_there_is_nothing_is_told() -> None:
    nothing = replace(GOOD, restorable=Reading(because="no DB instance has the endpoint"))
    found = judge_objectives(nothing, TARGETS, NOW).verdicts["restorable_lag"]
    assert found.reason == "there is no latest restorable time: no DB instance has the endpoint"


def everything(_: str) -> bool:
    return True


def test_the_last_complete_manifest_counts_from_its_end() -> None:
    incomplete = manifest(2, terraform_state=FAILED)
    older, oldest = manifest(1), manifest(0)
    assert last_complete([incomplete, older, oldest]) == Reading(older.finished_at)
    found = last_complete([incomplete, manifest(1, cache=FAILED)])
    assert found.at is None
    assert found.because == (
        "none of the last 2 is; the newest lacks terraform_state all: FAILED, RDS could not take it"
    )
    assert last_complete([]) == Reading(because="no run has left one")


def test_the_newest_verified_backup_of_the_cache_counts_wherever_it_is_named() -> None:
    taken = HOUR + timedelta(minutes=4)
    failed, good = manifest(2, cache=FAILED), manifest(0)
    assert newest_cache_backup([failed, good], everything) == Reading(taken)
    # A backup of the hour before, named again by the next run, is as old as it is.
    again = manifest(1, cache={"id": "cache-2026112309", "taken_at": taken})
    assert newest_cache_backup([again, good], everything) == Reading(taken)


def test_a_backup_of_the_cache_that_is_gone_does_not_count() -> None:
    newer, older = manifest(1), manifest(0)
    there = {"cache-2026112309"}
    assert newest_cache_backup([newer, older], there.__contains__) == Reading(HOUR + timedelta(minutes=4))
    assert newest_cache_backup([newer], there.__contains__) == Reading(
        because="none of cache in the last 1 manifests is verified and there"
    )


def test_of_several_caches_that_the_newest_manifest_names_the_worst_off_counts() -> None:
    two = manifest(1)
    other = replace(component(Kind.CACHE), resource="other", id="other-1", taken_at=HOUR - timedelta(hours=1))
    two = replace(two, components=(*two.components, other))
    assert newest_cache_backup([two], everything) == Reading(HOUR - timedelta(hours=1))
    # One that was replaced since is in older manifests only.
    assert newest_cache_backup([manifest(2), two], everything) == Reading(HOUR + timedelta(hours=2, minutes=4))


def test_without_a_cache_or_a_manifest_there_is_no_backup() -> None:
    assert newest_cache_backup([], everything).because == "there is no manifest"
    bare = replace(manifest(), components=())
    assert newest_cache_backup([bare], everything).because == "the newest manifest names no cache"
