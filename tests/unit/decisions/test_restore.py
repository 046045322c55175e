"""Where a restore goes back to, and what it refuses."""

from datetime import timedelta
from typing import Any

import pytest

from opskit.adapters.database_state import RestoreWindow
from opskit.decisions.manifest import Status
from opskit.decisions.restore import DatabasePoint, Wanted, choose_cache_point, choose_database_point, wanted_of
from opskit.errors import InvalidInputError

from .backups import FAILED, HOUR, manifest

NOW = HOUR + timedelta(hours=3)
WINDOW = RestoreWindow(earliest=HOUR - timedelta(days=7), latest=NOW - timedelta(minutes=4))
SET = [manifest(0), manifest(1), manifest(2, database=FAILED)]


def choose(wanted: Wanted, window: RestoreWindow | None = WINDOW, **changes: Any) -> DatabasePoint:
    point = choose_database_point(wanted, "db", window, SET, now=NOW, **changes)
    assert point.reason
    assert point.as_dict()["refused"] is point.refused
    return point


def test_a_request_names_one_point() -> None:
    assert wanted_of({}) == Wanted()
    assert wanted_of({"snapshot": "s"}) == Wanted(snapshot="s")
    assert wanted_of({"moment": "2026-11-23T10:00:00+01:00"}) == Wanted(moment=HOUR)
    assert [wanted_of(r).words for r in ({}, {"snapshot": "s"}, {"moment": "2026-11-23T09:00:00Z"})] == [
        "latest",
        "s",
        "2026-11-23T09:00:00.000000Z",
    ]
    with pytest.raises(InvalidInputError, match="exclude each other"):
        wanted_of({"snapshot": "s", "moment": "2026-11-23T09:00:00Z"})
    with pytest.raises(InvalidInputError, match="time zone"):
        wanted_of({"moment": "2026-11-23T09:00:00"})


def test_the_latest_is_the_end_of_the_log() -> None:
    point = choose(Wanted())
    assert (point.refused, point.snapshot, point.moment, point.at) == (False, None, None, WINDOW.latest)


def test_without_a_log_the_latest_is_the_last_complete_set() -> None:
    point = choose(Wanted(), None)
    assert (point.snapshot, point.manifest) == ("database-2026112310", SET[1])
    assert point.at == HOUR + timedelta(hours=1, minutes=4)
    assert point.as_dict()["manifest"] == "manifests/2026/11/23/10-run-1.json"
    nothing = choose_database_point(Wanted(), "db", None, [], now=NOW)
    assert (nothing.refused, nothing.reason) == (True, "no automated backups, so there is no manifest")


def test_a_moment_within_the_log() -> None:
    moment = WINDOW.latest - timedelta(seconds=1)
    point = choose(Wanted(moment=moment))
    assert (point.refused, point.moment, point.at) == (False, moment, moment)
    assert choose(Wanted(moment=WINDOW.earliest)).moment == WINDOW.earliest


@pytest.mark.parametrize(
    ("moment", "window", "words"),
    [
        (NOW + timedelta(seconds=1), WINDOW, "is still to come"),
        (WINDOW.latest, WINDOW, "not before the latest restorable time"),  # the API wants an earlier one
        (NOW, WINDOW, "ask again then, or for the latest"),
        (WINDOW.earliest - timedelta(seconds=1), WINDOW, "before the earliest restorable time"),
        (HOUR, None, "no automated backups"),
    ],
)
def test_a_moment_that_cannot_be_had(moment: Any, window: RestoreWindow | None, words: str) -> None:
    point = choose(Wanted(moment=moment), window)
    assert point.refused
    assert words in point.reason
    assert "instead" not in point.reason  # nothing was backed up before these


def test_a_refusal_names_what_could_be_had_instead() -> None:
    short = RestoreWindow(NOW - timedelta(minutes=30), NOW)
    for window in (short, None):
        reason = choose(Wanted(moment=HOUR + timedelta(hours=2)), window).reason
        assert reason.endswith("; instead, snapshot database-2026112310 of 2026-11-23T10:00:00.000000Z")


def test_a_snapshot_brings_its_set() -> None:
    assert choose(Wanted(snapshot="database-2026112309")).manifest == SET[0]
    assert choose(Wanted(snapshot="cache-2026112309")).snapshot == "database-2026112309"
    assert choose(Wanted(snapshot="database-2026112311")).refused
    assert choose(Wanted(snapshot="gone")).reason == "no manifest names gone"
    other = choose_database_point(Wanted(snapshot="cache-2026112309"), "other", WINDOW, SET, now=NOW)
    assert other.reason == "the manifest of 2026-11-23T09:00:00.000000Z has no verified snapshot of other"


def test_an_incomplete_set_only_where_that_is_allowed() -> None:
    wanted = Wanted(snapshot="cache-2026112311")
    assert choose(wanted).refused
    assert "has no verified snapshot of db" in choose(wanted, allow_incomplete=True).reason  # not without its database
    half = [manifest(0, cache={"status": Status.FAILED})]
    wanted = Wanted(snapshot="database-2026112309")
    assert choose_database_point(wanted, "db", WINDOW, half, now=NOW).refused
    assert not choose_database_point(wanted, "db", WINDOW, half, now=NOW, allow_incomplete=True).refused


def test_the_cache_is_never_newer_than_the_database() -> None:
    taken = HOUR + timedelta(hours=1, minutes=4)
    assert choose_cache_point(SET, "cache", at=taken).snapshot == "cache-2026112310"
    assert choose_cache_point(SET, "cache", at=taken - timedelta(seconds=1)).snapshot == "cache-2026112309"
    assert choose_cache_point(SET, "cache", at=None).snapshot == "cache-2026112311"
    too_early = choose_cache_point(SET, "cache", at=HOUR)
    assert (too_early.refused, too_early.reason) == (
        True,
        "no verified backup of cache taken at or before 2026-11-23T09:00:00.000000Z",
    )


def test_the_cache_of_a_set_is_the_set_s_own() -> None:
    point = choose_cache_point(SET, "cache", at=None, manifest=SET[0])
    assert (point.snapshot, point.as_dict()["refused"]) == ("cache-2026112309", False)
    assert point.component == SET[0].components[1]
    without = manifest(0, cache={"status": Status.SKIPPED})
    assert choose_cache_point([without], "cache", at=None, manifest=without).refused
