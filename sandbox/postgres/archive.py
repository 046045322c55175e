"""A server's continuous WAL archive, and up to when one can restore from it.

`pg_receivewal` streams the WAL as it is written; RDS ships it every five minutes. The archive's *latest
restorable time* moves once a period: the server's clock is read, a record is committed after it, and once that
commit is seen in the archive's own files, everything committed up to that reading can be recovered, and a
recovery to it finds a later commit to stop at. RDS writes such heartbeats too, so an idle database's time moves.
"""

import contextlib
import logging
import signal
import subprocess
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pg8000.exceptions import DatabaseError, InterfaceError

from sandbox.postgres import children
from sandbox.postgres.binaries import PostgresError, program
from sandbox.postgres.server import ADMINISTRATOR, SOCKET_HERE, Server

log = logging.getLogger(__name__)

_SLOT = "archive"
_OPTIONS = ("-S", _SLOT, "--no-loop", "--no-sync", "-w")
_GIVE_UP_SECONDS = 10.0
_COMPARED = 64


class Archive:
    """The archive of one server, in `directory`. Between `start` and `stop` it follows the server."""

    def __init__(self, server: Server, directory: Path, period_seconds: float) -> None:
        self.directory = directory
        self._server = server
        self._period = period_seconds
        self._receiver: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._end = threading.Event()
        self._wake = threading.Event()
        self._held = threading.Event()
        self._latest: datetime | None = None

    @property
    def latest(self) -> datetime | None:
        """The latest restorable time, in whole milliseconds, or None if there is none yet."""
        return self._latest

    def hold(self, held: bool) -> None:
        """Let the archive fall behind, or catch up."""
        if held:
            self._held.set()
        else:
            self._held.clear()

    def start(self) -> None:
        """Begin, or go on after a `stop`; the server must run."""
        if self._thread is not None:
            return
        self.directory.mkdir(exist_ok=True)
        self._end.clear()
        # The slot makes the server keep what the archive has not got yet.
        with self._server.connection() as session:
            session.run(
                "SELECT pg_create_physical_replication_slot(:slot, true) "
                "WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = :slot)",
                slot=_SLOT,
            )
        self._receive()
        self._thread = threading.Thread(target=self._follow, name="archive", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop following; what is archived stays."""
        self._end.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._drop_receiver()

    def reach(self, moment: datetime, seconds: float = 30.0) -> None:
        """Wait until the latest restorable time is at least `moment`; raises `PostgresError` after `seconds`."""
        deadline = time.monotonic() + seconds
        while self._latest is None or self._latest < moment:
            self._wake.set()
            if time.monotonic() > deadline:
                raise PostgresError(f"the WAL archive did not reach {moment.isoformat()}")
            time.sleep(0.02)

    def _receive(self) -> None:
        if self._receiver is not None and self._receiver.poll() is None:
            return
        self._receiver = children.start(
            [program("pg_receivewal"), "-D", "../archive", "-h", SOCKET_HERE, "-U", ADMINISTRATOR, *_OPTIONS],
            cwd=self._server.socket,
            log=self._server.log,
        )

    def _drop_receiver(self) -> None:
        if self._receiver is not None:
            children.stop(self._receiver, signal.SIGINT, 2.0)
            self._receiver = None

    def _follow(self) -> None:
        session: Any = None
        while True:
            try:
                if self._held.is_set():
                    self._drop_receiver()
                else:
                    self._receive()
                    session = session or self._server.connect()
                    self._advance(session)
            except (OSError, InterfaceError, DatabaseError, PostgresError) as error:
                # The server is being restarted, or is gone; whoever did that knows.
                log.info("archive %s: %s", self._server.directory.name, error)
                _close(session)
                session = None
            self._wake.wait(self._period)
            self._wake.clear()
            if self._end.is_set():
                _close(session)
                return

    def _advance(self, session: Any) -> None:
        ((moment,),) = session.run("SELECT clock_timestamp()")
        session.run("SELECT pg_logical_emit_message(true, 'heartbeat', '')")
        ((segment, end),) = session.run("SELECT * FROM pg_walfile_name_offset(pg_current_wal_flush_lsn())")
        begin = max(0, end - _COMPARED)
        wanted = _read(self._server.data / "pg_wal" / segment, begin, end)
        deadline = time.monotonic() + _GIVE_UP_SECONDS
        while _read(self._segment(segment), begin, end) != wanted:
            if time.monotonic() > deadline or self._end.is_set() or self._held.is_set():
                return
            time.sleep(0.005)
        # Strictly before that commit, in the precision in which the API states it.
        moment = moment.astimezone(UTC)
        self._latest = moment.replace(microsecond=moment.microsecond // 1000 * 1000) - timedelta(milliseconds=1)

    def _segment(self, name: str) -> Path:
        whole = self.directory / name
        return whole if whole.exists() else self.directory / f"{name}.partial"


def _close(session: Any) -> None:
    if session is not None:
        with contextlib.suppress(OSError, InterfaceError):
            session.close()


def _read(path: Path, begin: int, end: int) -> bytes | None:
    try:
        with path.open("rb") as file:
            file.seek(begin)
            return file.read(end - begin)
    except FileNotFoundError:
        return None
