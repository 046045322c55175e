"""Detections in PostgreSQL, with a read cache aside and a write queue for when the database is away."""

import asyncio
import json
import sqlite3
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

from sandbox.service import sources
from sandbox.service.cache import Cache
from sandbox.service.database import Database, DatabaseRefusedError, DatabaseUnavailableError, InvalidDataError
from sandbox.service.detections import InvalidDetectionError, Kept, Page, Readiness, UnavailableError
from sandbox.service.logs import log
from sandbox.service.queue import Queue, Queued
from sandbox.service.settings import Settings

FIELDS = ("id", "source", "label", "confidence", "latitude", "longitude", "observed_at", "received_at")
_INSERT = (
    f"INSERT INTO detections ({', '.join(FIELDS)}) "  # noqa: S608 - constants
    f"VALUES ({', '.join(f'${number}' for number in range(1, len(FIELDS) + 1))}) ON CONFLICT (id) DO NOTHING"
)
_SELECT = f"SELECT {', '.join(FIELDS)} FROM detections"  # noqa: S608 - constants
_NEWEST_FIRST = f"{_SELECT} ORDER BY received_at DESC, id LIMIT $1 OFFSET $2"

DRAIN_BATCH = 200
DRAIN_POLL_SECONDS = 0.5
WAIT_SECONDS = 1.0
"""What a request waits for a database that is just being connected to."""
_LOST = (DatabaseUnavailableError, DatabaseRefusedError)


def _row(detection: dict[str, Any]) -> tuple[Any, ...]:
    times = {name: datetime.fromisoformat(detection[name]) for name in ("observed_at", "received_at")}
    return tuple(({**detection, **times, "id": UUID(detection["id"])})[name] for name in FIELDS)


def _detection(row: Any) -> dict[str, Any]:
    values = dict(row)
    return values | {
        "id": str(values["id"]),
        "observed_at": values["observed_at"].isoformat(),
        "received_at": values["received_at"].isoformat(),
    }


class DurableStore:
    """As `DetectionStore`. A detection is written once, by its id, however often it is tried."""

    def __init__(self, settings: Settings) -> None:
        self._database = Database(
            settings, sources.database_endpoint(settings), sources.password(settings), self._connected
        )
        self._cache = Cache(settings, sources.cache_url(settings)) if settings.has_cache else None
        self._queue = Queue(settings.queue_path) if settings.queue_path else None
        # Until the queue has been looked at, something may be in it.
        self._backlog = self._queue is not None
        self._wake = asyncio.Event()
        self._drainer: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to connect; returns at once."""
        self._database.start()
        if self._cache is not None:
            self._cache.start()
        if self._queue is not None:
            self._backlog = await self._queue.depth() > 0
            self._drainer = asyncio.get_running_loop().create_task(self._drain_forever())

    async def close(self) -> None:
        """Give everything up; what is queued stays in its file."""
        if self._drainer is not None:
            self._drainer.cancel()
            with suppress(asyncio.CancelledError):
                await self._drainer
        await self._database.close()
        if self._cache is not None:
            await self._cache.close()
        if self._queue is not None:
            await self._queue.close()

    async def add(self, detection: dict[str, Any]) -> Kept:
        """As `DetectionStore.add`. While anything is queued, what is new is queued behind it."""
        await self._database.settled(WAIT_SECONDS)
        if self._queue is None:
            await self._database.wait_available(WAIT_SECONDS)
        elif self._backlog or not self._database.available:
            return await self._enqueue(self._queue, detection)
        try:
            kept = await self._database.run(lambda connection: _insert(connection, detection))
        except InvalidDataError as error:
            raise InvalidDetectionError(str(error)) from error
        except _LOST as error:
            if self._queue is None:
                raise UnavailableError(str(error)) from error
            return await self._enqueue(self._queue, detection)
        if self._cache is not None:
            await self._cache.invalidate()
        return Kept(kept, stored=True)

    async def _enqueue(self, queue: Queue, detection: dict[str, Any]) -> Kept:
        try:
            await queue.put(detection)
        except sqlite3.Error as error:
            raise UnavailableError(f"the queue: {error}") from error
        self._backlog = True
        self._wake.set()
        return Kept(detection, stored=False)

    async def recent(self, limit: int, cursor: int) -> Page:
        """As `DetectionStore.recent`."""
        name, generation = f"{limit}:{cursor}", ""
        if self._cache is not None:
            found, generation = await self._cache.get(name)
            if found is not None:
                return Page(**json.loads(found))
        await self._database.wait_available(WAIT_SECONDS)
        try:
            rows = await self._database.run(lambda connection: connection.fetch(_NEWEST_FIRST, limit + 1, cursor))
        except (*_LOST, InvalidDataError) as error:
            raise UnavailableError(str(error)) from error
        page = Page([_detection(row) for row in rows[:limit]], cursor + limit if len(rows) > limit else None)
        if self._cache is not None:
            document = {"items": page.items, "next_cursor": page.next_cursor}
            await self._cache.put(name, json.dumps(document, separators=(",", ":")).encode(), generation)
        return page

    async def readiness(self) -> Readiness:
        """As `DetectionStore.readiness`, asked of the database now."""
        reads = writes = False
        with suppress(*_LOST, InvalidDataError):
            reads, writes = await self._database.run(_rights)
        try:
            queued = await self._queue.depth() if self._queue is not None else None
        except sqlite3.Error:
            queued = None
        accepts = "stored" if writes else "queued" if queued is not None else "refused"
        return Readiness(
            read=reads,
            write=accepts,
            database=self._database.endpoint,
            cache=None if self._cache is None else await self._cache.ping(),
            queued=queued,
        )

    async def _connected(self, moved: bool) -> None:
        self._wake.set()
        if moved and self._cache is not None:
            # What was read from the other database is not what this one holds.
            await self._cache.invalidate()

    async def _drain_forever(self) -> None:
        queue = self._queue
        assert queue is not None  # noqa: S101 - otherwise it is not started
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), DRAIN_POLL_SECONDS)
            self._wake.clear()
            try:
                await self._drain(queue)
            except _LOST:
                # Not available: `_connected` wakes us. Refused: it may yet be granted, or restored.
                await asyncio.sleep(DRAIN_POLL_SECONDS)
            except sqlite3.Error as error:
                log("error", "the queue cannot be read", error=repr(error))

    async def _drain(self, queue: Queue) -> None:
        await self._database.wait_available(DRAIN_POLL_SECONDS)
        if not self._database.available or not queue.claim():
            self._backlog = await queue.depth() > 0
            return
        drained = 0
        try:
            while batch := await queue.head(DRAIN_BATCH):
                self._backlog = True
                await self._store(queue, batch)
                drained += len(batch)
            self._backlog = False
        finally:
            queue.release()
            if drained:
                log("info", "queue drained", detections=drained)
                if self._cache is not None:
                    await self._cache.invalidate()

    async def _store(self, queue: Queue, batch: list[Queued]) -> None:
        """Write a batch in one transaction, in order, then drop it from the queue."""
        rows = [_row(one.detection) for one in batch]
        try:
            await self._database.run(lambda connection: connection.executemany(_INSERT, rows))
        except InvalidDataError as error:
            if len(batch) > 1:
                for one in batch:
                    await self._store(queue, [one])
                return
            # It would hold up all others for ever. `parse` lets nothing through that the table refuses.
            log("error", "a queued detection is refused and dropped", detection=batch[0].detection, error=str(error))
        await queue.remove(batch)


async def _insert(connection: Any, detection: dict[str, Any]) -> dict[str, Any]:
    """The detection as it is stored, which is the first one of its id."""
    row = _row(detection)
    if await connection.execute(_INSERT, *row) == "INSERT 0 1":
        return detection
    found = await connection.fetchrow(f"{_SELECT} WHERE id = $1", row[0])
    return _detection(found) if found is not None else detection


async def _rights(connection: Any) -> tuple[bool, bool]:
    """Whether this connection may read and write detections."""
    row = await connection.fetchrow(
        "SELECT to_regclass('detections') IS NOT NULL AS present,"
        " current_setting('transaction_read_only')::boolean AS read_only"
    )
    if not row["present"]:
        return False, False
    allowed = await connection.fetchrow(
        "SELECT has_table_privilege('detections', 'SELECT') AS reads,"
        " has_table_privilege('detections', 'INSERT') AS writes"
    )
    return bool(allowed["reads"]), bool(allowed["writes"]) and not row["read_only"]
