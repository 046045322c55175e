"""Endpoints that are not a server's own port: those that speak TLS, and those that followed a failover."""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
Address = tuple[str, int]
_CHUNK = 64 * 1024


def server_context(tls_dir: Path) -> ssl.SSLContext:
    """TLS with the certificate for engines, version 1.2 or newer."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(tls_dir / "engines.pem", tls_dir / "engines.key")
    return context


class Relay:
    """Accepts on one address and passes on to another; made by `Relays`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, address: Address, target: Address) -> None:
        self._loop = loop
        self._target = target
        self._listener: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._address = address

    async def listen(self, context: ssl.SSLContext | None) -> None:
        """Begin to accept."""
        self._listener = await asyncio.start_server(self._accept, *self._address, ssl=context)

    def retarget(self, target: Address) -> None:
        """Pass new connections on to `target`, and cut the present ones."""
        self._run(self._retarget(target))

    def close(self) -> None:
        """Stop accepting and cut what is connected."""
        self._run(self._close())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _retarget(self, target: Address) -> None:
        self._target = target
        self._cut()

    async def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
        self._cut()

    def _cut(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - narrows the type
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._pass_on(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_connection(*self._target)
        try:
            both = [asyncio.ensure_future(_pump(reader, ours)), asyncio.ensure_future(_pump(theirs, writer))]
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for one in both:
                    one.cancel()
        finally:
            ours.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()


class Relays:
    """All relays of a process, in one thread that starts with the first of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self, address: Address, target: Address, context: ssl.SSLContext | None = None) -> Relay:
        """Accept at `address`, with TLS if there is a `context`, and pass on to `target`."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="relays", daemon=True).start()
        relay = Relay(self._loop, address, target)
        asyncio.run_coroutine_threadsafe(relay.listen(context), self._loop).result(10)
        return relay
