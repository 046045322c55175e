"""Send the requests of a plan when they are due, and record what comes back."""

import asyncio
import json
import time
import uuid
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Any

import aiohttp

from sandbox.load.outages import iso
from sandbox.load.plan import Plan
from sandbox.load.report import Recorder, Report
from sandbox.load.writes import Acknowledged, Journal

_REPORT_EVERY_SECONDS = 0.25
_DETECTION = {
    "source": "load",
    "label": "person",
    "confidence": 0.87,
    "latitude": 48.2,
    "longitude": 16.37,
    "observed_at": "2025-01-01T00:00:00Z",
}


async def run(
    plan: Plan, stop: asyncio.Event, report_path: Path | None = None, writes_path: Path | None = None
) -> Report:
    """Carry out `plan` until its end or until `stop` is set, let what is under way end, and report.

    While it runs, what is known so far is written to `report_path` four times a second. With `writes_path` each write
    has an idempotency key of its own, and what is acknowledged is kept there (`writes.read`).
    """
    with Journal(writes_path) if writes_path else nullcontext() as journal:
        return await _Run(plan, stop, Recorder(plan.url, plan.rate), journal).carry_out(report_path)


class _Run:
    def __init__(self, plan: Plan, stop: asyncio.Event, recorder: Recorder, journal: Journal | None) -> None:
        self._plan = plan
        self._journal = journal
        self._name = uuid.uuid4().hex
        self._stop = stop
        self._recorder = recorder
        self._numbers = iter(range(plan.count))
        self._began = time.monotonic()

    async def carry_out(self, report_path: Path | None) -> Report:
        async with aiohttp.ClientSession(
            base_url=self._plan.url,
            connector=aiohttp.TCPConnector(limit=self._plan.connections, keepalive_timeout=600),
            timeout=aiohttp.ClientTimeout(total=self._plan.timeout_seconds),
        ) as session:
            # aiohttp repeats a GET whose kept-alive connection was closed under it. A client that measures
            # must not: it would hide the very failures that are looked for. Its own test client does so too.
            session._retry_connection = False
            writer = asyncio.create_task(self._write_regularly(report_path)) if report_path else None
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(self._plan.connections):
                        group.create_task(self._work(session))
            finally:
                if writer:
                    writer.cancel()
        report = self._recorder.report(finished=True)
        if report_path:
            report.save(report_path)
        return report

    async def _work(self, session: aiohttp.ClientSession) -> None:
        """One connection's worth: take the next request, wait until it is due, send it, read the answer."""
        for number in self._numbers:
            due = self._began + number / self._plan.rate
            if not await self._sleep_until(due):
                return
            self._recorder.sent(time.monotonic() - due)
            await self._request(session, number, due)

    async def _request(self, session: aiohttp.ClientSession, number: int, due: float) -> None:
        kind = self._plan.kind(number)
        counted = "read" if kind == "slow" else kind
        try:
            async with self._open(session, kind, number) as response:
                body = await response.read()
                told = _document(body) if kind == "version" and response.status == 200 else {}
                if kind == "write" and response.status in (201, 202):
                    self._acknowledge(number, response.status, _document(body))
                self._recorder.answered(
                    due=due,
                    status=response.status,
                    slow=kind == "slow",
                    version=told.get("version"),
                    colour=told.get("colour"),
                    kind=counted,
                )
        except TimeoutError:
            self._recorder.failed(due=due, why="timeout", kind=counted)
        except aiohttp.ClientConnectorError:
            self._recorder.failed(due=due, why="connect", kind=counted)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, OSError):
            self._recorder.failed(due=due, why="reset", kind=counted)
        except aiohttp.ClientError:
            self._recorder.failed(due=due, why="protocol", kind=counted)

    def _acknowledge(self, number: int, status: int, detection: dict[str, Any]) -> None:
        if self._journal is not None:
            self._journal.add(Acknowledged(str(detection.get("id", "")), self._key(number), status, iso(time.time())))

    def _key(self, number: int) -> str:
        return f"{self._name}-{number}"

    def _open(
        self, session: aiohttp.ClientSession, kind: str, number: int
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        if kind == "write":
            headers = {"Idempotency-Key": self._key(number)} if self._journal is not None else {}
            return session.post("/detections", json=_DETECTION, headers=headers)
        if kind == "version":
            return session.get("/version")
        if kind == "slow":
            return session.get("/detections", params={"slow": f"{self._plan.slow_seconds:g}", "limit": "1"})
        return session.get("/detections", params={"limit": "1"})

    async def _sleep_until(self, due: float) -> bool:
        """True when it is time, False when the run was stopped."""
        delay = due - time.monotonic()
        if delay > 0 and not self._stop.is_set():
            try:
                async with asyncio.timeout(delay):
                    await self._stop.wait()
            except TimeoutError:
                return True
        return not self._stop.is_set()

    async def _write_regularly(self, path: Path) -> None:
        while True:
            self._recorder.report(finished=False).save(path)
            await asyncio.sleep(_REPORT_EVERY_SECONDS)


def _document(body: bytes) -> dict[str, Any]:
    """The JSON object in an answer; empty if it is none."""
    try:
        told = json.loads(body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
