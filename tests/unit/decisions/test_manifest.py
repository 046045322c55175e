"""Manifests: whole or not, written in one way, read with care, and chosen for a restore."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opskit.decisions.evidence import canonical
from opskit.decisions.manifest import (
    Kind,
    Manifest,
    Status,
    choose_by_snapshot,
    choose_latest,
    parse,
)
from opskit.errors import ManifestError

from .backups import FAILED, HOUR, manifest


def test_whole_only_if_every_component_of_every_kind_was_verified() -> None:
    assert manifest().complete
    assert manifest().missing == ()
    broken = manifest(database=FAILED, cache={"status": Status.SKIPPED, "reason": "no node can be backed up"})
    assert not broken.complete
    assert broken.missing == (
        "database db: FAILED, RDS could not take it",
        "cache cache: SKIPPED, no node can be backed up",
    )
    lacking = manifest(components=manifest().components[:4])
    assert lacking.missing == ("application_data: nothing of it was backed up",)
    assert manifest(components=manifest().components[:4], required=(Kind.DATABASE,)).complete
    assert not manifest(components=()).complete


def test_a_component_that_was_not_verified_is_not_to_be_had() -> None:
    assert manifest().component(Kind.DATABASE) is not None
    assert manifest().component(Kind.DATABASE, "other") is None
    assert manifest(database=FAILED).component(Kind.DATABASE) is None


def test_is_read_as_it_was_written() -> None:
    for one in (manifest(), manifest(database=FAILED | {"id": None, "taken_at": None, "bytes": None, "sha256": None})):
        assert parse(one.to_bytes(), sha256_recorded=one.sha256) == one
        assert one.to_bytes() == canonical(json.loads(one.to_bytes()))


def test_keys_are_in_the_order_of_hours_and_take_any_name_of_an_execution() -> None:
    assert manifest().key == "manifests/2026/11/23/09-run-1.json"
    assert manifest(run="a/b+c").key == "manifests/2026/11/23/09-a%2Fb%2Bc.json"
    assert manifest(1).key > manifest().key


def edited(**changes: Any) -> bytes:
    return canonical(manifest().as_dict() | changes)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "a JSON list, not an object"),
        (edited(version=2), "has version 2; 1 is understood"),
        (b"{}", "has version None"),
        (edited(hour="nine"), "malformed"),
        (edited(hour="2026-11-23T09:00:00"), "has no time zone"),
        (edited(hour=9), "malformed"),
        (edited(components=[{"kind": "database"}]), "lacks 'resource'"),
        (edited(components=[{"kind": "tape", "resource": "x", "status": "VERIFIED"}]), "'tape' is not a valid Kind"),
        (edited(components=[1]), "malformed"),
        (edited(components=None), "malformed"),
        (edited(complete=False), "says complete: False, but its components say True"),
        (canonical(manifest(database=FAILED).as_dict() | {"complete": True}), "RDS could not take it"),
        (canonical({k: v for k, v in manifest().as_dict().items() if k != "run"}), "lacks 'run'"),
    ],
)
def test_says_what_is_wrong_with_what_is_none(content: bytes, words: str) -> None:
    with pytest.raises(ManifestError, match=words):
        parse(content)


@given(st.data())
def test_any_edit_is_found_by_the_hash_that_was_recorded(data: st.DataObject) -> None:
    content = bytearray(manifest().to_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ManifestError, match="the manifest was changed"):
        parse(bytes(content), sha256_recorded=manifest().sha256)


@given(
    st.binary() | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(lambda v: json.dumps(v).encode())
)
def test_whatever_is_read_is_a_manifest_or_a_clear_error(content: bytes) -> None:
    with pytest.raises(ManifestError):
        parse(content)


def test_the_newest_complete_one_is_chosen() -> None:
    several = [manifest(1), manifest(3, database=FAILED), manifest(2), manifest(0)]
    assert choose_latest(several).manifest == manifest(2)
    assert choose_latest(several, allow_incomplete=True).manifest == several[1]
    assert "incomplete, as was allowed: database db: FAILED" in choose_latest(several, allow_incomplete=True).reason


def test_none_that_was_finished_after_the_moment() -> None:
    several = [manifest(0), manifest(1)]
    finished = HOUR + timedelta(hours=1, minutes=10)
    assert choose_latest(several, before=finished).manifest == several[1]
    assert choose_latest(several, before=finished - timedelta(seconds=1)).manifest == several[0]
    nothing = choose_latest(several, before=HOUR)
    assert (nothing.manifest, nothing.reason) == (None, "there is no manifest at or before 2026-11-23T09:00:00.000000Z")


def test_an_incomplete_one_is_refused_with_what_it_lacks() -> None:
    nothing = manifest(components=())
    assert choose_latest([manifest(database=FAILED), nothing]).manifest is None
    refusal = choose_latest([manifest(database=FAILED)]).reason
    assert refusal == "none of 1 manifests is complete; the newest lacks database db: FAILED, RDS could not take it"
    assert choose_latest([nothing], allow_incomplete=True).manifest is None
    assert choose_latest([]).reason == "there is no manifest"


def test_a_snapshot_is_found_in_the_manifest_of_the_run_that_took_it() -> None:
    shared = {"cache": {"id": "cache-backup"}}
    several: list[Manifest] = [manifest(1, **shared), manifest(0, **shared)]
    assert choose_by_snapshot(several, "cache-backup").manifest == several[1]
    assert choose_by_snapshot(several, "database-2026112310").manifest == several[0]
    assert choose_by_snapshot(several, "x").reason == "no manifest names x"


def test_a_snapshot_that_was_not_verified_or_is_of_an_incomplete_set_is_refused() -> None:
    name = "database-2026112309"
    unverified = choose_by_snapshot([manifest(database=FAILED)], name, allow_incomplete=True)
    assert unverified.manifest is None
    assert f"{name} was never verified" in unverified.reason
    incomplete = manifest(cache={"status": Status.SKIPPED})
    assert choose_by_snapshot([incomplete], name).reason == f"{name} is of an incomplete set: cache cache: SKIPPED"
    assert choose_by_snapshot([incomplete], name, allow_incomplete=True).manifest == incomplete
    # Once more, by a run that was made again: then there is a whole set.
    again = manifest(run="run-2")
    assert choose_by_snapshot([incomplete, again], name).manifest == again
