"""Forwards each new connection to the host that a name stands for when it comes."""

import asyncio
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Self

from sandbox.relay import Channel

log = logging.getLogger("names")

_CONNECT_SECONDS = 5.0


class Forwarder:
    """Listens on 127.0.0.1 at `port` while entered. `host` is asked in a thread and may block."""

    def __init__(self, host: Callable[[], str | None], port: int) -> None:
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.get_running_loop().create_server(
            self._accept, "127.0.0.1", self._port, backlog=512, reuse_address=True
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()

    def _accept(self) -> Channel:
        client = Channel()
        task = asyncio.get_running_loop().create_task(self._forward(client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return client

    async def _forward(self, client: Channel) -> None:
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                host = await asyncio.to_thread(self._host)
                if host is None:
                    raise OSError("there is no record")
                _, server = await asyncio.get_running_loop().create_connection(Channel, host, self._port)
            client.join(server)
        except (OSError, TimeoutError) as error:
            log.info("a connection was not forwarded: %s", error or type(error).__name__)
            client.transport.abort()
