"""Ending the service's sessions and queries in a real PostgreSQL, and nobody else's."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest
from pg8000.exceptions import DatabaseError as DriverError
from pg8000.exceptions import InterfaceError

from opskit.adapters.database_activity import REMEDY, DatabaseActivity, until_gone
from opskit.adapters.sql import Session as Connection
from opskit.errors import DatabaseError
from sandbox.postgres.server import Server

from .engines import postgres
from .logins import alive, login, pid_of

SERVICE = "detection_api"
OTHER = "ops_reader"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with postgres(tmp_path_factory.mktemp("activity")) as running:
        yield running


@pytest.fixture
def activity(server: Server) -> Iterator[DatabaseActivity]:
    with login(server, REMEDY) as session:
        yield DatabaseActivity(Connection(session))


def eventually(look: Callable[[], Any], seconds: float = 10) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)
    return found


@contextmanager
def running(server: Server, role: str, statement: str) -> Iterator[int]:
    """A session of `role` that runs `statement` in the background; its process number."""
    with login(server, role) as session:
        pid = pid_of(session)

        def run() -> None:
            with suppress(DriverError, InterfaceError, OSError):
                session.run(statement)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield pid
        finally:
            with server.connection("app") as administrator:
                administrator.run("SELECT pg_terminate_backend(:pid)", pid=pid)
            thread.join()


def session_of(activity: DatabaseActivity, pid: int) -> Any:
    return next(one for one in activity.look().sessions if one.pid == pid)


def query_of(activity: DatabaseActivity, pid: int) -> Any:
    return eventually(lambda: next((one for one in activity.look().queries if one.pid == pid), None))


def told(activity: DatabaseActivity, one: Any) -> bool:
    return activity.end_session(one.pid, one.backend_start, one.state_change)


def test_the_role_whose_sessions_may_be_ended_is_the_service_s(activity: DatabaseActivity) -> None:
    assert activity.service_role() == SERVICE


@pytest.mark.parametrize("transaction", [False, True])
def test_an_idle_session_of_the_service_is_ended(server: Server, activity: DatabaseActivity, transaction: bool) -> None:
    with login(server, SERVICE) as idle:
        if transaction:
            idle.run("BEGIN")
        pid = pid_of(idle)
        found = session_of(activity, pid)
        assert (found.role, found.database, found.application) == (SERVICE, "app", "test")
        assert found.state == ("idle in transaction" if transaction else "idle")
        assert told(activity, found)
        eventually(lambda: not alive(server, pid))


def test_a_session_of_anybody_else_stays(server: Server, activity: DatabaseActivity) -> None:
    with login(server, OTHER) as other:
        pid = pid_of(other)
        assert not told(activity, session_of(activity, pid))
        # Nor without the function: PostgreSQL itself keeps the role from it.
        with login(server, REMEDY) as direct, pytest.raises(DriverError, match=r"permission denied|must be a member"):
            direct.run("SELECT pg_terminate_backend(:pid)", pid=pid)
        assert pid_of(other) == pid


def test_a_session_that_has_done_something_since_stays(server: Server, activity: DatabaseActivity) -> None:
    with login(server, SERVICE) as busy:
        found = session_of(activity, pid_of(busy))
        busy.run("SELECT 1")
        assert not told(activity, found)
        assert busy.run("SELECT 2") == [[2]]


def test_another_session_with_the_same_process_number_stays(server: Server, activity: DatabaseActivity) -> None:
    with login(server, SERVICE) as session:
        found = session_of(activity, pid_of(session))
        earlier = found.backend_start - timedelta(microseconds=1)
        assert not activity.end_session(found.pid, earlier, found.state_change)
        assert session.run("SELECT 2") == [[2]]


def test_an_active_session_is_never_ended_as_an_idle_one(server: Server, activity: DatabaseActivity) -> None:
    with running(server, SERVICE, "SELECT pg_sleep(60)") as pid:
        query_of(activity, pid)
        assert not told(activity, session_of(activity, pid))
        assert alive(server, pid)


def test_a_query_of_the_service_is_cancelled_and_its_session_stays(server: Server, activity: DatabaseActivity) -> None:
    with running(server, SERVICE, "SELECT pg_sleep(60)") as pid:
        found = query_of(activity, pid)
        assert (found.role, found.wait_event_type) == (SERVICE, "Timeout")
        assert found.text == "SELECT pg_sleep(?)"
        assert activity.cancel_query(pid, found.query_start)
        eventually(lambda: session_of(activity, pid).state == "idle")


def test_a_query_is_ended_with_its_session(server: Server, activity: DatabaseActivity) -> None:
    with running(server, SERVICE, "SELECT pg_sleep(60)") as pid:
        found = query_of(activity, pid)
        assert activity.end_query(pid, found.query_start)
        eventually(lambda: not alive(server, pid))


def test_another_query_or_anybody_else_s_goes_on(server: Server, activity: DatabaseActivity) -> None:
    with (
        running(server, SERVICE, "SELECT pg_sleep(60)") as own,
        running(server, OTHER, "SELECT pg_sleep(60)") as foreign,
    ):
        found, other = query_of(activity, own), query_of(activity, foreign)
        earlier = found.query_start - timedelta(microseconds=1)
        assert not activity.cancel_query(own, earlier)
        assert not activity.end_query(own, earlier)
        assert not activity.cancel_query(foreign, other.query_start)
        assert not activity.end_query(foreign, other.query_start)
        assert {query_of(activity, own).query_start, query_of(activity, foreign).query_start} == {
            found.query_start,
            other.query_start,
        }


def test_the_capture_says_who_blocks_whom_without_anybody_s_data(server: Server, activity: DatabaseActivity) -> None:
    with ExitStack() as stack:
        with login(server, SERVICE) as session:
            session.run("CREATE TABLE IF NOT EXISTS secret (name text)")
            session.run("INSERT INTO secret VALUES ('Alice')")
        holder = stack.enter_context(login(server, SERVICE, "holder"))
        holder.run("BEGIN")
        holder.run("UPDATE secret SET name = 'Bob'")
        waiting = stack.enter_context(
            running(server, SERVICE, "UPDATE secret SET name = 'Carol' WHERE name = 'Alice' -- of Dora")
        )
        eventually(lambda: any(one["pid"] == waiting for one in activity.capture()["blocked"]))
        found = activity.capture()
        (blocked,) = found["blocked"]
        with server.connection("app") as administrator:
            own = administrator.run("SELECT pid FROM pg_stat_activity WHERE application_name = 'holder'")[0][0]
        assert blocked["blocked_by"] == [own]
        assert blocked["wait"] == "Lock:transactionid"
        assert blocked["statement"] == "UPDATE secret SET name = ? WHERE name = ?"
        assert {one["pid"]: one["state"] for one in found["busiest"]} == {waiting: "active", own: "idle in transaction"}
        assert found["sessions"][SERVICE] == {"active": 1, "idle in transaction": 1}
        assert found["statements"] is None
        assert "pg_stat_statements" in found["statements_absent"]
        text = json.dumps(found)
        assert not any(name in text for name in ("Alice", "Bob", "Carol", "Dora"))


def test_the_capture_stays_small_however_much_goes_on(server: Server, activity: DatabaseActivity) -> None:
    with ExitStack() as stack:
        for _ in range(12):
            session = stack.enter_context(login(server, SERVICE, "a" * 60))
            session.run("BEGIN")
            session.run(f"SELECT {', '.join('now()' for _ in range(100))}")
        found = activity.capture()
        assert found["sessions"][SERVICE] == {"idle in transaction": 12}
        assert len(found["busiest"]) == 8
        assert len(json.dumps(found)) < 8_000


@pytest.fixture
def statistics(server: Server) -> Iterator[None]:
    """A stand-in for the extension, which the sandbox's PostgreSQL does not bring along: its view and its entry."""
    columns = "calls bigint, total_exec_time float8, mean_exec_time float8, rows bigint, query text, dbid oid"
    with server.connection("app") as administrator:
        administrator.run('CREATE SCHEMA "Odd name"')
        administrator.run(f'CREATE TABLE "Odd name".pg_stat_statements ({columns})')
        administrator.run(
            """INSERT INTO "Odd name".pg_stat_statements
            SELECT g, g * 10, 10, g, 'SELECT $1 FROM t WHERE n = ''Eve'' /* ' || g || ' */',
                (SELECT oid FROM pg_database WHERE datname = 'app') FROM generate_series(1, 7) g"""
        )
        administrator.run('GRANT USAGE ON SCHEMA "Odd name" TO PUBLIC')
        administrator.run('GRANT SELECT ON "Odd name".pg_stat_statements TO PUBLIC')
        administrator.run(
            """INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
            SELECT 99999, 'pg_stat_statements', nspowner, oid, true, '1.10' FROM pg_namespace
            WHERE nspname = 'Odd name'"""
        )
        try:
            yield
        finally:
            administrator.run("DELETE FROM pg_extension WHERE oid = 99999")
            administrator.run('DROP SCHEMA "Odd name" CASCADE')


@pytest.mark.usefixtures("statistics")
def test_the_statements_that_took_most_time_are_read_where_they_are_counted(activity: DatabaseActivity) -> None:
    found = activity.capture()
    assert found["statements_absent"] is None
    assert [one["total_ms"] for one in found["statements"]] == [70.0, 60.0, 50.0, 40.0, 30.0]
    assert found["statements"][0] == {
        "calls": 7,
        "total_ms": 70.0,
        "mean_ms": 10.0,
        "rows": 7,
        "statement": "SELECT $1 FROM t WHERE n = ?",
    }


@pytest.mark.usefixtures("statistics")
def test_statistics_that_cannot_be_read_are_said_to_be_absent(server: Server, activity: DatabaseActivity) -> None:
    with server.connection("app") as administrator:
        administrator.run('REVOKE SELECT ON "Odd name".pg_stat_statements FROM PUBLIC')
    found = activity.capture()
    assert found["statements"] is None
    assert "permission denied" in found["statements_absent"]


def test_a_database_whose_roles_are_of_an_earlier_file_is_named(server: Server) -> None:
    with login(server, REMEDY, database="postgres") as session, pytest.raises(DatabaseError, match="ops"):
        DatabaseActivity(Connection(session)).service_role()


def test_what_was_told_to_end_is_looked_for_a_few_times() -> None:
    looks = iter([{1, 2, 3}, {2, 3}, {3}, {3}])
    pauses: list[float] = []
    assert until_gone(lambda: next(looks), [1, 2, 3], looks=4, sleep=pauses.append) == {3}
    assert len(pauses) == 3
    assert until_gone(lambda: {9}, [1], sleep=pauses.append) == set()
    assert len(pauses) == 3
