"""The reference service over real connections: its answers, its limits, and how it stops."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sandbox.kubernetes.kubelet.process import PortReservation
from sandbox.service.application import Application, Identity
from sandbox.service.detections import MemoryStore
from sandbox.service.http import MAX_BODY_BYTES, Server
from sandbox.service.variants import Behaviour, Parameters, Variant

DETECTION = {
    "source": "camera-7",
    "label": "vehicle",
    "confidence": 0.93,
    "latitude": 59.3,
    "longitude": 18.1,
    "observed_at": "2026-01-02T03:04:05Z",
}


class Service:
    def __init__(self, port: int, server: Server) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.server = server


@contextlib.asynccontextmanager
async def serving(
    variant: Variant = Variant.GOOD,
    parameters: Parameters | None = None,
    crash: Any = None,
    keep_alive_seconds: float = 75,
) -> AsyncIterator[Service]:
    behaviour = Behaviour(variant, parameters or Parameters(), crash or (lambda: None))
    application = Application(Identity("1.2.3", "blue", "pod-1"), behaviour, MemoryStore())
    server = Server(application.handle, keep_alive_seconds=keep_alive_seconds)
    port = await server.start("127.0.0.1", 0)
    try:
        yield Service(port, server)
    finally:
        await server.drain(linger_seconds=0, limit_seconds=1)


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def get(client: aiohttp.ClientSession, url: str) -> tuple[int, Any]:
    async with client.get(url) as answer:
        return answer.status, await answer.json()


async def post(client: aiohttp.ClientSession, url: str, body: Any) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with client.post(url, data=data) as answer:
        return answer.status, await answer.json()


async def test_health_and_version(client: aiohttp.ClientSession) -> None:
    async with serving() as service:
        assert await get(client, service.url + "/health") == (200, {"status": "ok"})
        version = {"version": "1.2.3", "variant": "good", "colour": "blue", "pod": "pod-1"}
        assert await get(client, service.url + "/version") == (200, version)


async def test_detections_are_kept_and_paged_newest_first(client: aiohttp.ClientSession) -> None:
    async with serving() as service:
        url = service.url + "/detections"
        ids = []
        for number in range(5):
            status, kept = await post(client, url, {**DETECTION, "label": f"n{number}"})
            assert status == 201
            ids.append(kept["id"])
        _, first = await get(client, f"{url}?limit=3")
        assert [each["id"] for each in first["items"]] == ids[:1:-1]
        _, last = await get(client, f"{url}?limit=3&cursor={first['next_cursor']}")
        assert [each["id"] for each in last["items"]] == ids[1::-1]
        assert last["next_cursor"] is None


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff",
        [],
        {},
        {**DETECTION, "confidence": 1.5},
        {**DETECTION, "latitude": "north"},
        {**DETECTION, "observed_at": "yesterday"},
        {**DETECTION, "extra": 1},
    ],
)
async def test_what_is_no_detection_is_refused(client: aiohttp.ClientSession, body: Any) -> None:
    async with serving() as service:
        status, answer = await post(client, service.url + "/detections", body)
        assert status == 400
        assert answer["error"]
        assert (await get(client, service.url + "/detections"))[1]["items"] == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("DELETE", "/detections", 405),
        ("GET", "/detections?limit=0", 400),
        ("GET", "/detections?limit=201", 400),
        ("GET", "/detections?cursor=-1", 400),
        ("GET", "/detections?slow=nan", 400),
        ("GET", "/detections?slow=11", 400),
    ],
)
async def test_bad_requests(client: aiohttp.ClientSession, method: str, path: str, status: int) -> None:
    async with serving() as service, client.request(method, service.url + path) as answer:
        assert answer.status == status
        assert "error" in await answer.json()


async def test_a_body_that_is_too_large_is_refused(client: aiohttp.ClientSession) -> None:
    async with serving() as service:
        status, _ = await post(client, service.url + "/detections", b"x" * (MAX_BODY_BYTES + 1))
        assert status == 413


async def test_garbage_gets_400_and_is_hung_up_on() -> None:
    async with serving() as service:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(b"not http at all\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 400")
        await reader.read()
        writer.close()


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with serving() as service:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        for path in ("/detections?slow=0.2", "/health", "/nowhere"):
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        writer.write_eof()
        statuses = re.findall(rb"HTTP/1.1 (\d+)", await reader.read())
        assert statuses == [b"200", b"200", b"404"]
        writer.close()


async def test_an_idle_connection_is_closed_after_the_keep_alive() -> None:
    async with serving(keep_alive_seconds=0.1) as service:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" not in answer.lower()
        writer.close()


async def test_a_client_that_leaves_is_forgotten() -> None:
    async with serving() as service:
        _, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(b"GET /detections?slow=10 HTTP/1.1\r\nHost: x\r\n\r\n")
        while not any(each.busy for each in service.server.connections):
            await asyncio.sleep(0)
        # A reset, not an orderly end: that would leave the answer wanted.
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        while service.server.connections:
            await asyncio.sleep(0)


async def test_unhealthy_serves_but_says_so(client: aiohttp.ClientSession) -> None:
    async with serving(Variant.UNHEALTHY) as service:
        assert (await get(client, service.url + "/health"))[0] == 503
        assert (await get(client, service.url + "/detections"))[0] == 200


async def test_errors_begin_after_the_first_requests(client: aiohttp.ClientSession) -> None:
    async with serving(Variant.ERRORS, Parameters(after_requests=3, every=3)) as service:
        statuses = [(await get(client, service.url + "/detections"))[0] for _ in range(9)]
        assert statuses == [200, 200, 200, 200, 200, 500, 200, 200, 500]
        assert (await get(client, service.url + "/health"))[0] == 200


def test_slow_delays_after_the_first_requests() -> None:
    behaviour = Behaviour(Variant.SLOW, Parameters(after_requests=2, delay_seconds=0.4))
    assert [behaviour.on_detections() for _ in range(3)] == [(False, 0.0), (False, 0.0), (False, 0.4)]


def test_fading_is_good_for_a_while() -> None:
    now = [10.0]
    parameters = Parameters(after_requests=0, fading_seconds=30, fading_delay_seconds=1.5)
    behaviour = Behaviour(Variant.FADING, parameters, clock=lambda: now[0])
    assert behaviour.on_detections() == (False, 0.0)
    now[0] += 29
    assert behaviour.on_detections() == (False, 0.0)
    now[0] += 1
    assert behaviour.on_detections() == (False, 1.5)


def test_good_never_misbehaves() -> None:
    behaviour = Behaviour(Variant.GOOD, Parameters(after_requests=0))
    assert {behaviour.on_detections() for _ in range(100)} == {(False, 0.0)}


async def test_crash_is_set_off_by_the_first_request_to_detections(client: aiohttp.ClientSession) -> None:
    crashed = asyncio.Event()
    async with serving(Variant.CRASH, Parameters(crash_seconds=0.01), crashed.set) as service:
        await get(client, service.url + "/health")
        assert not crashed.is_set()
        await get(client, service.url + "/detections")
        await crashed.wait()


@pytest.fixture
def held_port() -> Iterator[int]:
    """As the kubelet does it: held while the process is down."""
    reservation = PortReservation()
    yield reservation.port
    reservation.release()


@contextlib.contextmanager
def process(port: int, *options: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "sandbox.service", "--port", str(port), "--linger-seconds", "0.5", *options]
    environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": os.environ["PATH"]}
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert running.stdout
        assert json.loads(running.stdout.readline())["message"] == "listening"
        yield running
    finally:
        running.kill()
        running.communicate()


async def test_sigterm_finishes_what_is_under_way_and_exits_cleanly(held_port: int) -> None:
    with process(held_port) as running:
        slow_reader, slow_writer = await asyncio.open_connection("127.0.0.1", held_port)
        slow_writer.write(b"GET /detections?slow=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", held_port)
        idle_writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"connection: close" not in (await idle_reader.readuntil(b"\r\n\r\n")).lower()
        await idle_reader.readexactly(len(b'{"status":"ok"}'))
        running.send_signal(signal.SIGTERM)
        assert running.stdout
        assert json.loads(running.stdout.readline())["message"] == "draining"
        # A kept connection is still answered, once, politely; nothing new is accepted.
        idle_writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        last = await idle_reader.read()
        assert last.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in last.lower()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", held_port)
        finished = await slow_reader.read()
        assert finished.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in finished.lower()
        assert await asyncio.to_thread(running.wait, 20) == 0
        assert json.loads(running.stdout.readline()) == {"level": "info", "message": "stopped", "cut_off": 0}
        for writer in (slow_writer, idle_writer):
            writer.close()


async def test_the_crash_variant_exits_with_1(held_port: int, client: aiohttp.ClientSession) -> None:
    with process(held_port, "--variant", "crash", "--crash-seconds", "0.05") as running:
        assert (await get(client, f"http://127.0.0.1:{held_port}/detections"))[0] == 200
        assert await asyncio.to_thread(running.wait, 20) == 1
    with pytest.raises(aiohttp.ClientConnectorError):
        await get(client, f"http://127.0.0.1:{held_port}/health")
