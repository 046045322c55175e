"""The write queue: a SQLite file that keeps detections until the database has them."""

import asyncio
import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Queued:
    """One waiting detection; `position` grows with every one that is accepted."""

    position: int
    detection: dict[str, Any]


class Queue:
    """Every method is atomic and durable when it returns. Several processes may use one file, also from several hosts.

    All work is done in one thread, because SQLite blocks; what raises is `sqlite3.Error`.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="queue")
        self._connection: sqlite3.Connection | None = None
        self._drainer: int | None = None

    async def put(self, detection: dict[str, Any]) -> None:
        """Append; a detection whose `id` is waiting already is not appended again."""
        text = json.dumps(detection, separators=(",", ":"))
        await self._run(
            lambda connection: connection.execute(
                "INSERT INTO queue (id, detection) VALUES (?, ?) ON CONFLICT (id) DO NOTHING", (detection["id"], text)
            )
        )

    async def head(self, limit: int) -> list[Queued]:
        """The oldest that wait, in the order of their acceptance."""
        rows = await self._run(
            lambda connection: connection.execute(
                "SELECT position, detection FROM queue ORDER BY position LIMIT ?", (limit,)
            ).fetchall()
        )
        return [Queued(position, json.loads(text)) for position, text in rows]

    async def remove(self, queued: Sequence[Queued]) -> None:
        """Drop those that the database has."""
        keys = [(one.position,) for one in queued]
        await self._run(lambda connection: connection.executemany("DELETE FROM queue WHERE position = ?", keys))

    async def depth(self) -> int:
        """How many wait."""
        return int(await self._run(lambda connection: connection.execute("SELECT count(*) FROM queue").fetchone()[0]))

    def claim(self) -> bool:
        """Become the one process that drains, until `release` or the end of this process; False if another is."""
        if self._drainer is None:
            lock = os.open(f"{self._path}.drain", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                return False
            self._drainer = lock
        return True

    def release(self) -> None:
        """Let another process drain."""
        if self._drainer is not None:
            os.close(self._drainer)
            self._drainer = None

    async def close(self) -> None:
        """Let go of the file; what waits in it stays."""
        self.release()
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await asyncio.get_running_loop().run_in_executor(self._thread, connection.close)
        self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._locked, work)

    def _locked(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._connection is None:
            self._connection = connect(self._path)
        with self._connection:
            return work(self._connection)


def connect(path: str) -> sqlite3.Connection:
    """A connection to the queue's file, which is made if it is missing. Raises `sqlite3.Error`."""
    connection = sqlite3.connect(path, timeout=5, check_same_thread=False)
    # Not WAL: that needs memory shared by all who use the file, and the pods share a network file system (EFS), whose
    # locks hold between nodes. https://www.sqlite.org/wal.html
    connection.execute("PRAGMA journal_mode = TRUNCATE")
    # What was answered 202 survives a loss of power, not only of the process.
    connection.execute("PRAGMA synchronous = FULL")
    with connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS queue ("
            " position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, detection TEXT NOT NULL)"
        )
    return connection
