"""The steps that end sessions and queries, with a real PostgreSQL."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest
from pg8000.exceptions import DatabaseError as DriverError
from pg8000.exceptions import InterfaceError

from functions.remediate import end_queries, end_sessions
from opskit import clients
from opskit.adapters import service_database
from opskit.adapters.sql import Session
from opskit.errors import LockLostError
from opskit.step import Run
from sandbox.postgres.server import Server
from tests.unit.functions.remediate.acting import acting, announced, remediation
from tests.unit.opskit.adapters.engines import postgres
from tests.unit.opskit.adapters.logins import alive, login, pid_of

SERVICE, OTHER = "detection_api", "ops_reader"
DATABASE = "arn:aws:rds:us-east-1:000000000000:db:detection-api-dev"
IDLE = {"idle_in_transaction_seconds": 0.0, "idle_seconds": 0.0, "at_most": 60, "keep": 0, "keep_of_client": 0}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with postgres(tmp_path_factory.mktemp("remedies")) as running:
        yield running


@pytest.fixture
def run(run: Run, server: Server, monkeypatch: pytest.MonkeyPatch) -> Run:
    clients.client("ssm").put_parameter(
        Name="/detection-api/dev/endpoints/database", Value="db.example.com:5432", Type="String"
    )
    clients.client("s3").create_bucket(Bucket=run.platform.backup_bucket)
    clients.client("s3").put_object(Bucket=run.platform.backup_bucket, Key="trust/database.pem", Body=b"authorities")

    @contextmanager
    def connect(host: str, port: int, *, user: str, **_: Any) -> Iterator[Session]:
        assert (host, port, user) == ("db.example.com", 5432, "ops_remedy")
        with login(server, user) as session:
            yield Session(session)

    monkeypatch.setattr(service_database, "connect", connect)
    return remediation(run, replace(run.platform, database_name="app"))


def call(module: Any, event: dict[str, Any], run: Run) -> dict[str, Any]:
    done: dict[str, Any] = module.handler.__wrapped__(event, run)
    assert set(done) == {"done", "what", "facts", "capture"}
    return done


def eventually(look: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


@contextmanager
def running(server: Server, role: str) -> Iterator[int]:
    """A session of `role` that computes for a minute; its process number."""
    with login(server, role) as session:
        pid = pid_of(session)

        def compute() -> None:
            with suppress(DriverError, InterfaceError, OSError):
                session.run("SELECT count(*) FROM generate_series(1, 10000000000) g")

        thread = threading.Thread(target=compute)
        thread.start()
        try:
            eventually(lambda: works(server, pid))
            yield pid
        finally:
            with server.connection("app") as administrator:
                administrator.run("SELECT pg_terminate_backend(:pid)", pid=pid)
            thread.join()


def works(server: Server, pid: int) -> bool:
    with server.connection("app") as administrator:
        return administrator.run("SELECT state FROM pg_stat_activity WHERE pid = :pid", pid=pid) == [["active"]]


def test_idle_sessions_of_the_service_end_the_stuck_ones_first_and_some_are_kept(server: Server, run: Run) -> None:
    with ExitStack() as stack:
        idle = [stack.enter_context(login(server, SERVICE)) for _ in range(4)]
        stuck = [stack.enter_context(login(server, SERVICE)) for _ in range(3)]
        foreign = stack.enter_context(login(server, OTHER))
        pids = [pid_of(session) for session in idle]
        for session in stuck:
            session.run("BEGIN")
        held = [pid_of(session) for session in stuck]
        others = pid_of(foreign)
        event = acting(run, DATABASE, **IDLE | {"keep": 2})
        done = call(end_sessions, event, run)
        assert done["done"]
        assert done["facts"]["sessions_before"] == 7
        assert done["facts"]["ended"] == 5
        assert done["facts"]["sessions_after"] == 2
        # The two that were idle for the shortest time stay, and who is not the service.
        assert [pid for pid in (*held, *pids) if alive(server, pid)] == pids[2:]
        assert alive(server, others)
        assert done["capture"]["sessions"][SERVICE] == {"idle": 4, "idle in transaction": 3}
        assert [one["pid"] for one in announced(run)[0]["chosen"]] == [*held, *pids[:2]]


def test_what_is_repeated_ends_no_more_than_what_was_announced(server: Server, run: Run) -> None:
    with ExitStack() as stack:
        first = [pid_of(stack.enter_context(login(server, SERVICE))) for _ in range(3)]
        event = acting(run, DATABASE, **IDLE | {"at_most": 2})
        once, again = call(end_sessions, event, run), call(end_sessions, event, run)
        assert once["done"]
        assert again["done"]
        assert (once["facts"]["ended"], again["facts"]["ended"]) == (2, 2)
        assert [pid for pid in first if alive(server, pid)] == first[2:]
        assert len(announced(run)) == 1


@pytest.mark.parametrize("bounds", [{"idle_seconds": 3600.0}, {"at_most": 0}, {"keep": 1}, {"keep_of_client": 1}])
def test_within_the_bounds_nothing_ends(server: Server, run: Run, bounds: dict[str, Any]) -> None:
    with login(server, SERVICE) as session:
        pid = pid_of(session)
        done = call(end_sessions, acting(run, DATABASE, **IDLE | bounds), run)
        assert not done["done"]
        assert "1 sessions of detection_api" in done["what"]
        assert done["capture"]["sessions"][SERVICE] == {"idle": 1}
        assert alive(server, pid)
        assert announced(run) == []


def test_sessions_that_began_to_work_since_the_announcement_stay(
    server: Server, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opskit.adapters.database_activity.time.sleep", lambda _: None)
    with login(server, SERVICE) as session:
        pid = pid_of(session)
        event = acting(run, DATABASE, **IDLE)
        note = run.ledger.note

        def noted(*given: Any, **more: Any) -> None:
            note(*given, **more)
            session.run("SELECT 1")

        monkeypatch.setattr(run.ledger, "note", noted)
        done = call(end_sessions, event, run)
        assert not done["done"]
        assert "begun to work" in done["what"]
        assert alive(server, pid)


def test_a_runaway_query_is_cancelled_and_nobody_else_s(server: Server, run: Run) -> None:
    with running(server, SERVICE) as own, running(server, OTHER) as foreign:
        event = acting(run, DATABASE, longer_than_seconds=0.0, at_most=5)
        done = call(end_queries, event, run)
        assert done["done"]
        assert (done["facts"]["cancelled"], done["facts"]["sessions_ended"]) == (1, 0)
        assert alive(server, own)
        assert not works(server, own)
        assert works(server, foreign)
        assert {one["statement"] for one in done["capture"]["busiest"]} == {
            "SELECT count(*) FROM generate_series(?, ?) g"
        }
        again = call(end_queries, event, run)
        assert again["done"]
        assert works(server, foreign)


def test_a_query_that_does_not_heed_ends_with_its_session(
    server: Server, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opskit.adapters.database_activity.DatabaseActivity.cancel_query", lambda *_: True)
    monkeypatch.setattr("opskit.adapters.database_activity.PAUSE_SECONDS", 0.05)
    with running(server, SERVICE) as own:
        done = call(end_queries, acting(run, DATABASE, longer_than_seconds=0.0, at_most=5), run)
        assert done["done"]
        assert (done["facts"]["cancelled"], done["facts"]["sessions_ended"]) == (0, 1)
        assert not alive(server, own)


def test_without_a_query_beyond_the_bound_the_capture_is_what_a_person_gets(server: Server, run: Run) -> None:
    with running(server, SERVICE) as own:
        done = call(end_queries, acting(run, DATABASE, longer_than_seconds=3600.0, at_most=5), run)
        assert not done["done"]
        assert "no query may be ended" in done["what"]
        assert [one["pid"] for one in done["capture"]["busiest"]] == [own]
        assert works(server, own)


@pytest.mark.parametrize("module", [end_sessions, end_queries])
def test_without_the_lock_the_database_is_not_even_asked(
    run: Run, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = acting(run, DATABASE, **IDLE)
    run.ledger.seize(run.execution.id, owner="somebody", purpose="else", lease_seconds=60, name="remedy:resource")
    monkeypatch.setattr(service_database, "connect", lambda *_, **__: pytest.fail("connected"))
    with pytest.raises(LockLostError):
        call(module, event, run)
