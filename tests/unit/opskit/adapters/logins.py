"""Real sessions with a server of `engines`, each signed in as whom it is to be: PostgreSQL keeps who that was."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pg8000 import native
from pg8000.exceptions import DatabaseError, InterfaceError

from sandbox.postgres.server import Server


@contextmanager
def login(server: Server, role: str, application: str = "test", database: str = "app") -> Iterator[Any]:
    """A session of `role`, which is in rds_iam; each statement is a transaction unless it begins one."""
    here = os.open(server.socket, os.O_PATH | os.O_DIRECTORY)
    try:
        path = f"/proc/self/fd/{here}/.s.PGSQL.5432"
        session = native.Connection(role, database=database, unix_sock=path, timeout=20, application_name=application)
    finally:
        os.close(here)
    try:
        yield session
    finally:
        with suppress(InterfaceError, DatabaseError, OSError):  # ended from the other side
            session.close()


def pid_of(session: Any) -> int:
    """Its process number."""
    return int(session.run("SELECT pg_backend_pid()")[0][0])


def alive(server: Server, pid: int) -> bool:
    """Whether there is a session with the process number."""
    with server.connection("app") as administrator:
        return bool(administrator.run("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid", pid=pid)[0][0])
