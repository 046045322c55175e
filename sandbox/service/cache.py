"""The read cache in Redis: aside from the database, and never in the way."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from sandbox.service.logs import log
from sandbox.service.settings import Settings
from sandbox.service.sources import Source, SourceError

if TYPE_CHECKING:
    import redis.asyncio

T = TypeVar("T")

TIMEOUT_SECONDS = 0.25
"""What a request waits for Redis at most, and only once in `AWAY_SECONDS`."""
AWAY_SECONDS = 1.0
_GENERATION = "detections:generation"


class Cache:
    """Pages of detections by a generation that grows with every write, so that a write makes all of them old.

    Without Redis nothing is found and nothing is kept; a page that was kept while an invalidation failed is
    served until its time is up.
    """

    def __init__(self, settings: Settings, url: Source) -> None:
        self._settings = settings
        self._source = url
        self._url = ""
        self._client: redis.asyncio.Redis | None = None
        self._generation = "0"
        self._away_until = 0.0
        self._task: asyncio.Task[None] | None = None

    @property
    def up(self) -> bool:
        """Whether Redis answered when last asked."""
        return self._client is not None and time.monotonic() >= self._away_until

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._task = asyncio.get_running_loop().create_task(self._keep())

    async def close(self) -> None:
        """Give the connections up."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._use(None)

    async def get(self, name: str) -> tuple[bytes | None, str]:
        """What is kept under `name`, and the generation under which to keep what is read instead."""
        known = self._generation

        async def ask(client: Any) -> tuple[bytes | None, str]:
            generation, found = await client.mget(_GENERATION, self._key(known, name))
            current = str(generation, "ascii") if generation else "0"
            if current != known:
                self._generation = current
                found = await client.get(self._key(current, name))
            return found, current

        return await self._try(ask, (None, known))

    async def put(self, name: str, value: bytes, generation: str) -> None:
        """Keep what was read after `get` gave `generation`."""
        ttl = max(1, round(1000 * self._settings.cache_ttl_seconds))

        async def keep(client: "redis.asyncio.Redis") -> None:
            await client.set(self._key(generation, name), value, px=ttl)

        await self._try(keep, None)

    async def invalidate(self) -> None:
        """Make everything that is kept old."""

        async def bump(client: "redis.asyncio.Redis") -> None:
            self._generation = str(await client.incr(_GENERATION))

        await self._try(bump, None)

    async def ping(self) -> bool:
        """Whether Redis answers now."""

        async def ask(client: "redis.asyncio.Redis") -> bool:
            return bool(await client.ping())

        return await self._try(ask, False)

    @staticmethod
    def _key(generation: str, name: str) -> str:
        return f"detections:{generation}:{name}"

    async def _try(self, work: "Callable[[redis.asyncio.Redis], Awaitable[T]]", otherwise: T) -> T:
        client = self._client
        if client is None or time.monotonic() < self._away_until:
            return otherwise
        import redis  # noqa: PLC0415 - loaded by now

        try:
            answer = await asyncio.wait_for(work(client), TIMEOUT_SECONDS)
        except (redis.RedisError, OSError, TimeoutError) as error:
            if self._away_until == 0:
                log("error", "cache lost", error=repr(error))
            self._away_until = time.monotonic() + AWAY_SECONDS
            return otherwise
        if self._away_until:
            log("info", "cache is back")
            self._away_until = 0.0
        return answer

    async def _keep(self) -> None:
        # The client takes a third of a second to load, in which requests can be answered already.
        await asyncio.to_thread(__import__, "redis.asyncio")
        told = ""
        while True:
            try:
                url = await self._source()
                if url != self._url:
                    await self._use(url)
                told = ""
            except (OSError, SourceError, ValueError) as error:
                # Not at every poll, only when the reason is another.
                if repr(error) != told:
                    log("error", "cache endpoint not known", error=repr(error))
                told = repr(error)
            await asyncio.sleep(self._settings.endpoint_poll_seconds)

    async def _use(self, url: str | None) -> None:
        old, self._client = self._client, None
        if url is not None:
            import redis.asyncio  # noqa: PLC0415
            from redis.asyncio.retry import Retry  # noqa: PLC0415
            from redis.backoff import NoBackoff  # noqa: PLC0415

            tls: dict[str, Any] = {"ssl_ca_certs": self._settings.cache_ca} if self._settings.cache_ca else {}
            self._client = redis.asyncio.Redis.from_url(
                url,
                password=self._settings.cache_token or None,
                socket_timeout=TIMEOUT_SECONDS,
                socket_connect_timeout=TIMEOUT_SECONDS,
                max_connections=16,
                # One retry, at once: a connection that Redis closed while it was idle.
                retry=Retry(NoBackoff(), 1),
                **tls,
            )
            self._url = url
            self._away_until = 0.0
            log("info", "cache endpoint", url=url.rpartition("@")[2])
        if old is not None:
            with suppress(Exception):
                await old.aclose()
