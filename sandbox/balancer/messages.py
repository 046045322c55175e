"""HTTP/1.1 messages as the balancer writes them: forwarded heads, answers of its own.

Headers that a request gains: "HTTP headers and Application Load Balancers" (X-Forwarded-For in append mode,
-Proto, -Port) and "Request tracing" (X-Amzn-Trace-Id) in the Elastic Load Balancing user guide.
"""

import os
import time
from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus

Headers = list[tuple[bytes, bytes]]

# RFC 9110, section 7.6.1, with the two that RFC 9112 names for framing.
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_REPLACED = HOP_BY_HOP | {b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-port", b"expect"}


def trace_id() -> bytes:
    """A new root for X-Amzn-Trace-Id."""
    return b"Root=1-%08x-%s" % (int(time.time()), os.urandom(12).hex().encode())


def named_by_connection(headers: Iterable[tuple[bytes, bytes]]) -> frozenset[bytes]:
    """Lower-case names of the headers that a Connection header declares to be hop-by-hop."""
    return frozenset(
        token.strip().lower() for name, value in headers if name.lower() == b"connection" for token in value.split(b",")
    )


def request_head(
    method: bytes,
    target: bytes,
    headers: Headers,
    *,
    client: bytes,
    port: bytes,
    chunked: bool,
) -> bytes:
    """The head of the request that goes to the target; `client` is the client's address."""
    dropped = named_by_connection(headers)
    lines = [method, b" ", target, b" HTTP/1.1\r\n"]
    forwarded = client
    traced = False
    for name, value in headers:
        lower = name.lower()
        if lower in _REPLACED or lower in dropped:
            if lower == b"x-forwarded-for":
                forwarded = value + b", " + client
            continue
        traced = traced or lower == b"x-amzn-trace-id"
        lines += (name, b": ", value, b"\r\n")
    lines += (
        b"X-Forwarded-For: ",
        forwarded,
        b"\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: ",
        port,
        b"\r\n",
    )
    if not traced:
        lines += (b"X-Amzn-Trace-Id: ", trace_id(), b"\r\n")
    if chunked:
        lines.append(b"Transfer-Encoding: chunked\r\n")
    lines.append(b"Connection: keep-alive\r\n\r\n")
    return b"".join(lines)


def response_head(status: int, reason: bytes, headers: Headers, *, chunked: bool, keep_alive: bool) -> bytes:
    """The head of the response that goes to the client."""
    dropped = named_by_connection(headers)
    lines = [b"HTTP/1.1 %d " % status, reason, b"\r\n"]
    for name, value in headers:
        lower = name.lower()
        if lower in HOP_BY_HOP or lower in dropped:
            continue
        lines += (name, b": ", value, b"\r\n")
    if chunked:
        lines.append(b"Transfer-Encoding: chunked\r\n")
    lines.append(b"Connection: keep-alive\r\n\r\n" if keep_alive else b"Connection: close\r\n\r\n")
    return b"".join(lines)


def own_answer(status: int, *, keep_alive: bool, content_type: str = "text/html", body: bytes | None = None) -> bytes:
    """A whole answer that the balancer gives itself: a fixed response, or an error page."""
    reason = HTTPStatus(status).phrase.encode() if status in set(HTTPStatus) else b""
    if body is None:
        title = b"%d %s" % (status, reason)
        body = (
            b"<html>\r\n<head><title>%s</title></head>\r\n<body>\r\n<center><h1>%s</h1></center>\r\n"
            b"</body>\r\n</html>\r\n" % (title, title)
        )
    headers: Headers = [
        (b"Server", b"awselb/2.0"),
        (b"Date", formatdate(usegmt=True).encode()),
        (b"Content-Type", content_type.encode()),
        (b"Content-Length", str(len(body)).encode()),
    ]
    return response_head(status, reason, headers, chunked=False, keep_alive=keep_alive) + body


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
