"""The load generator must not miss a failure, nor make one up."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from sandbox.health import wait_until
from sandbox.load import Load, Plan, Report
from sandbox.load.client import LoadError
from sandbox.load.generator import run
from sandbox.load.report import Latency, Recorder

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Handler], Awaitable[str]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start a server for a handler; returns its URL."""
    servers: list[TestServer] = []

    async def start(handler: Handler) -> str:
        app = web.Application()
        app.router.add_route("*", "/{path:detections|version}", handler)
        server = TestServer(app, host="127.0.0.1")
        await server.start_server()
        servers.append(server)
        return f"http://127.0.0.1:{server.port}"

    yield start
    for server in servers:
        await server.close()


async def fine(request: web.Request) -> web.Response:
    return web.json_response({"version": "1.0.0", "colour": "blue"} if request.path == "/version" else {})


def plan(url: str, **changes: float) -> Plan:
    return Plan(url=url, **({"rate": 200, "seconds": 0.5, "connections": 4, "slow_share": 0} | changes))


async def test_every_request_is_accounted_for(serve: Serve) -> None:
    seen: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append("slow" if "slow" in request.query else f"{request.method} {request.path}")
        return await fine(request)

    shares = {"slow_share": 0.1, "slow_seconds": 1, "write_share": 0.3, "version_share": 0.2}
    report = await run(plan(await serve(handler), **shares), asyncio.Event())
    assert report.finished
    assert report.requests == len(seen) == 100
    assert seen.count("slow") == 10
    assert seen.count("POST /detections") == 27  # 0.3 of the other 90
    assert seen.count("GET /version") == 12  # 0.2 of the other 63, in whole requests
    assert (report.failed, report.failures) == (0, {})
    assert report.statuses == {"200": 100}
    assert (report.versions, report.colours) == ({"1.0.0": 12}, {"blue": 12})
    assert (report.latency.count, report.slow_latency.count) == (90, 10)
    assert sum(second.requests for second in report.by_second) == 100
    assert report.first_failure_at is None


async def test_5xx_and_4xx_are_failures_by_code(serve: Serve) -> None:
    statuses = iter([502, 503, 503, 404] + [200] * 96)

    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=next(statuses))

    report = await run(plan(await serve(handler)), asyncio.Event())
    assert report.failures == {"status_502": 1, "status_503": 2, "status_404": 1}
    assert report.failed == 4
    assert report.latency.count == 96
    assert report.first_failure_at <= report.last_failure_at


async def test_a_connection_closed_under_a_request_is_not_tried_again(serve: Serve) -> None:
    received = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal received
        received += 1
        if received % 10 == 0:
            request.transport.abort()
        return await fine(request)

    report = await run(plan(await serve(handler), write_share=0), asyncio.Event())
    assert received == report.requests == 100
    assert report.failures == {"reset": 10}


async def test_a_connection_that_is_refused(serve: Serve) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        report = await run(plan(url), asyncio.Event())
    assert report.failures == {"connect": report.requests}


async def test_an_answer_that_does_not_come(serve: Serve) -> None:
    async def handler(request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return await fine(request)

    report = await run(plan(await serve(handler), rate=8, timeout_seconds=0.3), asyncio.Event())
    assert report.failures == {"timeout": report.requests}
    assert report.requests == 4


async def test_an_answer_cut_short(serve: Serve) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-length": "100"})
        await response.prepare(request)
        await response.write(b"half")
        request.transport.abort()
        return response

    report = await run(plan(await serve(handler), rate=20), asyncio.Event())
    assert report.failures == {"reset": 10}


def test_latency_counts_from_when_the_request_was_due() -> None:
    recorder = Recorder("http://127.0.0.1:1", 100)
    recorder.answered(due=time.monotonic() - 5, status=200, slow=False, version=None, colour=None)
    assert recorder.report(finished=True).latency.max >= 5


def test_percentiles_are_nearest_rank() -> None:
    assert Latency.of([]) == Latency(0, None, None, None, None)
    assert Latency.of([float(n) for n in range(1, 101)]) == Latency(100, 50.0, 95.0, 99.0, 100.0)
    assert Latency.of([0.25]) == Latency(1, 0.25, 0.25, 0.25, 0.25)


@pytest.mark.parametrize(
    "url",
    ["http://10.0.0.1:80", "http://example.com:80", "https://127.0.0.1:443", "http://127.0.0.1", "127.0.0.1:80"],
)
def test_only_loopback(url: str) -> None:
    with pytest.raises(ValueError, match="loopback only"):
        Plan(url=url)


@pytest.mark.parametrize("changes", [{"rate": 1e6}, {"seconds": 1e6}, {"connections": 0}, {"slow_share": 2}])
def test_only_within_bounds(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        Plan(url="http://127.0.0.1:8000", **changes)


def test_shares_are_spread_evenly() -> None:
    kinds = [Plan(url="http://127.0.0.1:8000", slow_share=0.01, write_share=0.2).kind(n) for n in range(1000)]
    assert kinds.count("slow") == 10
    assert all(kinds[start : start + 100].count("slow") == 1 for start in range(0, 1000, 100))


class TestAsAProcess:
    async def test_start_and_stop(self, serve: Serve) -> None:
        url = await serve(fine)
        load = Load(plan(url, seconds=60, rate=50))
        await asyncio.to_thread(load.start)
        assert load.report().requests > 0
        assert not load.report().finished
        report = await asyncio.to_thread(load.stop)
        assert report.finished
        assert report.failed == 0
        assert report.requests < 60 * 50
        assert load.stop() == load.report() == report

    async def test_the_block_ends_it(self, serve: Serve) -> None:
        url = await serve(fine)

        def use() -> Report:
            with Load(plan(url, seconds=60)) as load:
                pass
            return load.report()

        assert (await asyncio.to_thread(use)).finished

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    async def test_a_signal_makes_it_report(self, serve: Serve, tmp_path: Path, number: signal.Signals) -> None:
        url = await serve(fine)
        path = tmp_path / "report.json"
        arguments = ["--url", url, "--seconds", "60", "--rate", "50", "--report", str(path)]
        process = subprocess.Popen([sys.executable, "-P", "-m", "sandbox.load", *arguments])
        try:
            await asyncio.to_thread(
                wait_until, {"load": lambda: path.exists() and Report.load(path).requests > 0}, timeout_seconds=20
            )
            process.send_signal(number)
            assert await asyncio.to_thread(process.wait, 20) == 0
        finally:
            process.kill()
            process.wait()
        assert Report.load(path).finished
        assert json.loads(path.read_text(encoding="utf-8"))["failed"] == 0

    def test_wrong_use_is_explained(self) -> None:
        answer = subprocess.run(
            [sys.executable, "-P", "-m", "sandbox.load", "--url", "http://example.com:80"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.returncode == 2
        assert "loopback only" in answer.stderr

    def test_stop_without_start(self) -> None:
        with pytest.raises(LoadError, match="never started"):
            Load(Plan(url="http://127.0.0.1:8000")).stop()
