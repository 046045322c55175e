"""The proxy on real sockets, with real backends and clients, all in the test's own event loop."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from sandbox.balancer import proxy as proxy_module
from sandbox.balancer.checker import Checker
from sandbox.balancer.proxy import Proxy
from sandbox.balancer.publisher import Publisher
from sandbox.balancer.state import Table
from sandbox.balancer.target_connection import TargetConnection

Peer = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def group(name: str, *targets: dict[str, Any], in_use: bool = True) -> dict[str, Any]:
    return {
        "arn": name,
        "name": name,
        "full_name": f"targetgroup/{name}/1",
        "in_use": in_use,
        "attributes": {"deregistration_delay_seconds": 300.0},
        "health_check": {
            "path": "/health",
            "port": "traffic-port",
            "interval_seconds": 15.0,
            "timeout_seconds": 5.0,
            "healthy_threshold": 2,
            "unhealthy_threshold": 2,
            "matcher": "200",
        },
        "targets": targets,
    }


def target(port: int, *, draining: bool = False, registered_at: float = 1.0) -> dict[str, Any]:
    return {
        "id": "127.0.0.1",
        "port": port,
        "registered_at": registered_at,
        "deregistering_at": 2.0 if draining else None,
    }


def snapshot(
    weights: dict[str, int], *groups: dict[str, Any], rules: tuple[Any, ...] = (), idle: float = 60.0
) -> dict[str, Any]:
    return {
        "version": 1,
        "listener": {
            "arn": "listener",
            "port": 80,
            "load_balancer": "app/test/1",
            "idle_timeout_seconds": idle,
            "default_actions": [
                {
                    "type": "forward",
                    "target_groups": [{"arn": arn, "weight": weight} for arn, weight in weights.items()],
                }
            ],
            "rules": rules,
        },
        "target_groups": groups,
    }


class Lab:
    """A running proxy, and ways to make backends and requests."""

    def __init__(self, table: Table, port: int, session: aiohttp.ClientSession) -> None:
        self.table = table
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.session = session
        self.cleanups: list[Callable[[], Awaitable[Any]]] = []

    async def backend(self, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> int:
        """An aiohttp backend; returns its port."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handler)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.cleanups.append(runner.cleanup)
        assert runner.addresses
        return int(runner.addresses[0][1])

    async def raw_backend(self, serve: Serve) -> int:
        """A backend that speaks bytes; returns its port."""

        async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await serve(reader, writer)
            writer.close()

        server = await asyncio.start_server(guarded, "127.0.0.1", 0)

        async def close() -> None:
            server.close()

        self.cleanups.append(close)
        return int(server.sockets[0].getsockname()[1])

    async def connect(self) -> Peer:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)

        async def close() -> None:
            writer.close()

        self.cleanups.append(close)
        return reader, writer

    async def get(self, path: str = "/", **arguments: Any) -> tuple[int, str]:
        async with self.session.get(self.url + path, **arguments) as response:
            return response.status, await response.text()


def answering(text: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(text=text)

    return handler


async def until(condition: Callable[[], bool]) -> None:
    """Wait for `condition`; the test's own timeout ends a wait in vain."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def answer_to(peer: Peer, request: bytes) -> bytes:
    """Send and read until the balancer closes the connection."""
    peer[1].write(request)
    return await peer[0].read()


@asynccontextmanager
async def running_lab() -> AsyncIterator[Lab]:
    table = Table()
    proxy = Proxy(table, 0)
    server = await proxy.serve("127.0.0.1")
    sweeper = asyncio.create_task(proxy.sweep())
    async with aiohttp.ClientSession() as session:
        lab = Lab(table, server.sockets[0].getsockname()[1], session)
        try:
            yield lab
        finally:
            sweeper.cancel()
            server.close()
            for client in tuple(proxy.clients):
                client.abort()
            for cleanup in reversed(lab.cleanups):
                await cleanup()


@pytest.fixture
async def lab(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lab]:
    monkeypatch.setattr(proxy_module, "SWEEP_SECONDS", 0.05)
    async with running_lab() as lab:
        yield lab


async def test_weights_are_respected_per_request_on_kept_connections(lab: Lab) -> None:
    random.seed(7)
    blue, green = await lab.backend(answering("blue")), await lab.backend(answering("green"))
    lab.table.apply(snapshot({"blue": 70, "green": 30}, group("blue", target(blue)), group("green", target(green))))
    texts = [(await lab.get())[1] for _ in range(600)]
    # Binomial(600, 0.3): mean 180, standard deviation 11.2; five of them on either side.
    assert 124 <= texts.count("green") <= 236
    assert texts.count("green") + texts.count("blue") == 600


async def test_a_weight_change_takes_effect_at_once_and_fails_nothing(lab: Lab) -> None:
    blue, green = await lab.backend(answering("blue")), await lab.backend(answering("green"))
    groups = group("blue", target(blue)), group("green", target(green))
    lab.table.apply(snapshot({"blue": 1, "green": 0}, *groups))
    running = True
    results: list[tuple[int, str]] = []

    async def client() -> None:
        while running:
            results.append(await lab.get())

    clients = [asyncio.create_task(client()) for _ in range(5)]
    for turn in range(20):
        lab.table.apply(snapshot({"blue": turn % 2, "green": 1 - turn % 2}, *groups))
        seen = len(results)
        await until(lambda seen=seen: len(results) > seen + 20)
    running = False
    await asyncio.gather(*clients)
    assert {status for status, _ in results} == {200}
    lab.table.apply(snapshot({"blue": 0, "green": 1}, *groups))
    assert {(await lab.get())[1] for _ in range(20)} == {"green"}


async def test_header_rule_reaches_the_group_that_has_no_weight(lab: Lab) -> None:
    blue, green = await lab.backend(answering("blue")), await lab.backend(answering("green"))
    rule = {
        "arn": "rule",
        "priority": 1,
        "conditions": [{"field": "http-header", "name": "X-Release-Colour", "values": ["green"]}],
        "actions": [{"type": "forward", "target_groups": [{"arn": "green", "weight": 1}]}],
    }
    lab.table.apply(
        snapshot({"blue": 1, "green": 0}, group("blue", target(blue)), group("green", target(green)), rules=(rule,))
    )
    assert await lab.get() == (200, "blue")
    assert await lab.get(headers={"x-release-colour": "green"}) == (200, "green")


async def test_round_robin_over_healthy_targets_and_fail_open_without_any(lab: Lab) -> None:
    healthy = {"a": True, "b": True}

    def named(name: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handler(request: web.Request) -> web.StreamResponse:
            if request.path == "/health" and not healthy[name]:
                return web.Response(status=503)
            return web.Response(text=name)

        return handler

    a, b = await lab.backend(named("a")), await lab.backend(named("b"))
    checker = Checker(lab.table, lab.session, 0.02)
    lab.table.on_change = checker.follow
    lab.table.apply(snapshot({"g": 1}, group("g", target(a), target(b))))

    def states() -> list[str]:
        return [str(one.health.state) for one in lab.table.groups["g"].targets.values()]

    await until(lambda: states() == ["healthy", "healthy"])
    assert sorted([(await lab.get())[1] for _ in range(10)]) == ["a"] * 5 + ["b"] * 5
    healthy["b"] = False
    await until(lambda: states() == ["healthy", "unhealthy"])
    assert {(await lab.get())[1] for _ in range(6)} == {"a"}
    healthy["a"] = False
    await until(lambda: states() == ["unhealthy", "unhealthy"])
    assert {(await lab.get())[1] for _ in range(6)} == {"a", "b"}
    healthy["b"] = True
    await until(lambda: states() == ["unhealthy", "healthy"])
    assert {(await lab.get())[1] for _ in range(6)} == {"b"}
    lab.table.apply(snapshot({}))


async def test_group_not_in_use_is_unused_and_unchecked(lab: Lab) -> None:
    asked = 0

    async def handler(_: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        return web.Response()

    port = await lab.backend(handler)
    checker = Checker(lab.table, lab.session, 0.02)
    lab.table.on_change = checker.follow
    lab.table.apply(snapshot({}, group("g", target(port), in_use=False)))
    one = next(iter(lab.table.groups["g"].targets.values()))
    assert one.health.reason == "Target.NotInUse"
    assert lab.table.groups["g"].host_counts() is None
    lab.table.apply(snapshot({"g": 1}, group("g", target(port))))
    await until(lambda: one.health.state == "healthy")
    assert asked >= 1
    lab.table.apply(snapshot({}))


async def test_draining_finishes_what_is_in_flight_and_gets_nothing_new(lab: Lab) -> None:
    entered, go = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.StreamResponse:
        entered.set()
        await go.wait()
        return web.Response(text="old")

    old, new = await lab.backend(slow), await lab.backend(answering("new"))
    lab.table.apply(snapshot({"g": 1}, group("g", target(old))))
    in_flight = asyncio.create_task(lab.get())
    await entered.wait()
    lab.table.apply(snapshot({"g": 1}, group("g", target(old, draining=True), target(new))))
    assert {await lab.get() for _ in range(10)} == {(200, "new")}
    assert lab.table.groups["g"].in_flight == 1
    go.set()
    assert await in_flight == (200, "old")
    assert lab.table.groups["g"].in_flight == 0


async def test_request_still_in_flight_when_draining_ends_gets_502(lab: Lab) -> None:
    entered = asyncio.Event()

    async def stuck(_: web.Request) -> web.StreamResponse:
        entered.set()
        await asyncio.sleep(60)
        return web.Response()

    port = await lab.backend(stuck)
    lab.table.apply(snapshot({"g": 1}, group("g", target(port))))
    in_flight = asyncio.create_task(lab.get())
    await entered.wait()
    lab.table.apply(snapshot({"g": 1}, group("g")))
    assert (await in_flight)[0] == 502


async def test_503_without_registered_targets_or_with_draining_ones_only(lab: Lab) -> None:
    assert (await lab.get())[0] == 503
    lab.table.apply(snapshot({"g": 1}, group("g")))
    assert (await lab.get())[0] == 503
    port = await lab.backend(answering("x"))
    lab.table.apply(snapshot({"g": 1}, group("g", target(port, draining=True))))
    assert (await lab.get())[0] == 503
    lab.table.apply(snapshot({"g": 0}, group("g", target(port))))
    assert (await lab.get())[0] == 503
    assert lab.table.tally.totals["HTTPCode_ELB_503_Count"] == 4
    assert lab.table.tally.totals["RequestCount"] == 0


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


async def test_a_snapshot_that_cannot_be_read_changes_nothing(lab: Lab) -> None:
    port = await lab.backend(answering("ok"))
    lab.table.apply(snapshot({"g": 1}, group("g", target(port))))
    broken = snapshot({"g": 1}, group("g"))
    broken["listener"]["default_actions"] = [{"type": "redirect"}]
    with pytest.raises(ValueError, match="redirect"):
        lab.table.apply(broken)
    assert await lab.get() == (200, "ok")


async def test_metrics_have_the_names_and_dimensions_of_an_alb(lab: Lab) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(status=int(request.path[1:]))

    lab.table.apply(snapshot({"g": 1, "empty": 0}, group("g", target(await lab.backend(handler))), group("empty")))
    for status in (200, 200, 302, 404, 500):
        await lab.get(f"/{status}", allow_redirects=False)
    publisher = Publisher(lab.table, endpoint_url="http://127.0.0.1:9", region="us-east-1", period=1)
    data = publisher.collect(datetime.now(UTC))
    values = {
        (one["MetricName"], *(dimension["Value"] for dimension in one["Dimensions"])): one.get("Value") for one in data
    }
    both = ("targetgroup/g/1", "app/test/1")
    assert values == {
        ("RequestCount", "app/test/1"): 5.0,
        ("HTTPCode_Target_2XX_Count", "app/test/1"): 2.0,
        ("HTTPCode_Target_3XX_Count", "app/test/1"): 1.0,
        ("HTTPCode_Target_4XX_Count", "app/test/1"): 1.0,
        ("HTTPCode_Target_5XX_Count", "app/test/1"): 1.0,
        ("TargetResponseTime", "app/test/1"): None,
        ("RequestCount", *both): 5.0,
        ("HTTPCode_Target_2XX_Count", *both): 2.0,
        ("HTTPCode_Target_3XX_Count", *both): 1.0,
        ("HTTPCode_Target_4XX_Count", *both): 1.0,
        ("HTTPCode_Target_5XX_Count", *both): 1.0,
        ("TargetResponseTime", *both): None,
        ("HealthyHostCount", *both): 0.0,
        ("UnHealthyHostCount", *both): 0.0,
    }
    again = {one["MetricName"] for one in publisher.collect(datetime.now(UTC))}
    assert again == {"HealthyHostCount", "UnHealthyHostCount"}
