"""PostgreSQL driven directly: recovery to a moment, the archive, and where processes end."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from sandbox.postgres import backup, privileges, roles
from sandbox.postgres.archive import Archive
from sandbox.postgres.binaries import PostgresError
from sandbox.postgres.server import Server
from tests.sandbox.fixtures.automation import ROOT, eventually
from tests.sandbox.fixtures.databases import ended, moment_between, names_of

USERS = ("owner",)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Longer than a Unix socket's path may be.
    return tmp_path_factory.mktemp("postgres") / ("d" * 60) / ("e" * 60)


@pytest.fixture(scope="module")
def source(directory: Path) -> Iterator[Server]:
    server = Server(directory / "source")
    server.create(directory / "template")
    server.configure(password_users=USERS)
    server.start()
    roles.create(server, master="owner", password="correct-horse", database="app")
    with server.connection("app") as session:
        session.run("CREATE TABLE t (n int)")
    try:
        yield server
    finally:
        server.stop(signal.SIGQUIT)


@pytest.fixture(scope="module")
def archive(source: Server) -> Iterator[Archive]:
    archive = Archive(source, source.directory / "archive", 0.1)
    archive.start()
    yield archive
    archive.stop()


def rows(server: Server) -> list[int]:
    with server.connection("app") as session:
        return [row[0] for row in session.run("SELECT n FROM t ORDER BY n")]


def test_a_recovery_to_a_moment_between_two_inserts_has_the_first_and_not_the_second(
    directory: Path, source: Server, archive: Archive
) -> None:
    base = backup.take(source, directory / "base")
    with source.connection("app") as session:
        session.run("DELETE FROM t")
        session.run("INSERT INTO t VALUES (1)")
        moment = moment_between(session)
        session.run("INSERT INTO t VALUES (2)")
    archive.reach(moment)
    restored = Server(directory / "restored")
    backup.recover(restored, base, archive.directory, moment, password_users=USERS)
    try:
        assert rows(restored) == [1]
        assert rows(source) == [1, 2]
        with restored.connection("app") as session:
            session.run("INSERT INTO t VALUES (3)")
        restored.stop(signal.SIGQUIT)
        restored.start()
        assert rows(restored) == [1, 3], "a crash after the recovery must not stop at its target"
    finally:
        restored.stop(signal.SIGQUIT)


def test_a_restored_base_is_as_it_was_whatever_came_after(directory: Path, source: Server) -> None:
    with source.connection("app") as session:
        session.run("DELETE FROM t")
        session.run("INSERT INTO t SELECT generate_series(1, 1000)")
        base = backup.take(source, directory / "thousand")
        session.run("DELETE FROM t")
    restored = Server(directory / "again")
    backup.restore(restored, base, password_users=USERS)
    try:
        assert rows(restored) == list(range(1, 1001))
    finally:
        restored.stop(signal.SIGQUIT)


def test_a_moment_that_the_archive_does_not_have_is_not_recovered_to(
    directory: Path, source: Server, archive: Archive
) -> None:
    base = backup.take(source, directory / "early")
    beyond = datetime.now(UTC) + timedelta(hours=1)
    with pytest.raises(PostgresError, match="recovery ended before configured recovery target was reached"):
        backup.recover(Server(directory / "beyond"), base, archive.directory, beyond, password_users=USERS)


def test_the_latest_restorable_time_moves_while_idle_and_stands_while_held(archive: Archive) -> None:
    before = eventually(lambda: archive.latest)
    eventually(lambda: archive.latest and archive.latest > before)
    assert archive.latest
    assert archive.latest < datetime.now(UTC)
    archive.hold(True)
    # One advance may be under way.
    eventually(lambda: archive._receiver is None)
    held = archive.latest
    with pytest.raises(PostgresError, match="did not reach"):
        archive.reach(held + timedelta(seconds=5), seconds=0.5)
    archive.hold(False)
    eventually(lambda: archive.latest and archive.latest > held)


def test_a_server_that_cannot_start_says_why(directory: Path) -> None:
    server = Server(directory / "wrong")
    server.create(directory / "template")
    server.configure(password_users=USERS, settings={"shared_buffers": "'much'"})
    with pytest.raises(PostgresError, match=r"invalid value for parameter .shared_buffers."):
        server.start()
    assert not server.running


def test_a_killed_parent_leaves_no_server(directory: Path) -> None:
    script = f"""
        import pathlib, signal, sys
        from sandbox.postgres.archive import Archive
        from sandbox.postgres.server import Server
        directory = pathlib.Path({str(directory)!r})
        server = Server(directory / "orphan")
        server.create(directory / "template")
        server.configure(password_users=())
        server.start()
        Archive(server, server.directory / "archive", 0.1).start()
        print("up", flush=True)
        signal.pause()
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "up\n"
    children = psutil.Process(parent.pid).children(recursive=True)
    assert {"postgres", "pg_receivewal"} <= names_of(children)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    eventually(lambda: ended(children))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root must not run PostgreSQL as itself")
@pytest.mark.parametrize("way", [privileges.Way.NAMESPACE, privileges.Way.NOBODY])
def test_as_root_the_server_runs_as_somebody_else(directory: Path, way: privileges.Way) -> None:
    if way is privileges.Way.NAMESPACE and privileges.way() is not way:
        pytest.skip("this machine has no user namespaces for us")
    script = f"""
        import pathlib, signal
        from sandbox.postgres import privileges
        privileges.way = lambda: privileges.Way.{way.name}
        from sandbox.postgres import backup, roles
        from sandbox.postgres.server import Server
        directory = pathlib.Path({str(directory)!r})
        server = Server(directory / {way.name!r})
        server.create(directory / {f"template-{way.name}"!r})
        server.configure(password_users=())
        server.start()
        base = backup.take(server, directory / {f"base-{way.name}"!r})
        restored = Server(directory / {f"restored-{way.name}"!r})
        backup.restore(restored, base, password_users=())
        with restored.connection() as session:
            assert session.run("SELECT 1") == [[1]]
        restored.stop()
        server.stop()
    """
    if way is privileges.Way.NOBODY:
        # pytest's directories are its user's alone.
        for parent in (directory, *directory.parents):
            if parent.stat().st_uid == os.geteuid() and str(parent).count("/") > 1:
                parent.chmod(parent.stat().st_mode | 0o011)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
