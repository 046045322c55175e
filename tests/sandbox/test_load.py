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
from sandbox.load.outages import Watch
from sandbox.load.report import Latency, Recorder
from sandbox.load.writes import ReadBackError, ids_of, missing, read

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


def test_an_outage_is_from_the_first_failure_to_the_first_success_sent_after_it() -> None:
    watch = Watch()
    watch.succeeded(due=0.0, now=0.1)
    watch.failed_at(due=10.5, now=12.0)
    watch.failed_at(due=10.0, now=12.5)  # sent earlier, answered later
    watch.succeeded(due=9.0, now=13.0)  # sent before anything failed: it says nothing
    assert watch.availability().recovery_seconds is None
    watch.failed_at(due=20.0, now=20.0)
    watch.succeeded(due=21.0, now=22.0)
    watch.failed_at(due=30.0, now=30.0)
    watch.succeeded(due=31.0, now=31.5)
    found = watch.availability()
    assert [(each.seconds, each.failed) for each in found.outages] == [(12.0, 3), (1.5, 1)]
    assert (found.requests, found.failed, found.longest_seconds) == (8, 4, 12.0)
    assert found.recovery_seconds == 21.5


def test_nothing_failed_nothing_to_recover() -> None:
    assert Watch().availability().recovery_seconds == 0.0


async def test_reads_and_writes_are_told_apart(serve: Serve, tmp_path: Path) -> None:
    """Writes fail for the first half, reads never."""
    posted = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal posted
        if request.method == "POST":
            posted += 1
            return web.json_response({"id": str(posted)}, status=503 if posted <= 10 else 201)
        return await fine(request)

    path = tmp_path / "report.json"
    report = await run(plan(await serve(handler), write_share=0.2, version_share=0.1), asyncio.Event(), path)
    assert (report.writes.requests, report.writes.failed, len(report.writes.outages)) == (20, 10, 1)
    assert report.writes.outages[0].ended_at is not None
    assert report.writes.recovery_seconds == pytest.approx(report.writes.longest_seconds, abs=0.002)
    assert (report.reads.requests, report.reads.failed, report.reads.recovery_seconds) == (72, 0, 0.0)
    assert Report.load(path) == report


async def test_what_was_acknowledged_can_be_asked_for_afterwards(serve: Serve, tmp_path: Path) -> None:
    """Stored, queued or refused; then some of what was acknowledged is lost."""
    kept: dict[str, str] = {}

    async def handler(request: web.Request) -> web.Response:
        if request.method == "POST":
            number = len(kept)
            kept[request.headers["Idempotency-Key"]] = str(number)
            return web.json_response({"id": str(number)}, status=(201, 202, 503)[number % 3])
        ids = [number for number in kept.values() if int(number) >= 6]
        cursor, limit = int(request.query.get("cursor", 0)), int(request.query["limit"])
        following = cursor + limit
        items = [{"id": number} for number in ids[cursor:following]]
        return web.json_response({"items": items, "next_cursor": following if following < len(ids) else None})

    url, path = await serve(handler), tmp_path / "writes.jsonl"
    report = await run(plan(url, rate=1000, seconds=1, write_share=0.9, version_share=0), asyncio.Event(), None, path)
    assert report.writes.requests == len(kept) == 900
    acknowledged = read(path)
    assert len(acknowledged) == 600
    assert {each.status for each in acknowledged} == {201, 202}
    assert all(kept[each.key] == each.id for each in acknowledged)
    present = await asyncio.to_thread(ids_of, url)
    assert len(present) == 894, "more than four pages"
    assert {each.id for each in missing(acknowledged, present)} == {"0", "1", "3", "4"}


async def test_a_service_that_does_not_read_is_no_empty_one(serve: Serve) -> None:
    async def handler(_request: web.Request) -> web.Response:
        return web.json_response({"error": "unavailable"}, status=503)

    url = await serve(handler)
    with pytest.raises(ReadBackError, match="503"):
        await asyncio.to_thread(ids_of, url)


def test_half_a_line_is_no_acknowledgement(tmp_path: Path) -> None:
    path = tmp_path / "writes.jsonl"
    path.write_text('{"id": "1", "key": "k", "status": 201, "at": "now"}\n{"id": "2", "ke')
    assert [each.id for each in read(path)] == ["1"]
    assert read(tmp_path / "none") == ()


class TestAsAProcess:
    async def test_acknowledgements_outlive_it(self, serve: Serve) -> None:
        async def handler(request: web.Request) -> web.Response:
            return web.json_response({"id": request.headers.get("Idempotency-Key", "")}, status=201)

        load = Load(plan(await serve(handler), seconds=60, rate=50, write_share=1), track_writes=True)
        await asyncio.to_thread(load.start)
        assert load.acknowledged()
        report = await asyncio.to_thread(load.stop)
        assert len(load.acknowledged()) == report.writes.requests
        assert missing(load.acknowledged(), {each.key for each in load.acknowledged()}) == ()

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
