"""One request on its way to a target and its response on the way back.

An exchange ends in exactly one way: the response passed on in full, an answer of the balancer's own, or the
client's connection cut. Nothing is ever sent to a second target.
"""

import asyncio
from typing import TYPE_CHECKING

from sandbox.balancer import measurements as metric
from sandbox.balancer.messages import LAST_CHUNK, Headers, chunk, own_answer, request_head, response_head
from sandbox.balancer.rules import FixedResponse, RequestFacts
from sandbox.balancer.target_connection import TargetConnection

if TYPE_CHECKING:
    from sandbox.balancer.client_connection import ClientConnection
    from sandbox.balancer.state import Group, Target

MAX_WAITING_BODY = 256 * 1024
"""Bytes of a request's body that are held while the target's connection is being opened."""


class Exchange:
    """Created when a request's head is complete; `start` is called when its turn on the connection comes."""

    def __init__(
        self,
        client: "ClientConnection",
        method: bytes,
        url: bytes,
        headers: Headers,
        *,
        keep_alive: bool,
        http_1_0: bool,
    ) -> None:
        self.client = client
        self.proxy = client.proxy
        self.method = method
        self.url = url
        self.headers = headers
        self.keep_alive = keep_alive
        self.http_1_0 = http_1_0
        self.chunked_request = any(name.lower() == b"transfer-encoding" for name, _ in headers)
        self.request_complete = False
        self.response_started = False
        self.over = False
        self.last_activity = self.proxy.loop.time()
        self._started = False
        self._chunk_response = False
        self._waiting: list[bytes] = []
        self._waiting_size = 0
        self._out: list[bytes] = []
        self._connection: TargetConnection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._group: Group | None = None
        self._target: Target | None = None
        self._sent_at = 0.0

    # From the client

    def start(self) -> None:
        """Choose a target and send the request there, or answer in its place; once only."""
        if self._started:
            return
        self._started = True
        if self.method in (b"TRACE", b"CONNECT"):
            self._answer(405)
            return
        table = self.proxy.table
        if table.rules is None:
            self._answer(503)
            return
        action = table.rules.match(self._facts()) if table.rules else table.rules.default
        if isinstance(action, FixedResponse):
            self._answer(action.status, content_type=action.content_type, body=action.body)
            return
        arn = action.choose()
        group = table.groups.get(arn) if arn else None
        target = group.pick() if group else None
        if group is None or target is None:
            # "The target groups for the load balancer have no registered targets" (HTTP 503).
            self._answer(503)
            return
        self._group, self._target = group, target
        target.in_flight += 1
        while target.idle:
            connection = target.idle.pop()
            if connection.usable():
                self._attach(connection)
                return
            connection.close()
        self._connecting = self.proxy.loop.create_task(self._connect(target))

    def request_body(self, data: bytes) -> None:
        """More of the request's body."""
        if self.over:
            return
        self.last_activity = self.proxy.loop.time()
        piece = chunk(data) if self.chunked_request else data
        if self._connection is not None:
            self._connection.send(piece)
            return
        self._waiting.append(piece)
        self._waiting_size += len(piece)
        if self._waiting_size > MAX_WAITING_BODY:
            self.client.hold()

    def request_end(self) -> None:
        """The request is complete."""
        self.request_complete = True
        if self.chunked_request and not self.over:
            if self._connection is not None:
                self._connection.send(LAST_CHUNK)
            else:
                self._waiting.append(LAST_CHUNK)

    def client_blocked(self, *, blocked: bool) -> None:
        """The client takes the response in too slowly, or has caught up."""
        if self._connection is not None:
            if blocked:
                self._connection.pause()
            else:
                self._connection.resume()

    def client_gone(self) -> None:
        """The client closed its connection: the request is dropped, at the target as well."""
        self._close(keep=False)

    def expire(self) -> None:
        """The idle timeout passed: 504, or 408 if it is the client that fell silent."""
        self.fail(504 if self.request_complete else 408)

    # From the target

    def response_head(self, status: int, reason: bytes, headers: Headers, *, sized: bool) -> None:
        """The target's final response begins; `sized` if its length is known from the head."""
        self.response_started = True
        self._count(metric.TARGET_CODE.get(status // 100))
        if self._group is not None:
            elapsed = self.proxy.loop.time() - self._sent_at
            self._group.tally.observe(elapsed)
            self.proxy.table.tally.observe(elapsed)
        self._chunk_response = not sized and not self.http_1_0
        if not sized and self.http_1_0:
            self.keep_alive = False
        if not self.request_complete:
            # The rest of the request would be taken for the next one.
            self.keep_alive = False
        self._out.append(
            response_head(status, reason, headers, chunked=self._chunk_response, keep_alive=self.keep_alive)
        )

    def response_body(self, data: bytes) -> None:
        """More of the response's body."""
        self._out.append(chunk(data) if self._chunk_response else data)

    def flush(self) -> None:
        """Pass on what has been gathered from the target."""
        if self._out:
            self.last_activity = self.proxy.loop.time()
            self.client.send(b"".join(self._out))
            self._out.clear()

    def response_end(self) -> None:
        """The response is complete."""
        if self.over:
            return
        if self._chunk_response:
            self._out.append(LAST_CHUNK)
        self.flush()
        self._close(keep=self.request_complete)
        self.client.finished(self, keep_alive=self.keep_alive)

    def broken(self) -> None:
        """The target closed or reset the connection, or its answer cannot be read: 502."""
        self.fail(502)

    def target_blocked(self, *, blocked: bool) -> None:
        """The target takes the request in too slowly, or has caught up."""
        if blocked:
            self.client.hold()
        else:
            self.client.unhold()

    # Own

    def fail(self, status: int) -> None:
        """End without the target's response; a response that has begun can only be cut off."""
        if self.over:
            return
        if self.response_started:
            self._close(keep=False)
            self.client.abort()
            return
        self._answer(status)

    def _facts(self) -> RequestFacts:
        headers: dict[str, list[str]] = {}
        for name, value in self.headers:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        path = self.url.split(b"?", 1)[0]
        if not path.startswith(b"/") and b"://" in path:
            path = b"/" + path.split(b"://", 1)[1].partition(b"/")[2]
        return RequestFacts(self.method.decode("latin-1"), path.decode("latin-1"), headers)

    async def _connect(self, target: "Target") -> None:
        try:
            connection = await TargetConnection.open(target)
        except TimeoutError:
            self._connection_error(504)
        except OSError:
            self._connection_error(502)
        else:
            if self.over or target.gone:
                connection.close()
                self.fail(502)
            else:
                self._attach(connection)

    def _connection_error(self, status: int) -> None:
        if self._group is not None:
            self._group.tally.add(metric.CONNECTION_ERRORS)
            self.proxy.table.tally.add(metric.CONNECTION_ERRORS)
        self.fail(status)

    def _attach(self, connection: TargetConnection) -> None:
        self._connection = connection
        head = request_head(
            self.method,
            self.url,
            self.headers,
            client=self.client.address,
            port=self.proxy.forwarded_port,
            chunked=self.chunked_request,
        )
        data = b"".join((head, *self._waiting)) if self._waiting else head
        self._waiting.clear()
        self._sent_at = self.last_activity = self.proxy.loop.time()
        connection.carry(self, data, head_only=self.method == b"HEAD")
        if self._waiting_size > MAX_WAITING_BODY and connection.writable:
            self.client.unhold()

    def _count(self, code: str | None) -> None:
        tallies = [self.proxy.table.tally]
        if self._group is not None:
            tallies.append(self._group.tally)
        for tally in tallies:
            tally.add(metric.REQUESTS)
            if code:
                tally.add(code)

    def _answer(self, status: int, *, content_type: str = "text/html", body: bytes | None = None) -> None:
        if self._target is not None:
            self._count(None)
        if body is None:
            tally = self.proxy.table.tally
            if status >= 500:
                tally.add(metric.ELB_5XX)
                tally.add(metric.ELB_CODE[status])
            else:
                tally.add(metric.ELB_4XX)
        keep_alive = self.keep_alive and self.request_complete
        self.client.send(own_answer(status, keep_alive=keep_alive, content_type=content_type, body=body))
        self._close(keep=False)
        self.client.finished(self, keep_alive=keep_alive)

    def _close(self, *, keep: bool) -> None:
        if self.over:
            return
        self.over = True
        connecting = self._connecting
        if connecting is not None and connecting is not asyncio.current_task():
            connecting.cancel()
        if self._target is not None:
            self._target.in_flight -= 1
        if self._connection is not None:
            self._connection.release(self.proxy.loop.time(), keep=keep)
