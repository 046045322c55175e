"""How requests and responses pass: framing, headers, errors, connections. Real sockets, one event loop."""

import asyncio
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from sandbox.balancer import proxy as proxy_module
from sandbox.balancer.target_connection import TargetConnection
from tests.sandbox.fixtures.balancer import Lab, answer_to, group, running_lab, snapshot, target


@pytest.fixture
async def lab(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lab]:
    monkeypatch.setattr(proxy_module, "SWEEP_SECONDS", 0.05)
    async with running_lab() as lab:
        yield lab


async def test_502_when_the_target_refuses(lab: Lab) -> None:
    async def nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    port = await lab.raw_backend(nothing)
    await lab.cleanups.pop()()
    lab.table.apply(snapshot({"g": 1}, group("g", target(port))))
    assert (await lab.get())[0] == 502
    assert lab.table.groups["g"].tally.totals["TargetConnectionErrorCount"] == 1
    assert lab.table.groups["g"].tally.totals["RequestCount"] == 1


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Le"])
async def test_502_when_the_answer_is_missing_or_malformed(lab: Lab, answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    lab.table.apply(snapshot({"g": 1}, group("g", target(await lab.raw_backend(serve)))))
    assert (await lab.get())[0] == 502


async def test_a_response_cut_short_is_not_passed_on_as_complete(lab: Lab) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")

    lab.table.apply(snapshot({"g": 1}, group("g", target(await lab.raw_backend(serve)))))
    with pytest.raises(aiohttp.ClientError):
        await lab.get()


async def test_504_when_the_target_stays_silent_for_the_idle_timeout(lab: Lab) -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    lab.table.apply(snapshot({"g": 1}, group("g", target(await lab.raw_backend(silent))), idle=0.2))
    assert (await lab.get())[0] == 504
    assert lab.table.tally.totals["HTTPCode_ELB_504_Count"] == 1


async def test_idle_clients_are_closed(lab: Lab) -> None:
    lab.table.apply(snapshot({"g": 1}, group("g"), idle=0.2))
    reader, _ = await lab.connect()
    assert await reader.read() == b""


async def test_a_connection_that_the_target_closed_is_never_reused(lab: Lab) -> None:
    """The target closes each connection after one answer without saying so, as one that is stopping may."""
    bodies = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        bodies.append(await reader.readexactly(length))
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

    lab.table.apply(snapshot({"g": 1}, group("g", target(await lab.raw_backend(serve)))))
    for number in range(50):
        async with lab.session.post(lab.url, data=b"%d" % number) as response:
            assert response.status == 201
    assert bodies == [b"%d" % number for number in range(50)]


async def test_a_close_that_the_event_loop_has_not_seen_yet_is_noticed(lab: Lab) -> None:
    lab.table.apply(snapshot({"g": 1}, group("g", target(1))))
    one = next(iter(lab.table.groups["g"].targets.values()))
    with socket.create_server(("127.0.0.1", 0)) as server:
        one.port = server.getsockname()[1]
        quiet, closed, talking = [await TargetConnection.open(one) for _ in range(3)]
        peers = [server.accept()[0] for _ in range(3)]
        # From here on the event loop does not run.
        peers[1].close()
        peers[2].sendall(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        assert [quiet.usable(), closed.usable(), talking.usable()] == [True, False, False]
        for each in (quiet, closed, talking):
            each.abort()
        for peer in peers:
            peer.close()


async def test_connections_to_targets_are_reused(lab: Lab) -> None:
    ports = set()

    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername")[1])
        return web.Response()

    lab.table.apply(snapshot({"g": 1}, group("g", target(await lab.backend(handler)))))
    for _ in range(20):
        assert (await lab.get())[0] == 200
    assert len(ports) == 1


async def test_headers_are_forwarded_added_and_dropped(lab: Lab) -> None:
    seen: dict[str, str] = {}

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.update(request.headers)
        return web.Response(headers={"X-Answer": "yes", "Connection": "X-Secret", "X-Secret": "1"})

    lab.table.apply(snapshot({"g": 1}, group("g", target(await lab.backend(handler)))))
    answer = await answer_to(
        await lab.connect(),
        b"GET /a?b=c HTTP/1.1\r\nHost: api.example.com\r\nX-Forwarded-For: 10.1.1.1\r\nX-Own: 1\r\n"
        b"X-Forwarded-Proto: https\r\nKeep-Alive: 5\r\nX-Hop: 1\r\nConnection: close, X-Hop\r\n\r\n",
    )
    assert seen["Host"] == "api.example.com"
    assert seen["X-Forwarded-For"] == "10.1.1.1, 127.0.0.1"
    assert seen["X-Forwarded-Proto"] == "http"
    assert seen["X-Forwarded-Port"] == "80"
    assert seen["X-Own"] == "1"
    assert seen["X-Amzn-Trace-Id"].startswith("Root=1-")
    assert "X-Hop" not in seen
    assert "Keep-Alive" not in seen
    assert b"X-Answer: yes" in answer
    assert b"X-Secret" not in answer
    assert answer.count(b"Connection: close") == 1


async def test_large_bodies_pass_both_ways_chunked_and_sized(lab: Lab) -> None:
    async def echo(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        async for piece in request.content.iter_any():
            await response.write(piece)
        return response

    lab.table.apply(snapshot({"g": 1}, group("g", target(await lab.backend(echo)))))
    data = bytes(range(256)) * 12_000

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 50_000):
            yield data[start : start + 50_000]

    for body in (data, pieces()):
        async with lab.session.post(lab.url, data=body) as response:
            assert response.status == 200
            assert await response.read() == data


async def test_a_slow_client_does_not_make_the_balancer_hoard_the_response(lab: Lab) -> None:
    sent = 0
    size = 64 * 1024 * 1024

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        while sent < size:
            writer.write(bytes(65536))
            sent += 65536
            await writer.drain()

    lab.table.apply(snapshot({"g": 1}, group("g", target(await lab.raw_backend(serve)))))
    reader, writer = await lab.connect()
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    stalled = -1
    while stalled != sent:
        stalled = sent
        await asyncio.sleep(0.3)
    assert sent < size / 2
    await reader.readexactly(size)
    assert sent == size


async def test_head_and_bodiless_answers_keep_the_connection(lab: Lab) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path == "/none":
            return web.Response(status=204)
        return web.Response(text="body")

    lab.table.apply(snapshot({"g": 1}, group("g", target(await lab.backend(handler)))))
    answer = await answer_to(
        await lab.connect(),
        b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\nGET /none HTTP/1.1\r\nHost: x\r\n\r\n"
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    heads = [part.split(b"\r\n")[0] for part in answer.split(b"\r\n\r\n")]
    assert heads == [b"HTTP/1.1 200 OK", b"HTTP/1.1 204 No Content", b"HTTP/1.1 200 OK", b"body"]


async def test_an_answer_that_ends_by_closing_is_passed_on_chunked(lab: Lab) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nold style")

    lab.table.apply(snapshot({"g": 1}, group("g", target(await lab.raw_backend(serve)))))
    assert await lab.get() == (200, "old style")
    answer = await answer_to(await lab.connect(), b"GET / HTTP/1.0\r\n\r\n")
    assert answer.endswith(b"Connection: close\r\n\r\nold style")


async def test_pipelined_requests_are_answered_in_order(lab: Lab) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.05 if request.path == "/0" else 0)
        return web.Response(text=f"[{request.path}]")

    lab.table.apply(snapshot({"g": 1}, group("g", target(await lab.backend(handler)))))
    requests = b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(9))
    answer = await answer_to(await lab.connect(), requests + b"GET /9 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    positions = [answer.index(b"[/%d]" % number) for number in range(10)]
    assert positions == sorted(positions)


async def test_a_thousand_pipelined_refusals_do_not_recurse(lab: Lab) -> None:
    requests = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 1500
    answer = await answer_to(await lab.connect(), requests + b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 503 Service Unavailable") == 1501


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Big: " + b"x" * 20_000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
async def test_400_for_what_is_no_request(lab: Lab, request_bytes: bytes) -> None:
    answer = await answer_to(await lab.connect(), request_bytes)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert lab.table.tally.totals["HTTPCode_ELB_4XX_Count"] == 1


async def test_expect_continue_is_answered_by_the_balancer(lab: Lab) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        assert "Expect" not in request.headers
        return web.Response(text=await request.text())

    lab.table.apply(snapshot({"g": 1}, group("g", target(await lab.backend(handler)))))
    reader, writer = await lab.connect()
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"ok")
    assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")


async def test_a_client_that_leaves_ends_its_request_at_the_target(lab: Lab) -> None:
    entered, left = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        entered.set()
        await reader.read()
        left.set()

    lab.table.apply(snapshot({"g": 1}, group("g", target(await lab.raw_backend(serve)))))
    _, writer = await lab.connect()
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await entered.wait()
    assert lab.table.groups["g"].in_flight == 1
    writer.close()
    await left.wait()
    assert lab.table.groups["g"].in_flight == 0
