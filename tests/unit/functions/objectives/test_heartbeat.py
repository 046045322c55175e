"""The steps that talk to the database: where, as whom, and what they make of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from functions.objectives import read_heartbeat, stamp_heartbeat
from opskit import clients
from opskit.adapters import service_database
from opskit.errors import NotFoundError, PlatformContractError, UnavailableError
from opskit.step import Run

STAMPED = datetime(2026, 11, 23, 11, 59, tzinfo=UTC)


class SessionDouble:
    """Answers every statement with one value, or raises."""

    def __init__(self, value: Any) -> None:
        self._value = value
        self.statements: list[str] = []

    def rows(self, statement: str, **_: Any) -> list[tuple[Any, ...]]:
        self.statements.append(" ".join(statement.split()))
        return [(self._value,)]


@pytest.fixture
def connected(run: Run, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `sql.connect` was called with; its session is `session`, or `error` is raised."""
    clients.client("ssm").put_parameter(
        Name="/detection-api/dev/endpoints/database", Value="db.example.com:5432", Type="String"
    )
    clients.client("s3").create_bucket(Bucket=run.platform.backup_bucket)
    clients.client("s3").put_object(Bucket=run.platform.backup_bucket, Key="trust/database.pem", Body=b"authorities")
    asked: dict[str, Any] = {"session": SessionDouble(STAMPED), "error": None}

    @contextmanager
    def connect(host: str, port: int, **given: Any) -> Iterator[Any]:
        asked.update(given, endpoint=f"{host}:{port}")
        if asked["error"]:
            raise asked["error"]
        yield asked["session"]

    monkeypatch.setattr(service_database, "connect", connect)
    monkeypatch.setattr(service_database, "_authorities", service_database._Authorities())
    return asked


def test_a_row_is_stamped_in_the_live_database_by_the_role_for_it(run: Run, connected: dict[str, Any]) -> None:
    done = stamp_heartbeat.handler.__wrapped__({}, run)
    assert done == {"stamped_at": "2026-11-23T11:59:00.000000Z", "endpoint": "db.example.com:5432"}
    assert (connected["endpoint"], connected["user"]) == ("db.example.com:5432", "ops_heartbeat")
    assert (connected["database"], connected["authorities"]) == ("detections", "authorities")
    # Both limits together leave the function time to say why it failed.
    assert connected["timeout_seconds"] + connected["statement_seconds"] + 5 < 20
    assert "INSERT INTO ops.heartbeat DEFAULT VALUES" in connected["session"].statements[0]


def test_the_newest_row_is_read_by_the_role_that_can_only_read(run: Run, connected: dict[str, Any]) -> None:
    found = read_heartbeat.handler.__wrapped__({}, run)
    assert found == {"at": "2026-11-23T11:59:00.000000Z", "unreadable": None}
    assert connected["user"] == "ops_reader"
    connected["session"] = SessionDouble(None)
    assert read_heartbeat.handler.__wrapped__({}, run) == {"at": None, "unreadable": None}


@pytest.mark.parametrize("handler", [stamp_heartbeat.handler, read_heartbeat.handler])
def test_what_stands_in_the_way_is_raised_by_its_name(run: Run, connected: dict[str, Any], handler: Any) -> None:
    connected["error"] = UnavailableError("no answer")
    with pytest.raises(UnavailableError):
        handler.__wrapped__({}, run)
    clients.client("s3").delete_object(Bucket=run.platform.backup_bucket, Key="trust/database.pem")
    with pytest.raises(NotFoundError, match=r"trust/database\.pem"):
        handler.__wrapped__({}, run)
    clients.client("ssm").delete_parameter(Name="/detection-api/dev/endpoints/database")
    with pytest.raises(PlatformContractError, match="endpoints/database is missing"):
        handler.__wrapped__({}, run)


def test_the_authorities_are_read_once_an_hour_and_again_after_a_failure(
    run: Run, connected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(service_database.time, "monotonic", lambda: now)

    def put(authorities: bytes) -> None:
        clients.client("s3").put_object(Bucket=run.platform.backup_bucket, Key="trust/database.pem", Body=authorities)

    def used() -> str:
        stamp_heartbeat.handler.__wrapped__({}, run)
        return str(connected["authorities"])

    assert used() == "authorities"
    put(b"newer")
    now += service_database.AUTHORITIES_KEPT_SECONDS - 1
    assert used() == "authorities"
    now += 2
    assert used() == "newer"
    put(b"newest")
    connected["error"] = UnavailableError("its certificate is not to be trusted")
    with pytest.raises(UnavailableError):
        used()
    connected["error"] = None
    assert used() == "newest"
