"""The service with a real PostgreSQL: what it stores, what it says of itself, what it refuses, endpoint swaps."""

import argparse
import asyncio
import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.redis.server import RedisServer
from sandbox.service import sources
from sandbox.service.detections import InvalidDetectionError, parse
from sandbox.service.settings import Settings, SettingsError
from tests.sandbox.fixtures.automation import eventually
from tests.sandbox.fixtures.postgres import PASSWORD, Postgres, copy_of
from tests.sandbox.fixtures.service import DETECTION, serving, url_of


def test_detections_outlive_the_process(database: Postgres, tmp_path: Path) -> None:
    where = {"DATABASE_ENDPOINT": database.endpoint, "QUEUE_PATH": str(tmp_path / "queue.sqlite")}
    with serving(tmp_path, **where) as service:
        assert service.get("/health") == (200, {"status": "ok"})
        status, kept = service.post("first")
        assert status == 201
        assert service.post("second")[0] == 201
    with serving(tmp_path, **where) as service:
        status, page = service.get("/detections?limit=1")
        assert [one["label"] for one in page["items"]] == ["second"]
        assert page["next_cursor"] == 1
        status, page = service.get("/detections?limit=5&cursor=1")
        assert page["next_cursor"] is None
        expected = {**kept, "observed_at": "2026-01-02T03:04:05+00:00"}
        assert page["items"] == [expected]
        assert service.get("/ready") == (
            200,
            {
                "ready": True,
                "read": True,
                "write": "stored",
                "database": database.endpoint,
                "cache": None,
                "queued": 0,
            },
        )


def test_an_idempotency_key_stores_once(database: Postgres, tmp_path: Path) -> None:
    with serving(tmp_path, DATABASE_ENDPOINT=database.endpoint) as service:
        answers = [service.post("once", key="order-1") for _ in range(3)]
        assert {status for status, _ in answers} == {201}
        assert len({kept["id"] for _, kept in answers}) == 1
        assert len({kept["received_at"] for _, kept in answers}) == 1
        assert service.post("other", key="order-2")[1]["id"] != answers[0][1]["id"]
        assert service.post("bad", key="x" * 300)[0] == 400
        assert database.labels() == ["once", "other"]


def test_an_endpoint_swap_takes_effect_without_a_restart(
    database: Postgres, cache: RedisServer, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A copy of the database takes over by the endpoint's file; the old one goes on running, and gets nothing."""
    endpoint = tmp_path / "endpoint"
    endpoint.write_text(database.endpoint + "\n")
    where = {
        "DATABASE_ENDPOINT_FILE": str(endpoint),
        "QUEUE_PATH": str(tmp_path / "queue.sqlite"),
        "CACHE_URL": url_of(cache),
        "CACHE_TTL_SECONDS": "60",
    }
    with serving(tmp_path, **where) as service:
        assert service.post("common")[0] == 201
        database.stop()
        copy = copy_of(database, tmp_path_factory.mktemp("copy"))
        copy.start()
        database.start()
        try:
            service.when_ready()
            assert service.post("only in the old one")[0] == 201
            eventually(lambda: service.ready()["cache"])
            assert service.labels() == ["only in the old one", "common"]
            endpoint.write_text(copy.endpoint)
            eventually(lambda: service.ready()["database"] == copy.endpoint)
            # The cache does not show what the new one never had.
            assert service.labels() == ["common"]
            assert service.post("only in the new one")[0] in (201, 202)
            eventually(lambda: service.ready()["queued"] == 0)
            assert database.labels() == ["common", "only in the old one"]
            assert copy.labels() == ["common", "only in the new one"]
            assert service.labels() == ["only in the new one", "common"]
        finally:
            copy.stop()


def test_a_name_that_moves_is_followed_by_new_connections(
    database: Postgres, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As a changed DNS record: what is connected stays where it is, until the service renews it."""
    with (
        moving(database.port) as (endpoint, targets),
        serving(tmp_path, DATABASE_ENDPOINT=endpoint, CONNECTION_SECONDS="0.3") as service,
    ):
        assert service.post("before")[0] == 201
        database.stop()
        copy = copy_of(database, tmp_path_factory.mktemp("copy"))
        copy.start()
        database.start()
        try:
            service.when_ready()
            targets.append(copy.port)
            eventually(lambda: service.post("after")[0] == 201 and "after" in copy.labels())
            assert copy.labels()[0] == database.labels()[0] == "before"
            assert service.messages().count("database lost") <= 1
        finally:
            copy.stop()


@contextlib.contextmanager
def moving(port: int) -> Iterator[tuple[str, list[int]]]:
    """An endpoint whose new connections go to the last port of the list, which the test appends to."""
    targets = [port]

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", targets[-1])) as server:
                back = threading.Thread(target=pump, args=(server, self.request), daemon=True)
                back.start()
                pump(self.request, server)
                back.join()

    def pump(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    listener = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    listener.daemon_threads = True
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{listener.server_address[1]}", targets
    finally:
        listener.shutdown()
        listener.socket.close()


def test_a_dropped_table_is_not_made_anew(database: Postgres, tmp_path: Path) -> None:
    """Writes wait for the restore; an empty table in its place would only hide the loss."""
    where = {"DATABASE_ENDPOINT": database.endpoint, "QUEUE_PATH": str(tmp_path / "queue.sqlite")}
    with serving(tmp_path, **where) as service:
        assert service.post("before")[0] == 201
        with database.session() as session:
            session.run("ALTER TABLE detections RENAME TO hidden")
        assert service.post("during")[0] == 202
        assert service.get("/detections")[0] == 503
        assert service.ready()["read"] is False
        database.stop()
        database.start()
        eventually(lambda: service.ready()["database"] == database.endpoint and service.post("more")[0] == 202)
        with database.session() as session:
            assert session.run("SELECT to_regclass('detections')") == [[None]]
            session.run("ALTER TABLE hidden RENAME TO detections")
        eventually(lambda: service.ready()["queued"] == 0)
        assert database.labels()[:2] == ["before", "during"]


def test_a_role_that_may_not_create_tables_uses_those_that_are_there(database: Postgres, tmp_path: Path) -> None:
    with serving(tmp_path, DATABASE_ENDPOINT=database.endpoint) as service:
        assert service.post("by the owner")[0] == 201
    with database.session("postgres", "detections") as session:
        session.run("DROP ROLE IF EXISTS narrow")
        session.run(f"CREATE ROLE narrow LOGIN PASSWORD '{PASSWORD}'")
        session.run("GRANT SELECT, INSERT ON detections TO narrow")
        session.run("GRANT SELECT ON schema_migrations TO narrow")
    with serving(tmp_path, DATABASE_ENDPOINT=database.endpoint, DATABASE_USER="narrow") as service:
        assert service.post("by the narrow role")[0] == 201
        assert service.labels() == ["by the narrow role", "by the owner"]
    with database.session("postgres", "detections") as session:
        session.run("REVOKE ALL ON detections, schema_migrations FROM narrow")
        session.run("DROP ROLE narrow")


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"DATABASE_ENDPOINT": "db:1"}, "DATABASE_PASSWORD"),
        ({"DATABASE_ENDPOINT": "db:1", "DATABASE_PASSWORD": "a", "DATABASE_IAM": "true"}, "DATABASE_IAM"),
        ({"DATABASE_ENDPOINT": "db:1", "DATABASE_IAM": "yes"}, "DATABASE_IAM"),
        ({"QUEUE_PATH": "/none/queue"}, "QUEUE_PATH"),
        ({"DATABASE_ENDPOINT": "db:1", "DATABASE_IAM": "true", "QUEUE_PATH": "/none/queue"}, "/none"),
    ],
)
def test_settings_that_cannot_be_right_are_named(environment: dict[str, str], named: str) -> None:
    parser = argparse.ArgumentParser()
    Settings.arguments(parser, environment)
    with pytest.raises(SettingsError, match=named):
        Settings.of(parser.parse_args([]))


async def test_an_iam_token_is_signed_for_the_endpoint_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    give = sources.password(Settings(database_endpoint="db:1", database_iam="true", database_user="detection_api"))
    first, second = await asyncio.gather(give("one.example", 5432), give("two.example", 5433))
    assert first.startswith("one.example:5432/?")
    assert second.startswith("two.example:5433/?")
    for token in (first, second):
        assert "Action=connect" in token
        assert "DBUser=detection_api" in token
        assert "AKIAEXAMPLE" in token


@pytest.mark.parametrize(
    "change",
    [
        {"label": "a\0b"},
        {"source": "\ud800"},
        {"confidence": float("nan")},
        {"observed_at": "2026-02-30T00:00:00Z"},
        {"observed_at": "0001-01-01T00:00:00+14:00"},
    ],
)
def test_what_no_database_takes_is_refused_before_it_can_be_queued(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidDetectionError):
        parse({**DETECTION, **change})
