"""Each objective passes, fails and cannot be judged on its own."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from opskit.decisions.objectives import LastDrill, Observed, Reading, Targets, judge_objectives
from opskit.verdict import Outcome

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
