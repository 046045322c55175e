"""Connections to PostgreSQL that come back by themselves, wherever the endpoint says the database is."""

import asyncio
import random
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from sandbox.service.logs import log
from sandbox.service.schema import migrate
from sandbox.service.settings import Settings
from sandbox.service.sources import Password, Source, SourceError, split_endpoint

if TYPE_CHECKING:
    import asyncpg  # type: ignore[import-untyped]

T = TypeVar("T")

POOL_SIZE = 4
CONNECT_SECONDS = 2.0
STATEMENT_SECONDS = 2.0
"""What the server allows a statement; the client waits a second longer, for a server that says nothing."""
ACQUIRE_SECONDS = 2.0
SHORTEST_BACKOFF_SECONDS = 0.1
LONGEST_BACKOFF_SECONDS = 2.0


class DatabaseUnavailableError(Exception):
    """The database could not be reached, or not in time. What was under way may or may not have been done."""


class DatabaseRefusedError(Exception):
    """The database answered, and would not do it; for lack of a right or a table, say. Nothing was done."""


class InvalidDataError(Exception):
    """The database will never take this: the data are at fault."""


class Database:
    """A small pool that is replaced when it breaks or the endpoint changes.

    `on_connected` is awaited after each new connection, with whether the endpoint is another than before.
    """

    def __init__(
        self,
        settings: Settings,
        endpoint: Source,
        password: Password,
        on_connected: Callable[[bool], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._source = endpoint
        self._password = password
        self._on_connected = on_connected
        self._pool: asyncpg.Pool | None = None
        self._broken = asyncio.Event()
        self._settled = asyncio.Event()
        self._available = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.endpoint = ""
        """`host:port` of the last connection."""

    @property
    def available(self) -> bool:
        """Whether there is a pool that has not failed yet."""
        return self._available.is_set()

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._task = asyncio.get_running_loop().create_task(self._keep())

    async def close(self) -> None:
        """Give the connections up."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._discard(grace_seconds=1.0)

    async def settled(self, seconds: float) -> None:
        """Wait, at most `seconds`, while a connection is first tried: at the start, and after a swap."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._settled.wait(), seconds)

    async def wait_available(self, seconds: float) -> None:
        """Wait, at most `seconds`, until it is available."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._available.wait(), seconds)

    async def run(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """`work` with a connection. Raises the errors of this module and nothing of the driver's."""
        pool = self._pool
        if pool is None or not self.available:
            raise DatabaseUnavailableError("not connected")
        import asyncpg  # noqa: PLC0415 - loaded by now

        try:
            connection = await pool.acquire(timeout=ACQUIRE_SECONDS)
        except TimeoutError as error:
            # All connections are at work. If that is for want of answers, those who wait for them will tell.
            raise DatabaseUnavailableError("no connection is free") from error
        except (*_connection_errors(), asyncpg.PostgresError, SourceError) as error:
            self._fail(pool, error)
            raise DatabaseUnavailableError(str(error)) from error
        try:
            return await work(connection)
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
            raise InvalidDataError(str(error)) from error
        except _connection_errors() as error:
            self._fail(pool, error)
            raise DatabaseUnavailableError(str(error) or type(error).__name__) from error
        except asyncpg.PostgresError as error:
            raise DatabaseRefusedError(str(error)) from error
        finally:
            # A connection that cannot be reset is closed by the pool, or with it.
            with suppress(Exception):
                await pool.release(connection, timeout=1.0)

    def _fail(self, pool: "asyncpg.Pool", error: BaseException) -> None:
        if pool is self._pool and not self._broken.is_set():
            log("error", "database lost", endpoint=self.endpoint, error=repr(error))
            self._available.clear()
            self._broken.set()

    async def _keep(self) -> None:
        # The driver takes a tenth of a second to load, in which requests can be answered already.
        await asyncio.to_thread(__import__, "asyncpg")
        backoff = SHORTEST_BACKOFF_SECONDS
        told = ""
        while True:
            try:
                await self._connect()
            except Exception as error:  # noqa: BLE001 - whatever it is, the next try may succeed
                self._settled.set()
                # Not at every try, only when the reason is another.
                if repr(error) != told:
                    log("error", "database not reached", error=repr(error))
                told = repr(error)
                await asyncio.sleep(backoff * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                backoff = min(2 * backoff, LONGEST_BACKOFF_SECONDS)
                continue
            told, backoff = "", SHORTEST_BACKOFF_SECONDS
            if await self._swapped_or_broken():
                self._settled.clear()
            await self._discard()

    async def _connect(self) -> None:
        import asyncpg  # noqa: PLC0415

        before, endpoint = self.endpoint, await self._source()
        host, port = split_endpoint(endpoint)
        self._broken.clear()
        pool = await asyncpg.create_pool(
            host=host,
            port=port,
            user=self._settings.database_user,
            database=self._settings.database_name,
            password=lambda: self._password(host, port),
            ssl=_tls(self._settings.database_ca),
            min_size=1,
            max_size=POOL_SIZE,
            timeout=CONNECT_SECONDS,
            command_timeout=STATEMENT_SECONDS + 1,
            server_settings={
                "application_name": self._settings.database_user,
                "statement_timeout": str(int(1000 * STATEMENT_SECONDS)),
                "idle_in_transaction_session_timeout": "5000",
            },
        )
        self._pool = pool
        try:
            async with pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
                done = await migrate(connection)
            await self._on_connected(bool(before) and endpoint != before)
        except BaseException:
            await self._discard()
            raise
        self.endpoint = endpoint
        self._available.set()
        self._settled.set()
        log("info", "database connected", endpoint=endpoint, migrations=done)

    async def _swapped_or_broken(self) -> bool:
        """Wait until the pool is of no more use; True if that is because the endpoint is another now."""
        renewed = time.monotonic()
        while True:
            try:
                await asyncio.wait_for(self._broken.wait(), self._settings.endpoint_poll_seconds)
            except TimeoutError:
                pass
            else:
                return False
            try:
                endpoint = await self._source()
            except (OSError, SourceError):
                continue  # no news; a connection that works is better
            if time.monotonic() - renewed > self._settings.connection_seconds and self._pool is not None:
                # Each is closed when it is free; the next ones look the name up again, and log in anew.
                await self._pool.expire_connections()
                renewed = time.monotonic()
            if endpoint != self.endpoint:
                log("info", "database endpoint changed", before=self.endpoint, endpoint=endpoint)
                # The pool goes at once: what is written to the old one from here on would be lost.
                return True

    async def _discard(self, grace_seconds: float = 0.0) -> None:
        self._available.clear()
        pool, self._pool = self._pool, None
        if pool is None:
            return
        if grace_seconds and not self._broken.is_set():
            with suppress(Exception):
                await asyncio.wait_for(pool.close(), grace_seconds)
                return
        pool.terminate()


def _connection_errors() -> tuple[type[BaseException], ...]:
    """What says that connections are of no use, rather than the statement."""
    import asyncpg  # noqa: PLC0415

    return (
        OSError,
        TimeoutError,
        asyncpg.InterfaceError,
        # What the driver says of a connection that the server ended between two statements.
        asyncpg.InternalClientError,
        asyncpg.PostgresConnectionError,
        asyncpg.AdminShutdownError,
        asyncpg.CrashShutdownError,
        asyncpg.CannotConnectNowError,
        # A primary that became a replica, or was fenced off: look where the database is now.
        asyncpg.ReadOnlySQLTransactionError,
    )


def _tls(authorities: str) -> ssl.SSLContext | bool:
    return ssl.create_default_context(cafile=authorities) if authorities else False
