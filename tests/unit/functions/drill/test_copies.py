"""The steps that make copies, look at them and compare them; with doubles for the engines."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from functions.drill import (
    check_drill_copy,
    restore_drill_cache,
    restore_drill_database,
    verify_drill_cache,
    verify_drill_database,
)
from opskit import clients
from opskit.adapters.copies import Look
from opskit.clock import moment_of, timestamp
from opskit.decisions.contents import CacheContents, DatabaseContents
from opskit.decisions.copies import copy_of
from opskit.decisions.drill import WORKFLOW
from opskit.decisions.manifest import Manifest
from opskit.decisions.placement import Difference
from opskit.errors import CacheError, DatabaseError, LockLostError, QuotaExceededError, UnavailableError
from opskit.step import Run
from opskit.verdict import Outcome, Verdict
from tests.unit.decisions.backups import CACHE_CONTENTS, CONTENTS, HOUR
from tests.unit.functions.conftest import FixedClock
from tests.unit.functions.drill.conftest import call


class CopiesDouble:
    """Begins whatever it is told to, unless it refuses; looks as it was told to look."""

    def __init__(self) -> None:
        self.begun: list[Any] = []
        self.refusal: Exception | None = None
        self.looked: list[dict[str, float]] = []
        self.seen = Look(Verdict(Outcome.WAIT, "it is creating", {"name": "copy"}))

    def __call__(self) -> "CopiesDouble":
        return self

    def begin(self, copy: Any) -> None:
        if self.refusal:
            raise self.refusal
        self.begun.append(copy)

    def look(self, copy: Any, **times: float) -> Look:
        self.looked.append(times)
        return self.seen


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> CopiesDouble:
    double = CopiesDouble()
    for module in (restore_drill_database, restore_drill_cache, check_drill_copy):
        monkeypatch.setattr(module, "Copies", double)
    return double


class Sessions:
    """Databases by the endpoint and the role that one signs in with."""

    def __init__(self) -> None:
        self.opened: list[tuple[str, str]] = []
        self.contents = CONTENTS
        self.failure: Exception | None = None
        self.written = 0

    @contextmanager
    def open(self, platform: Any, endpoint: Any, user: str, **_: Any) -> Iterator[None]:
        self.opened.append((endpoint.text, user))
        if self.failure:
            raise self.failure
        yield

    def write(self, session: Any) -> None:
        self.written += 1


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> Sessions:
    double = Sessions()
    for module in (restore_drill_database, verify_drill_database):
        monkeypatch.setattr(module, "open_database", double.open)
        monkeypatch.setattr(module, "read_contents", lambda _: double.contents)
    monkeypatch.setattr(restore_drill_database, "newest_heartbeat", lambda _: double.contents.heartbeat)
    monkeypatch.setattr(verify_drill_database, "verify_read_write", double.write)
    return double


def whats(run: Run) -> list[str]:
    record = run.ledger.operation_of(WORKFLOW, "r1")
    assert record is not None
    return [one.what for one in record.events]


def test_the_database_is_asked_for_and_the_source_read_after_that(
    event: dict[str, Any], run: Run, copies: CopiesDouble, sessions: Sessions
) -> None:
    done = call(restore_drill_database, event, run)
    assert copies.begun == [copy_of(event["plan"]["database"])]
    assert sessions.opened == [("db.internal:5432", "ops_reader")]
    assert done["outcome"] == "WAIT"
    assert done["asked_at"] == timestamp(run.clock.now())
    assert DatabaseContents.from_dict(done["source"]["contents"]) == CONTENTS
    assert done["source"]["heartbeat"] == timestamp(HOUR)
    assert whats(run) == ["restoring", "restore begun"]


def test_for_a_snapshot_the_heartbeat_is_all_that_is_needed(
    event: dict[str, Any], run: Run, copies: CopiesDouble, sessions: Sessions
) -> None:
    event["plan"]["method"] = "snapshot"
    source = call(restore_drill_database, event, run)["source"]
    assert (source["contents"], source["heartbeat"]) == (None, timestamp(HOUR))


@pytest.mark.parametrize("failure", [DatabaseError("no"), UnavailableError("no")])
def test_a_source_that_cannot_be_read_stops_nothing(
    event: dict[str, Any], run: Run, copies: CopiesDouble, sessions: Sessions, failure: Exception
) -> None:
    sessions.failure = failure
    source = call(restore_drill_database, event, run)["source"]
    assert source == {"heartbeat": None, "contents": None, "problem": "no"}
    assert copies.begun


@pytest.mark.parametrize("module", [restore_drill_database, restore_drill_cache])
def test_without_the_lock_nothing_is_begun(
    event: dict[str, Any], run: Run, copies: CopiesDouble, sessions: Sessions, module: Any
) -> None:
    run.ledger.seize(run.execution.id, owner="reaper", purpose="repair", lease_seconds=60, name="drill")
    with pytest.raises(LockLostError):
        call(module, event, run)
    assert copies.begun == []
    assert whats(run) == []


@pytest.mark.parametrize("module", [restore_drill_database, restore_drill_cache])
def test_what_was_announced_and_refused_shows_as_not_begun(
    event: dict[str, Any], run: Run, copies: CopiesDouble, sessions: Sessions, module: Any
) -> None:
    copies.refusal = QuotaExceededError("too many")
    with pytest.raises(QuotaExceededError):
        call(module, event, run)
    assert whats(run) == ["restoring"]


def test_the_cache_is_asked_for(event: dict[str, Any], run: Run, copies: CopiesDouble) -> None:
    done = call(restore_drill_cache, event, run)
    assert copies.begun == [copy_of(event["plan"]["cache"])]
    assert done == {"outcome": "WAIT", "asked_at": timestamp(run.clock.now())}


def look(event: dict[str, Any], run: Run, component: str = "database", **restored: Any) -> dict[str, Any]:
    given = {"asked_at": timestamp(run.execution.started_at), "source": {"heartbeat": None}} | restored
    return call(check_drill_copy, event, run, component=component, restored=given)


def test_a_copy_that_is_not_there_yet_is_waited_for(
    event: dict[str, Any], run: Run, copies: CopiesDouble, clock: FixedClock
) -> None:
    clock.advance(40)
    done = look(event, run)
    assert done["outcome"] == "WAIT"
    assert done["source"] == {"heartbeat": None}
    assert copies.looked == [{"waited_seconds": 40, "limit_seconds": 600}]


def test_waiting_ends_with_the_drill_s_own_time(event: dict[str, Any], run: Run, copies: CopiesDouble) -> None:
    event["plan"]["expires_at"] = timestamp(run.execution.started_at + timedelta(seconds=90))
    look(event, run)
    assert copies.looked[0]["limit_seconds"] == 90


def test_looking_renews_the_lease(event: dict[str, Any], run: Run, copies: CopiesDouble, clock: FixedClock) -> None:
    clock.advance(50)
    look(event, run)
    clock.advance(50)
    holder = run.ledger.holder("drill")
    assert holder is not None
    assert not holder.expired


def test_a_copy_that_is_there_is_passed_on_with_what_differs(
    event: dict[str, Any], run: Run, copies: CopiesDouble
) -> None:
    difference = Difference("certificate_authority", "a", "b", fatal=False, reason="to be known")
    copies.seen = Look(Verdict(Outcome.PASS, "it is available", {"name": "copy"}), None, (difference,))
    done = look(event, run)
    assert (done["outcome"], done["available_at"]) == ("PASS", timestamp(run.clock.now()))
    assert done["copy"]["name"] == "copy"
    assert done["differences"] == [difference.as_dict()]


@pytest.mark.parametrize("component", ["database", "cache"])
def test_a_copy_that_will_never_be_there_is_the_component_s_result(
    event: dict[str, Any], run: Run, copies: CopiesDouble, component: str
) -> None:
    copies.seen = Look(Verdict(Outcome.FAIL, "it is restore-error", {"name": "copy"}))
    done = look(event, run, component)
    assert (done["component"], done["outcome"], done["verified_at"]) == (component, "FAIL", None)
    assert "it is restore-error" in done["reason"]
    assert done["checks"][0]["outcome"] == "FAIL"
    assert "source" not in done


def there(run: Run, **more: Any) -> dict[str, Any]:
    """What the steps before handed on of a copy that is available."""
    now = timestamp(run.clock.now())
    source = {"heartbeat": timestamp(HOUR + timedelta(seconds=60)), "contents": CONTENTS.as_dict(), "problem": None}
    copy = {"name": "drill-1-db", "endpoint": "copy.internal:5432", "status": "available"}
    return {"asked_at": now, "available_at": now, "source": source, "copy": copy, "differences": []} | more


def test_a_database_as_it_was_backed_up_passes(
    event: dict[str, Any], run: Run, sessions: Sessions, clock: FixedClock
) -> None:
    restored = there(run)
    clock.advance(5)
    done = call(verify_drill_database, event, run, restored=restored)
    assert done["outcome"] == "PASS"
    assert {check["outcome"] for check in done["checks"]} == {"PASS"}
    assert done["recovery_point"]["facts"]["seconds"] == 60
    assert moment_of(done["verified_at"]) == run.clock.now()
    assert [name for name, _ in done["phases"]] == ["ask", "restore"]
    assert sessions.opened == [("copy.internal:5432", "ops_reader"), ("copy.internal:5432", "ops_heartbeat")]
    assert sessions.written == 1


def test_missing_rows_fail(event: dict[str, Any], run: Run, sessions: Sessions) -> None:
    sessions.contents = replace(CONTENTS, rows={"detections": 999, "sites": 12})
    done = call(verify_drill_database, event, run, restored=there(run))
    assert done["outcome"] == "FAIL"
    assert "rows of detections: 999; 1000 expected" in done["reason"]
    assert done["verified_at"] is not None  # it does take writes


def test_tolerances_and_targets_are_the_request_s(event: dict[str, Any], run: Run, sessions: Sessions) -> None:
    sessions.contents = replace(CONTENTS, rows={"detections": 999, "sites": 12})
    event["request"] |= {"tolerances": {"detections": {"fewer": 0.01, "more": 0}}, "recovery_point_seconds": 60}
    done = call(verify_drill_database, event, run, restored=there(run))
    assert done["outcome"] == "FAIL"
    assert done["reason"].startswith("60 s of heartbeats were lost")


def test_a_database_that_refuses_is_a_result_and_one_that_is_silent_is_asked_again(
    event: dict[str, Any], run: Run, sessions: Sessions
) -> None:
    sessions.failure = DatabaseError("invalid page in block 7")
    done = call(verify_drill_database, event, run, restored=there(run))
    assert (done["outcome"], done["verified_at"]) == ("FAIL", None)
    assert "invalid page in block 7" in done["reason"]
    sessions.failure = UnavailableError("connection refused")
    with pytest.raises(UnavailableError):
        call(verify_drill_database, event, run, restored=there(run))


@pytest.mark.parametrize("module", [verify_drill_database, verify_drill_cache])
def test_a_manifest_that_was_changed_meanwhile_fails(
    event: dict[str, Any], run: Run, sessions: Sessions, whole: Manifest, module: Any
) -> None:
    clients.client("s3").put_object(Bucket=run.platform.backup_bucket, Key=whole.key, Body=b"{}")
    done = call(module, event, run, restored=there(run))
    assert done["outcome"] == "FAIL"
    assert "the manifest was changed" in done["reason"]


class CacheDouble:
    """A cache that has some keys; what is opened is remembered."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, contents: CacheContents) -> None:
        self.contents = contents
        self.opened: dict[str, Any] = {}
        self.failure: Exception | None = None
        monkeypatch.setattr(verify_drill_cache, "open_cache", self.open)
        monkeypatch.setattr(verify_drill_cache, "read_cache_contents", lambda client, sample: self.contents)
        monkeypatch.setattr(verify_drill_cache, "read_expiries", self.expiries)
        monkeypatch.setattr(verify_drill_cache, "verify_write", self.write)

    @contextmanager
    def open(self, host: str, port: int, **given: Any) -> Iterator[None]:
        self.opened = {"host": host, "port": port} | given
        yield

    def expiries(self, client: Any, keys: list[str]) -> dict[str, Any]:
        return {key: self.contents.expiries[key] for key in keys if key in self.contents.expiries}

    def write(self, client: Any) -> None:
        if self.failure:
            raise self.failure


def verified_cache(event: dict[str, Any], run: Run) -> dict[str, Any]:
    copy = {"name": "drill-1-cache", "endpoint": "copy.internal:6379", "status": "available"}
    return call(verify_drill_cache, event, run, restored=there(run, copy=copy))


def left_of(contents: CacheContents, run: Run) -> CacheContents:
    """What is left of it by now."""
    alive = {key: at for key, at in contents.expiries.items() if at is None or at > run.clock.now()}
    gone = len(contents.expiries) - len(alive)
    return CacheContents(contents.keys - 3 * gone, contents.expiring - 3 * gone, alive)


def test_a_cache_as_it_was_backed_up_passes(event: dict[str, Any], run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    double = CacheDouble(monkeypatch, left_of(CACHE_CONTENTS, run))
    done = verified_cache(event, run)
    assert done["outcome"] == "PASS", done["reason"]
    assert done["verified_at"] == timestamp(run.clock.now())
    # Encrypted in transit as the source is; `none` in the contract means that nobody signs in.
    assert (double.opened["tls"], double.opened["user"]) == (True, None)
    assert double.opened["group"] == event["plan"]["names"]["cache"]


def test_keys_that_are_missing_fail(event: dict[str, Any], run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    found = left_of(CACHE_CONTENTS, run)
    CacheDouble(monkeypatch, replace(found, keys=10, expiries={}))
    done = verified_cache(event, run)
    assert done["outcome"] == "FAIL"
    assert "keys: 10;" in done["reason"]
    assert "k10 is missing" in done["reason"]


def test_a_cache_that_takes_no_writes_was_not_recovered(
    event: dict[str, Any], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = CacheDouble(monkeypatch, left_of(CACHE_CONTENTS, run))
    double.failure = CacheError("READONLY You can't write against a read only replica")
    done = verified_cache(event, run)
    assert (done["outcome"], done["verified_at"]) == ("FAIL", None)
    assert "READONLY" in done["reason"]
