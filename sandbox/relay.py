"""Relaying a TCP connection, in asyncio: two channels, first read and written apart, then joined."""

import asyncio
import ssl

_HIGH_WATER = 256 * 1024


class ProtocolError(Exception):
    """The other side ended too early, or does not speak the protocol."""


class Channel(asyncio.Protocol):
    """One side of a relayed connection: first read piece by piece, then joined to the other side."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self._buffer = bytearray()
        self._more: asyncio.Future[None] | None = None
        self._ended = False
        self._peer: Channel | None = None
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands; called again when it is encrypted."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self.transport = transport
        transport.set_write_buffer_limits(high=_HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        """Hand `data` to the peer, or keep it until it is read."""
        if self._peer is not None:
            self._peer.transport.write(data)
            return
        self._buffer += data
        self._wake()

    def eof_received(self) -> bool:
        """The other side has said all; nothing in the protocol goes on after that."""
        return False

    def connection_lost(self, _exc: Exception | None) -> None:
        """Take the peer down too, after what is still to be written to it."""
        self._ended = True
        self._wake()
        if self._peer is not None:
            self._peer.transport.close()
        if not self.closed.done():
            self.closed.set_result(None)

    def pause_writing(self) -> None:
        """This side is slow: let the peer wait."""
        if self._peer is not None:
            self._peer.transport.pause_reading()

    def resume_writing(self) -> None:
        """This side keeps up again."""
        if self._peer is not None and not self._peer.transport.is_closing():
            self._peer.transport.resume_reading()

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    # Called by a relay.

    @property
    def pending(self) -> int:
        """How many bytes have come that were not read."""
        return len(self._buffer)

    async def read(self, count: int) -> bytes:
        """Exactly `count` bytes; raises `ProtocolError` if the connection ends before."""
        while len(self._buffer) < count:
            if self._ended:
                raise ProtocolError("the connection ended")
            self._more = asyncio.get_running_loop().create_future()
            await self._more
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    async def encrypt(self, context: ssl.SSLContext) -> None:
        """Go on in TLS, as its server. What came before unencrypted may not count as encrypted."""
        if self._buffer:
            raise ProtocolError("data came before the TLS handshake")
        transport = await asyncio.get_running_loop().start_tls(
            self.transport, self, context, server_side=True, ssl_handshake_timeout=10
        )
        if transport is None:
            raise ProtocolError("the connection ended during the TLS handshake")
        self.connection_made(transport)

    def join(self, peer: "Channel") -> None:
        """From now on hand over to `peer` what comes, and to this side what comes there."""
        for one, other in ((self, peer), (peer, self)):
            one._peer = other
        for one, other in ((self, peer), (peer, self)):
            if one._buffer:
                other.transport.write(bytes(one._buffer))
                one._buffer.clear()
            if one._ended:
                other.transport.close()
