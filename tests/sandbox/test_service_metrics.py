"""What Prometheus is told of the service, over a real connection to a port of its own."""

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp
import pytest

from sandbox.kubernetes.kubelet.process import PortReservation
from sandbox.service.application import Application, Identity, Request
from sandbox.service.detections import MemoryStore, Readiness
from sandbox.service.http import Server
from sandbox.service.metrics import BUCKETS, Metrics
from sandbox.service.variants import Behaviour, Parameters, Variant

SAMPLE = re.compile(r"^([a-z_]+)(\{(?:[a-z]+=\"(?:[^\"\\\\]|\\\\.)*\",?)*\})? (\S+)$")
NO_STORES = Readiness(read=True, write="stored")


def samples(text: str) -> dict[str, float]:
    """Every line is a comment or a sample; the samples, by name and labels."""
    found = {}
    for line in text.splitlines():
        if not line.startswith(("# HELP ", "# TYPE ")):
            match = SAMPLE.match(line)
            assert match, line
            name = match[1] + (match[2] or "")
            assert name not in found
            found[name] = float(match[3])
    return found


@asynccontextmanager
async def scraped(variant: Variant = Variant.GOOD) -> AsyncIterator[tuple[Application, str]]:
    behaviour = Behaviour(variant, Parameters(after_requests=0, every=1))
    application = Application(Identity("1.2.3", "blue", "pod-1"), behaviour, MemoryStore())
    server = Server(application.metrics, keep_alive_seconds=75)
    port = await server.start("127.0.0.1", 0)
    try:
        yield application, f"http://127.0.0.1:{port}"
    finally:
        await server.drain(linger_seconds=0, limit_seconds=1)


async def scrape(url: str) -> dict[str, float]:
    async with aiohttp.ClientSession() as client, client.get(f"{url}/metrics") as answer:
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        return samples(await answer.text())


async def test_requests_are_counted_by_method_path_and_status() -> None:
    async with scraped() as (application, url):
        for target in ("/health", "/detections?limit=1", "/detections?limit=0", "/nowhere/at/all"):
            await application.handle(Request("GET", target, b""))
        await application.handle(Request("BREW", "/detections", b""))
        found = await scrape(url)
    assert found['http_requests_total{method="GET",path="/health",status="200"}'] == 1
    assert found['http_requests_total{method="GET",path="/detections",status="200"}'] == 1
    assert found['http_requests_total{method="GET",path="/detections",status="400"}'] == 1
    assert found['http_requests_total{method="other",path="other",status="404"}'] == 1
    assert found['http_requests_total{method="other",path="/detections",status="405"}'] == 1
    assert found['http_request_duration_seconds_count{path="/detections"}'] == 3
    assert found["http_requests_in_progress"] == 0
    assert found['service_build_info{version="1.2.3"}'] == 1


async def test_errors_show_and_so_do_requests_that_are_under_way() -> None:
    async with scraped(Variant.ERRORS) as (application, url):
        await application.handle(Request("GET", "/detections", b""))
        slow = asyncio.ensure_future(application.handle(Request("GET", "/detections?slow=10", b"")))
        await asyncio.sleep(0)
        during = await scrape(url)
        slow.cancel()
        await asyncio.wait([slow])
        after = await scrape(url)
    assert during['http_requests_total{method="GET",path="/detections",status="500"}'] == 1
    assert during["http_requests_in_progress"] == 1
    assert after["http_requests_in_progress"] == 0
    assert after['http_requests_total{method="GET",path="/detections",status="499"}'] == 1


def test_a_histogram_s_buckets_hold_all_that_was_not_slower() -> None:
    metrics = Metrics("1")
    for seconds in (BUCKETS[0], 0.3, 11.0):
        metrics.begin()
        metrics.end("GET", "/x", 200, seconds)
    found = samples(metrics.text(NO_STORES))
    buckets = [found[f'http_request_duration_seconds_bucket{{path="/x",le="{le}"}}'] for le in [*BUCKETS, "+Inf"]]
    assert buckets == sorted(buckets)
    assert (buckets[0], buckets[-2], buckets[-1]) == (1, 2, 3)
    assert found['http_request_duration_seconds_bucket{path="/x",le="0.25"}'] == 1
    assert found['http_request_duration_seconds_bucket{path="/x",le="0.5"}'] == 2
    assert found['http_request_duration_seconds_sum{path="/x"}'] == pytest.approx(BUCKETS[0] + 11.3)


def test_the_stores_are_what_readiness_says() -> None:
    found = samples(Metrics("1").text(Readiness(read=True, write="queued", cache=False, queued=7)))
    up = {name: value for name, value in found.items() if name.startswith("service_store_up")}
    assert up == {
        'service_store_up{store="reads"}': 1,
        'service_store_up{store="writes"}': 0,
        'service_store_up{store="cache"}': 0,
    }
    assert found["service_queued"] == 7
    without = samples(Metrics("1").text(NO_STORES))
    assert "service_queued" not in without
    assert 'service_store_up{store="cache"}' not in without


def test_a_label_is_escaped() -> None:
    text = Metrics('a"b\\c\nd').text(NO_STORES)
    assert 'service_build_info{version="a\\"b\\\\c\\nd"} 1' in text.splitlines()


@contextmanager
def port() -> Iterator[int]:
    reservation = PortReservation()
    yield reservation.port
    reservation.release()


async def test_a_process_serves_them_at_their_own_port_and_nowhere_else() -> None:
    with port() as public, port() as private:
        command = [sys.executable, "-m", "sandbox.service", "--port", str(public), "--metrics-port", str(private)]
        running = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(Path(__file__).parents[2])}
        )
        try:
            assert running.stdout
            assert "listening" in running.stdout.readline()
            async with aiohttp.ClientSession() as client:
                async with client.get(f"http://127.0.0.1:{public}/metrics") as answer:
                    assert answer.status == 404
                async with client.get(f"http://127.0.0.1:{private}/health") as answer:
                    assert answer.status == 404
            found = await scrape(f"http://127.0.0.1:{private}")
            assert found['http_requests_total{method="other",path="other",status="404"}'] == 1
            running.terminate()
            assert await asyncio.to_thread(running.wait, 20) == 0
        finally:
            running.kill()
            running.communicate()
