"""One client's connection to the listener. Pipelined requests are answered in order, one at a time."""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, cast

import httptools

from sandbox.balancer import measurements as metric
from sandbox.balancer.exchange import Exchange
from sandbox.balancer.messages import CONTINUE, Headers, own_answer

if TYPE_CHECKING:
    from sandbox.balancer.proxy import Proxy

MAX_LINE = 16 * 1024
MAX_HEAD = 64 * 1024
"""Bytes of a request line or one header, and of a whole head; above them 400 (user guide, HTTP 400)."""


class _TooLargeError(Exception):
    """The head of a request exceeds the limits; the parser turns it into an `HttpParserError`."""


class ClientConnection(asyncio.Protocol):
    """Parses requests and makes an `Exchange` of each."""

    def __init__(self, proxy: "Proxy") -> None:
        self.proxy = proxy
        self.address = b""
        self.last_activity = proxy.loop.time()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._headers: Headers = []
        self._size = 0
        self._receiving: Exchange | None = None
        self._exchanges: deque[Exchange] = deque()
        self._held = False
        self._closing = False

    def send(self, data: bytes) -> None:
        """Send part of a response."""
        if self._transport is not None and not self._transport.is_closing():
            self.last_activity = self.proxy.loop.time()
            self._transport.write(data)

    def hold(self) -> None:
        """Read no more from the client for now."""
        if not self._held and self._transport is not None and not self._transport.is_closing():
            self._held = True
            self._transport.pause_reading()

    def unhold(self) -> None:
        """Read on after `hold`."""
        if self._held and self._transport is not None and not self._transport.is_closing():
            self._held = False
            self._transport.resume_reading()

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def finished(self, exchange: Exchange, *, keep_alive: bool) -> None:
        """`exchange` was answered; close, or go on with the next one."""
        if self._exchanges and self._exchanges[0] is exchange:
            self._exchanges.popleft()
        if not keep_alive:
            self._closing = True
            if self._transport is not None:
                self._transport.close()
            return
        self.unhold()
        if self._exchanges:
            # Not at once: a long pipeline of requests answered here would recurse.
            self.proxy.loop.call_soon(self._start_next)

    def expire(self, now: float, timeout: float) -> None:
        """Apply the idle timeout: to the exchange under way, or to the idle connection."""
        if self._exchanges:
            if now - self._exchanges[0].last_activity > timeout:
                self._exchanges[0].expire()
        elif now - self.last_activity > timeout and self._transport is not None:
            self._transport.close()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""

        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.address = peer[0].encode() if peer else b"unknown"
        self.proxy.clients.add(self)

    def data_received(self, data: bytes) -> None:
        """Part of a request, or several requests."""
        self.last_activity = self.proxy.loop.time()
        if self._closing:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # The request was forwarded without its Upgrade; what follows on the connection is not HTTP.
            self._closing = True
        except httptools.HttpParserError:
            self._refuse()
            return
        self._start_next()
        if len(self._exchanges) > 1:
            self.hold()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        """The client is gone, with or without its answers."""
        self._transport = None
        self._closing = True
        self.proxy.clients.discard(self)
        while self._exchanges:
            self._exchanges.popleft().client_gone()

    def pause_writing(self) -> None:
        """The client is slower than the target."""
        if self._exchanges:
            self._exchanges[0].client_blocked(blocked=True)

    def resume_writing(self) -> None:
        """The client has caught up."""
        if self._exchanges:
            self._exchanges[0].client_blocked(blocked=False)

    # httptools callbacks

    def on_message_begin(self) -> None:
        """A request begins."""
        self._url, self._headers, self._size = b"", [], 0

    def on_url(self, url: bytes) -> None:
        """Part of the request target."""
        self._url += url
        if len(self._url) > MAX_LINE:
            raise _TooLargeError

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        length = len(name) + len(value)
        self._size += length
        if length > MAX_LINE or self._size > MAX_HEAD:
            raise _TooLargeError
        if name.lower() == b"expect" and value.lower() == b"100-continue":
            self.send(CONTINUE)
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """A request's head is complete."""
        parser = self._parser
        exchange = Exchange(
            self,
            parser.get_method(),
            self._url,
            self._headers,
            keep_alive=parser.should_keep_alive() and not parser.should_upgrade(),
            http_1_0=parser.get_http_version() == "1.0",
        )
        self._receiving = exchange
        self._exchanges.append(exchange)

    def on_body(self, body: bytes) -> None:
        """Part of a request's body."""
        if self._receiving is not None:
            self._receiving.request_body(body)

    def on_message_complete(self) -> None:
        """A request is complete."""
        exchange, self._receiving = self._receiving, None
        if exchange is not None:
            exchange.request_end()

    def _start_next(self) -> None:
        # Only after a whole read: what arrived together with the head is then known to be complete, and
        # the connection can be kept even if the request is refused.
        if self._exchanges:
            self._exchanges[0].start()

    def _refuse(self) -> None:
        self._closing = True
        if self._exchanges and not self._exchanges[-1].keep_alive and self._exchanges[-1].request_complete:
            # Noise after a last request; that one still gets its answer.
            return
        if self._exchanges and self._exchanges[0].response_started:
            self.abort()
            return
        self.proxy.table.tally.add(metric.ELB_4XX)
        while self._exchanges:
            self._exchanges.popleft().client_gone()
        self.send(own_answer(400, keep_alive=False))
        if self._transport is not None:
            self._transport.close()
