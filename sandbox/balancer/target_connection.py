"""One connection from the balancer to a target. It carries one request at a time and may be kept alive."""

import asyncio
import socket
from typing import TYPE_CHECKING, cast

import httptools

from sandbox.balancer.messages import Headers
from sandbox.balancer.state import Target

if TYPE_CHECKING:
    from sandbox.balancer.exchange import Exchange

CONNECT_TIMEOUT = 10.0
"""Seconds in which a target must accept a connection, else 504 ("the connection timeout (10 seconds)", user
guide, HTTP 504 in "Troubleshoot your Application Load Balancers")."""

_NO_BODY = frozenset({204, 304})


class TargetConnection(asyncio.Protocol):
    """Parses responses and hands them to the exchange that holds the connection."""

    def __init__(self, target: Target, sock: socket.socket) -> None:
        self.target = target
        self.idle_since = 0.0
        self._sock = sock
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._writable = True
        self._until_close = False

    @classmethod
    async def open(cls, target: Target) -> "TargetConnection":
        """Connect; raises OSError, or TimeoutError after `CONNECT_TIMEOUT`."""
        loop = asyncio.get_running_loop()
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await loop.sock_connect(sock, (target.id, target.port))
                _, connection = await loop.create_connection(lambda: cls(target, sock), sock=sock)
        except BaseException:
            sock.close()
            raise
        return connection

    def usable(self) -> bool:
        """Whether the connection can carry another request: open, and nothing has arrived unasked.

        The event loop may not have seen yet that the target closed its side, so the socket itself is asked.
        A request is never sent twice (an ALB does not retry), therefore this has to be known beforehand.
        """
        if self._transport is None or self._transport.is_closing():
            return False
        try:
            self._sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def carry(self, exchange: "Exchange", data: bytes, *, head_only: bool) -> None:
        """Begin an exchange by sending `data`; `head_only` if the answer to it has no body (HEAD)."""
        self._exchange = exchange
        self._head_only = head_only
        self._parser = httptools.HttpResponseParser(self)
        self._headers: Headers = []
        self._reason = b""
        self._started = self._ended = self._stray = False
        self._until_close = self._keep_alive = False
        self.target.busy.add(self)
        self.send(data)

    def send(self, data: bytes) -> None:
        """Send more of the request."""
        if self._transport is not None:
            self._transport.write(data)

    @property
    def writable(self) -> bool:
        """False while the target takes data in more slowly than it is sent."""
        return self._writable

    def pause(self) -> None:
        """Read no more of the response for now."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on after `pause`."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def release(self, now: float, *, keep: bool) -> None:
        """The exchange is over; `keep` if its request was sent in full. Pool the connection or close it."""
        self._exchange = None
        target = self.target
        target.busy.discard(self)
        clean = keep and self._ended and self._keep_alive and not self._stray
        wanted = not target.draining and not target.gone
        if clean and wanted and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
            self.idle_since = now
            target.idle.append(self)
            return
        self.close()

    def close(self) -> None:
        """Close after what was written has been sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once; an answer that is still arriving is broken off, also one that ends by closing."""
        self._until_close = False
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is ready."""

        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Part of a response, or something that no request asked for."""
        exchange = self._exchange
        if exchange is None:
            self.abort()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            # Bytes after a complete answer spoil the connection, not the answer.
            if not self._ended:
                self.abort()
                exchange.broken()
                return
            self._stray = True
        exchange.flush()
        if self._ended:
            exchange.response_end()

    def eof_received(self) -> None:
        """The target will send no more; the transport closes itself."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed by either side, or broken."""
        self._transport = None
        target = self.target
        target.busy.discard(self)
        if self in target.idle:
            target.idle.remove(self)
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            return
        if self._started and self._until_close and exc is None:
            exchange.response_end()
        else:
            exchange.broken()

    def pause_writing(self) -> None:
        """The target is slower than the client."""
        self._writable = False
        if self._exchange is not None:
            self._exchange.target_blocked(blocked=True)

    def resume_writing(self) -> None:
        """The target has caught up."""
        self._writable = True
        if self._exchange is not None:
            self._exchange.target_blocked(blocked=False)

    # httptools callbacks

    def on_message_begin(self) -> None:
        """A response begins."""
        if self._ended:
            self._stray = True
        self._headers, self._reason = [], b""

    def on_status(self, reason: bytes) -> None:
        """Part of the reason phrase."""
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is complete; 1xx answers are not passed on."""
        status = self._parser.get_status_code()
        exchange = self._exchange
        if status < 200 or self._ended or exchange is None:
            return
        self._started = True
        self._keep_alive = self._parser.should_keep_alive()
        names = {name.lower() for name, _ in self._headers}
        bodiless = self._head_only or status in _NO_BODY
        framed = b"content-length" in names or b"transfer-encoding" in names
        self._until_close = not framed and not bodiless
        exchange.response_head(
            status,
            self._reason,
            self._headers,
            sized=b"content-length" in names or bodiless,
        )
        if self._head_only:
            self._ended = True

    def on_body(self, body: bytes) -> None:
        """Part of the body."""
        if self._ended or self._exchange is None:
            self._stray = True
            return
        self._exchange.response_body(body)

    def on_message_complete(self) -> None:
        """The response is complete."""
        if self._started:
            self._ended = True
