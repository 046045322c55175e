"""The steps that make one component each: contents, the cluster's configuration, the state, the application's data."""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from functions.snapshot import capture_contents, copy_objects, export_cluster
from opskit import clients
from opskit.adapters.namespace import Export
from opskit.decisions.contents import CacheContents, DatabaseContents
from opskit.errors import ClusterError, DatabaseLoginError, UnavailableError

from .conftest import Machine

Begin = Callable[..., Machine]
CONTENTS = DatabaseContents("5c", {"public.t": 3})
STATE = {"version": 4, "serial": 17, "lineage": "l", "resources": [{}]}


@pytest.fixture
def machine(begin: Begin) -> Machine:
    """A run that has its plan; moto's clock is the real one, so dumps are as old as that says."""
    ready = begin()
    ready.plan()
    return ready


def only(machine: Machine, kind: str, done: dict[str, Any]) -> dict[str, Any]:
    (found,) = [one for one in done["components"] if one["kind"] == kind]
    return dict(found)


class TestContents:
    @pytest.fixture(autouse=True)
    def reading(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        """What is asked of the database and the cache."""
        asked: dict[str, Any] = {"error": None}

        @contextmanager
        def database(_: Any, endpoint: Any, user: str) -> Iterator[str]:
            asked["database"] = (endpoint.text, user)
            if asked["error"]:
                raise asked["error"]
            yield "session"

        @contextmanager
        def cache(host: str, port: int, **given: Any) -> Iterator[str]:
            asked["cache"] = (host, port, given)
            yield "client"

        monkeypatch.setattr(capture_contents, "open_database", database)
        monkeypatch.setattr(capture_contents, "open_cache", cache)
        monkeypatch.setattr(capture_contents, "read_contents", lambda _: CONTENTS)
        monkeypatch.setattr(capture_contents, "read_cache_contents", lambda _: CacheContents(2, 1))
        return asked

    def capture(self, machine: Machine) -> dict[str, Any]:
        given = capture_contents.handler.__wrapped__(machine.event(when="before"), machine.run)
        found: dict[str, Any] = given["inline"]
        return found

    def test_the_live_database_is_read_by_the_role_that_reads(self, machine: Machine, reading: dict[str, Any]) -> None:
        assert machine.seen["plan"]["capture"] == ["database"]
        live = machine.seen["plan"]["live"]["database"]
        assert self.capture(machine) == {"database": {"identifier": "orders", "contents": CONTENTS.as_dict()}}
        assert reading["database"] == (f"{live['host']}:{live['port']}", "ops_reader")
        assert "cache" not in reading

    def test_the_live_cache_is_read_without_a_login_where_it_asks_for_none(
        self, machine: Machine, reading: dict[str, Any]
    ) -> None:
        machine.seen["plan"]["capture"] = ["cache"]
        machine.seen["plan"]["live"]["cache"] = {"identifier": "s", "host": "h", "port": 6379, "tls": True}
        assert self.capture(machine)["cache"]["contents"] == CacheContents(2, 1).as_dict()
        assert reading["cache"] == ("h", 6379, {"tls": True, "user": None, "group": "s"})

    @pytest.mark.parametrize("error", [UnavailableError("no answer"), DatabaseLoginError("no"), ValueError("a defect")])
    def test_what_cannot_be_read_is_told_and_stops_nothing(
        self, machine: Machine, reading: dict[str, Any], error: Exception
    ) -> None:
        reading["error"] = error
        found = self.capture(machine)["database"]
        assert found == {"identifier": "orders", "problem": f"{type(error).__name__}: {error}"}


class TestCluster:
    @pytest.fixture
    def found(self, monkeypatch: pytest.MonkeyPatch) -> list[Export]:
        exports = [Export("detection-api", ({"kind": "Service"},), ("/apis/x/y",), 2, {"services": 1})]
        monkeypatch.setattr(export_cluster, "connect_api", lambda *_, **__: "api")
        monkeypatch.setattr(export_cluster, "export_namespace", lambda _api, _namespace: exports[-1])
        return exports

    def export(self, machine: Machine) -> dict[str, Any]:
        done = export_cluster.handler.__wrapped__(machine.event(), machine.run)
        component: dict[str, Any] = done["component"]
        return component

    def test_the_export_is_kept_with_its_checksum(self, machine: Machine, found: list[Export]) -> None:
        component = self.export(machine)
        assert (component["status"], component["id"]) == (
            "VERIFIED",
            "cluster-configuration/2026/11/23/01-run-1.json",
        )
        body = (
            clients.client("s3")
            .get_object(Bucket=machine.run.platform.backup_bucket, Key=component["id"])["Body"]
            .read()
        )
        assert json.loads(body)["items"] == [{"kind": "Service"}]
        assert hashlib.sha256(body).hexdigest() == component["sha256"]
        assert component["counts"] == {"services": 1, "objects": 1, "redacted": 2}
        assert "not served by this cluster: /apis/x/y" in component["reason"]
        assert "2 values looked like secrets" in component["reason"]

    def test_repeated_after_a_change_it_keeps_both(self, machine: Machine, found: list[Export]) -> None:
        first = self.export(machine)
        assert self.export(machine) == first
        found.append(Export("detection-api", ({"kind": "Role"},)))
        assert self.export(machine)["id"].startswith("cluster-configuration/2026/11/23/01-run-1-")

    def test_an_empty_namespace_is_no_backup(self, machine: Machine, found: list[Export]) -> None:
        found.append(Export("detection-api"))
        component = self.export(machine)
        assert (component["status"], component["reason"]) == ("FAILED", "the namespace detection-api is empty")

    def test_a_cluster_that_refuses_is_tried_again_by_the_state_machine(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def connect(*_: Any, **__: Any) -> None:
            raise ClusterError("no")

        monkeypatch.setattr(export_cluster, "connect_api", connect)
        with pytest.raises(ClusterError):
            self.export(machine)

    def test_it_is_left_out_where_it_was_not_asked_for(self, begin: Begin) -> None:
        machine = begin(components=["database"])
        machine.plan()
        assert export_cluster.handler.__wrapped__(machine.event(), machine.run) == {"component": None}


class TestObjects:
    @pytest.fixture(autouse=True)
    def real_time(self, begin: Begin, machine: Machine) -> None:
        """Moto stamps objects with the real time."""
        machine.clock.at = datetime.now(UTC) + timedelta(seconds=5)

    def copy(self, machine: Machine) -> dict[str, Any]:
        done: dict[str, Any] = copy_objects.handler.__wrapped__(machine.event(), machine.run)
        return done

    def put_state(self, machine: Machine, content: bytes) -> None:
        platform = machine.run.platform
        clients.client("s3").put_object(
            Bucket=platform.terraform_state_bucket, Key=platform.terraform_state_key, Body=content
        )

    def put_dump(self, machine: Machine, tmp_path: Path, name: str = "queue.db", **metadata: str) -> bytes:
        path = tmp_path / name
        with closing(sqlite3.connect(path)) as database:
            database.execute("CREATE TABLE queue (id INTEGER PRIMARY KEY)")
            database.execute("INSERT INTO queue VALUES (1), (2)")
            database.commit()
        content = path.read_bytes()
        given = {"sha256": hashlib.sha256(content).hexdigest()} | metadata
        self.put(machine, f"application-data/incoming/{name}", content, **given)
        return content

    def put(self, machine: Machine, key: str, content: bytes, **metadata: str) -> None:
        bucket = machine.run.platform.backup_bucket
        clients.client("s3").put_object(Bucket=bucket, Key=key, Body=content, Metadata=metadata)

    def test_the_state_is_copied_and_its_facts_are_counted(self, machine: Machine) -> None:
        self.put_state(machine, json.dumps(STATE).encode())
        state = only(machine, "terraform_state", self.copy(machine))
        assert (state["status"], state["id"]) == ("VERIFIED", "terraform-state/2026/11/23/01-run-1.tfstate")
        assert (state["counts"], state["reason"]) == ({"serial": 17, "resources": 1}, "lineage l")

    @pytest.mark.parametrize(
        ("content", "why"), [(b"{}", "not a state of version 4"), (b"<xml/>", "not JSON"), (None, "there is no object")]
    )
    def test_a_state_that_is_none_is_not_verified(self, machine: Machine, content: bytes | None, why: str) -> None:
        if content is not None:
            self.put_state(machine, content)
        state = only(machine, "terraform_state", self.copy(machine))
        assert state["status"] == "FAILED"
        assert why in state["reason"]

    def test_the_newest_dump_is_checked_counted_and_copied(self, machine: Machine, tmp_path: Path) -> None:
        self.put(machine, "application-data/incoming/older.db", b"damaged")
        self.put(machine, "application-data/incoming/readme.txt", b"no dump")
        content = self.put_dump(machine, tmp_path)
        data = only(machine, "application_data", self.copy(machine))
        assert (data["status"], data["id"]) == ("VERIFIED", "application-data/2026/11/23/01-run-1/queue.db")
        assert data["counts"] == {"tables": 1, "rows": 2, "queue": 2}
        kept = clients.client("s3").get_object(Bucket=machine.run.platform.backup_bucket, Key=data["id"])["Body"].read()
        assert (kept, data["sha256"]) == (content, hashlib.sha256(content).hexdigest())

    def test_the_dump_is_of_the_moment_that_the_service_says(self, machine: Machine, tmp_path: Path) -> None:
        self.put_dump(machine, tmp_path, **{"dumped-at": "2020-01-01T00:58:00.000Z"})
        data = only(machine, "application_data", self.copy(machine))
        assert data["taken_at"] == "2020-01-01T00:58:00.000000Z"
        self.put_dump(machine, tmp_path, "z.db", **{"dumped-at": "yesterday"})
        assert only(machine, "application_data", self.copy(machine))["taken_at"] > "2020-01-01T00:58:00.000000Z"

    def test_a_dump_that_is_not_what_was_written_is_not_verified(self, machine: Machine, tmp_path: Path) -> None:
        self.put_dump(machine, tmp_path, sha256="00")
        data = only(machine, "application_data", self.copy(machine))
        assert (data["status"], data["id"]) == ("FAILED", None)
        assert "but it was written as 00" in data["reason"]

    def test_a_damaged_dump_is_not_verified(self, machine: Machine, tmp_path: Path) -> None:
        content = self.put_dump(machine, tmp_path)[:-100] + b"\xff" * 100
        self.put(machine, "application-data/incoming/z.db", content, sha256=hashlib.sha256(content).hexdigest())
        data = only(machine, "application_data", self.copy(machine))
        assert (data["resource"], data["status"]) == ("z.db", "FAILED")

    def test_a_dump_that_is_too_old_is_not_verified(self, machine: Machine, tmp_path: Path) -> None:
        self.put_dump(machine, tmp_path)
        machine.clock.advance(1801)
        data = only(machine, "application_data", self.copy(machine))
        assert data["status"] == "FAILED"
        assert "s old; no more than 1800 s are allowed" in data["reason"]

    def test_without_a_dump_there_is_none(self, machine: Machine) -> None:
        data = only(machine, "application_data", self.copy(machine))
        assert "has left no dump" in data["reason"]

    def test_one_that_fails_is_no_reason_not_to_copy_the_other(self, machine: Machine, tmp_path: Path) -> None:
        self.put_dump(machine, tmp_path)
        done = self.copy(machine)
        assert {one["kind"]: one["status"] for one in done["components"]} == {
            "terraform_state": "FAILED",
            "application_data": "VERIFIED",
        }

    def test_only_what_was_asked_for_is_copied(self, begin: Begin) -> None:
        machine = begin(components=["terraform_state"])
        machine.plan()
        self.put_state(machine, json.dumps(STATE).encode())
        assert [one["kind"] for one in self.copy(machine)["components"]] == ["terraform_state"]
