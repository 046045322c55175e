"""The proxy as a whole: its connections, the periodic sweep, and the port it tells targets of."""

import asyncio

from sandbox.balancer.client_connection import ClientConnection
from sandbox.balancer.state import Table

SWEEP_SECONDS = 0.5


class Proxy:
    """Accepts clients on the listener's address and follows `table`."""

    def __init__(self, table: Table, port: int) -> None:
        self.table = table
        self.loop = asyncio.get_running_loop()
        self.clients: set[ClientConnection] = set()
        self._port = port

    @property
    def forwarded_port(self) -> bytes:
        """X-Forwarded-Port: the listener's port, or the socket's until a listener is known."""
        return str(self.table.listener_port or self._port).encode()

    async def serve(self, host: str) -> asyncio.Server:
        """Listen; the server that is returned accepts connections already."""
        return await self.loop.create_server(lambda: ClientConnection(self), host, self._port, backlog=1024)

    async def sweep(self) -> None:
        """Apply the idle timeout, forever, to clients and to kept-alive connections to targets."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = self.loop.time()
            timeout = self.table.idle_timeout
            for client in tuple(self.clients):
                client.expire(now, timeout)
            for group in self.table.groups.values():
                for target in group.targets.values():
                    # The oldest stand at the left: the pool is used from the right.
                    while target.idle and now - target.idle[0].idle_since > timeout:
                        target.idle.popleft().close()
