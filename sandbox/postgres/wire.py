"""The few messages of PostgreSQL's protocol (version 3) that precede a session.

https://www.postgresql.org/docs/16/protocol-message-formats.html
"""

import struct
from collections.abc import Mapping

from sandbox.relay import Channel, ProtocolError

SSL_REQUEST = 80877103
GSS_REQUEST = 80877104
CANCEL_REQUEST = 80877102
_MAX_STARTUP = 10_000
_MAX_PASSWORD = 65_536


async def read_startup(channel: Channel) -> tuple[int, bytes]:
    """The first message of a connection: its code (protocol version or request) and what follows it."""
    (length,) = struct.unpack("!i", await channel.read(4))
    if not 8 <= length <= _MAX_STARTUP:
        raise ProtocolError(f"a first message of {length} bytes")
    body = await channel.read(length - 4)
    return int(struct.unpack("!i", body[:4])[0]), body[4:]


def parameters(body: bytes) -> Mapping[str, str]:
    """The parameters of a startup message (`user`, `database`, …)."""
    parts = body.decode("utf-8", "replace").split("\0")
    return dict(zip(parts[0::2], parts[1::2], strict=False))


def startup(code: int, body: bytes) -> bytes:
    """A first message; the inverse of `read_startup`."""
    return struct.pack("!ii", len(body) + 8, code) + body


async def read_message(channel: Channel) -> tuple[bytes, bytes]:
    """A later message: its type and body."""
    kind = await channel.read(1)
    (length,) = struct.unpack("!i", await channel.read(4))
    if not 4 <= length <= _MAX_PASSWORD:
        raise ProtocolError(f"a message of {length} bytes")
    return kind, await channel.read(length - 4)


def message(kind: bytes, body: bytes) -> bytes:
    """A message of type `kind`."""
    return kind + struct.pack("!i", len(body) + 4) + body


def password_request() -> bytes:
    """AuthenticationCleartextPassword."""
    return message(b"R", struct.pack("!i", 3))


def refusal(code: str, text: str) -> bytes:
    """An ErrorResponse of severity FATAL with an SQLSTATE."""
    fields = (("S", "FATAL"), ("V", "FATAL"), ("C", code), ("M", text))
    return message(b"E", b"".join(key.encode() + value.encode() + b"\0" for key, value in fields) + b"\0")
