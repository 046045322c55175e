"""Real HTTP servers on loopback that record what they were asked and answer what a test tells them."""

import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


Reply = tuple[int, dict[str, str], bytes]


@dataclass
class Server:
    url: str
    requests: list[Request] = field(default_factory=list)
    connections: int = 0


@contextmanager
def serve(
    answer: Callable[[Request], Reply],
    context: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
    *,
    keep_open: bool = False,
) -> Iterator[Server]:
    """With `keep_open`, connections stay even if the client asks for their end, as if that took its time."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            server.connections += 1
            super().setup()

        def handle_one(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            request = Request(
                self.command,
                parts.path,
                dict(parse_qsl(parts.query)),
                {name.lower(): value for name, value in self.headers.items()},
                self.rfile.read(length),
            )
            server.requests.append(request)
            status, headers, body = answer(request)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(BrokenPipeError):  # a client that has given up is part of what is tested
                self.wfile.write(body)
            self.close_connection = self.close_connection and not keep_open

        do_GET = do_PATCH = do_POST = handle_one  # noqa: N815 - http.server's spelling

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's spelling
            pass

    listener = ThreadingHTTPServer((host, 0), Handler)
    listener.daemon_threads = True
    if context is not None:
        listener.socket = context.wrap_socket(listener.socket, server_side=True)
    scheme = "https" if context else "http"
    server = Server(f"{scheme}://{host}:{listener.server_address[1]}")
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()
