"""An HTTP/1.1 server on asyncio and h11: quick to start, cheap to run, and it drains before it stops."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import h11

from sandbox.service.application import Request, Response, reply
from sandbox.service.logs import log

MAX_BODY_BYTES = 64 * 1024

Handler = Callable[[Request], Awaitable[Response]]


class _TooLargeError(Exception):
    pass


class Connection(asyncio.Protocol):
    """One client connection: requests are answered one after the other, in order."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._h11 = h11.Connection(h11.SERVER)
        self._transport: asyncio.Transport
        self._head: h11.Request | None = None
        self._body = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def busy(self) -> bool:
        """Whether a request has begun and is not answered yet."""
        return self._head is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - narrows the type
        self._transport = transport
        self._server.connections.add(self)
        self.expire_after(self._server.keep_alive_seconds)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        """The client went away; its unanswered request is dropped."""
        self._server.connections.discard(self)
        self._stop_timer()
        if self._task:
            self._task.cancel()
        self._server.closed()

    def data_received(self, data: bytes) -> None:
        """Bytes came in."""
        self._h11.receive_data(data)
        self._advance()

    def eof_received(self) -> bool:
        """The client will send no more; an answer that is under way still goes out."""
        self._h11.receive_data(b"")
        self._advance()
        return self.busy

    def expire_after(self, seconds: float) -> None:
        """Close the connection after `seconds` without a request."""
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.close_if_idle)

    def close_if_idle(self) -> None:
        """Close, unless a request is under way."""
        if not self.busy:
            self._transport.close()

    def _stop_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _advance(self) -> None:
        if self._task:
            return
        try:
            while True:
                event = self._h11.next_event()
                if isinstance(event, h11.Request):
                    self._stop_timer()
                    self._head = event
                    if self._h11.they_are_waiting_for_100_continue:
                        self._write(h11.InformationalResponse(status_code=100, headers=[]))
                elif isinstance(event, h11.Data):
                    self._body += event.data
                    if len(self._body) > MAX_BODY_BYTES:
                        raise _TooLargeError
                elif isinstance(event, h11.EndOfMessage):
                    self._task = asyncio.get_running_loop().create_task(self._answer())
                    return
                elif isinstance(event, h11.ConnectionClosed):
                    self._transport.close()
                    return
                else:
                    return
        except h11.RemoteProtocolError as error:
            self._refuse(reply(error.error_status_hint, {"error": "malformed request"}))
        except _TooLargeError:
            self._refuse(reply(413, {"error": f"the body is larger than {MAX_BODY_BYTES} bytes"}))

    async def _answer(self) -> None:
        head = self._head
        assert head is not None  # noqa: S101 - set before the task starts
        headers = {name.decode("ascii"): value.decode("latin-1") for name, value in head.headers}
        request = Request(head.method.decode(), head.target.decode("latin-1"), bytes(self._body), headers)
        try:
            response = await self._server.handler(request)
        except Exception as error:  # noqa: BLE001 - a fault of one request must not end the others
            log("error", "unhandled fault", error=repr(error), target=request.target)
            response = reply(500, {"error": "internal error"})
        self._send(response)
        self._task = None
        self._head = None
        self._body.clear()
        if self._h11.our_state is h11.MUST_CLOSE or self._h11.our_state is h11.ERROR:
            self._transport.close()
            return
        with contextlib.suppress(h11.LocalProtocolError):
            self._h11.start_next_cycle()
            self.expire_after(self._server.keep_alive_seconds)
            self._advance()

    def _refuse(self, response: Response) -> None:
        if self._h11.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._send(response, close=True)
        self._transport.close()

    def _send(self, response: Response, *, close: bool = False) -> None:
        headers = [
            ("content-type", response.content_type),
            ("content-length", str(len(response.body))),
            *response.headers,
        ]
        if close or self._server.draining:
            headers.append(("connection", "close"))
        head = h11.Response(status_code=response.status, headers=headers)
        self._write(head, h11.Data(data=response.body), h11.EndOfMessage())

    def _write(self, *events: h11.Event) -> None:
        if not self._transport.is_closing():
            self._transport.write(b"".join(filter(None, map(self._h11.send, events))))


class Server:
    """Listens on loopback until `drain` is called."""

    def __init__(self, handler: Handler, *, keep_alive_seconds: float) -> None:
        self.handler = handler
        self.keep_alive_seconds = keep_alive_seconds
        self.connections: set[Connection] = set()
        self.draining = False
        self._idle = asyncio.Event()
        self._listener: asyncio.Server

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port (chosen by the system for 0).

        `SO_REUSEPORT` lets whoever started this process hold the port for it, bound but not listening.
        """
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: Connection(self), host, port, reuse_port=True, backlog=1024)
        return int(self._listener.sockets[0].getsockname()[1])

    async def drain(self, *, linger_seconds: float, limit_seconds: float) -> None:
        """Stop listening, answer what is under way, and close every connection.

        An idle connection is kept for `linger_seconds`, because the balancer may just be sending on it; what
        still arrives is answered with `Connection: close`. After `limit_seconds` the rest is cut off.
        """
        self.draining = True
        self._listener.close()
        for connection in self.connections:
            if not connection.busy:
                connection.expire_after(linger_seconds)
        self.closed()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), limit_seconds)

    def closed(self) -> None:
        """A connection ended."""
        if self.draining and not self.connections:
            self._idle.set()
