"""What was restored is read, compared, and written to; on a second attempt too."""

from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from functions.restore import verify_restore
from opskit.adapters.manifests import Manifests
from opskit.clock import timestamp
from opskit.decisions.contents import CacheContents
from opskit.decisions.manifest import Kind
from opskit.errors import DatabaseError, UnavailableError
from tests.unit.decisions.backups import CACHE_CONTENTS, CONTENTS, HOUR, component, manifest
from tests.unit.functions.conftest import START

RECORDED = replace(
    manifest(),
    components=(
        component(Kind.DATABASE, contents={"before": CONTENTS.as_dict(), "after": CONTENTS.as_dict()}),
        component(Kind.CACHE, contents={"before": CACHE_CONTENTS.as_dict()}),
    ),
)
LOOKS = {
    "database": {"name": "db-new", "endpoint": "db-new:5432"},
    "cache": {"name": "cache-new", "endpoint": "cache-new:6379"},
}


@pytest.fixture
def data(monkeypatch):
    """What the databases at each host hold, and what was done there."""
    seen = {
        "heartbeats": {"db": HOUR + timedelta(seconds=50), "db-new": CONTENTS.heartbeat},
        "contents": CONTENTS,
        "written": [],
    }

    @contextmanager
    def connect(host, port, *, database, user, authorities, **_):
        if host not in seen["heartbeats"]:
            raise UnavailableError(f"{host} is gone")
        yield host, user

    @contextmanager
    def open_cache(host, port, **_):
        yield host

    def read_contents(session):
        if isinstance(seen["contents"], Exception):
            raise seen["contents"]
        return seen["contents"]

    def write(session):
        seen["written"].append(session)
        seen["heartbeats"]["db-new"] = START + timedelta(hours=1)

    monkeypatch.setattr(verify_restore, "read_authorities", lambda _: "pem")
    monkeypatch.setattr(verify_restore, "connect", connect)
    monkeypatch.setattr(verify_restore, "newest_heartbeat", lambda session, until=None: seen["heartbeats"][session[0]])
    monkeypatch.setattr(verify_restore, "read_contents", read_contents)
    monkeypatch.setattr(verify_restore, "verify_read_write", write)
    monkeypatch.setattr(verify_restore, "open_cache", open_cache)
    monkeypatch.setattr(verify_restore, "read_cache_contents", lambda *_, **__: CacheContents(CACHE_CONTENTS.keys))
    monkeypatch.setattr(
        verify_restore, "read_expiries", lambda _, keys: {key: CACHE_CONTENTS.expiries[key] for key in keys}
    )
    monkeypatch.setattr(verify_restore, "verify_write", seen["written"].append)
    monkeypatch.setattr(Manifests, "read", lambda *_, **__: RECORDED)
    return seen


@pytest.fixture
def compared(plan):
    """Both are compared with a set."""
    for kind, part in plan["parts"].items():
        part.update(manifest={"key": "k", "sha256": "s"}, exact=True, at=timestamp(HOUR))
        part["source"]["name"] = {"database": "db", "cache": "cache"}[kind]
    return plan


def verify(event, run):
    return verify_restore.handler.__wrapped__(event | {"looks": LOOKS}, run)


def test_what_is_as_it_was_recorded_passes_and_says_what_will_be_swapped(event, run, compared, data, clock):
    clock.at = HOUR
    done = verify(event, run)
    assert done["outcome"] == "PASS", done["reason"]
    assert done["recovery_point"]["facts"]["seconds"] == 50
    assert [swap["to_endpoint"] for swap in done["swaps"]] == ["db-new:5432", "cache-new:6379"]
    assert done["digest"].startswith("sha256:")
    assert data["written"] == [("db-new", "ops_heartbeat"), "cache-new"]


def test_a_second_attempt_does_not_take_its_own_write_for_a_heartbeat_that_was_restored(
    event, run, compared, data, clock
):
    clock.at = HOUR
    first, second = verify(event, run), verify(event, run)
    assert first["heartbeat"] == second["heartbeat"] == timestamp(CONTENTS.heartbeat)


def test_rows_that_lack_fail(event, run, compared, data):
    data["contents"] = replace(CONTENTS, rows={"detections": 1, "sites": 12})
    done = verify(event, run)
    assert done["outcome"] == "FAIL"
    assert "rows of detections: 1; 1000 expected" in done["reason"]


def test_a_database_that_takes_no_writes_fails(event, run, compared, data, monkeypatch):
    def refuse(session):
        raise DatabaseError("read only")

    monkeypatch.setattr(verify_restore, "verify_read_write", refuse)
    assert "write: read only" in verify(event, run)["reason"]


def test_one_that_is_too_large_to_be_counted_in_time_is_not_lost_for_that(event, run, compared, data, clock):
    clock.at = HOUR
    data["contents"] = DatabaseError("canceling statement due to statement timeout", "57014")
    done = verify(event, run)
    assert (done["outcome"], "not counted within" in done["reason"]) == ("PASS", True)
    data["contents"] = DatabaseError("permission denied", "42501")
    with pytest.raises(DatabaseError, match="permission denied"):
        verify(event, run)


def test_a_source_that_cannot_be_read_leaves_open_what_was_lost(event, run, compared, data):
    del data["heartbeats"]["db"]
    assert verify(event, run)["recovery_point"]["outcome"] == "INCONCLUSIVE"


def test_an_isolated_restore_has_nothing_to_swap(event, run, compared, data):
    compared["mode"] = "isolated"
    done = verify(event, run)
    assert (done["swaps"], done["digest"]) == ([], None)
