"""Health checks: one task per registered target of a group in use.

Source: "Health checks for Application Load Balancer target groups": GET on the path, its own connection each
time, closed afterwards; the time a target takes to answer does not shift the next check.
"""

import asyncio
import logging

import aiohttp

from sandbox.balancer.health import NO_ANSWER, PASSED, TIMED_OUT, Outcome, code_mismatch, matches
from sandbox.balancer.state import Table, Target

log = logging.getLogger(__name__)

MAX_TIMEOUT = 2.0
"""Seconds a check may take when the sandbox sets a shorter interval than the target group's own."""


class Checker:
    """Keeps a checking task for each target that wants one; call `follow` when the table changed."""

    def __init__(self, table: Table, session: aiohttp.ClientSession, interval: float | None) -> None:
        self._table = table
        self._session = session
        self._interval = interval
        self._tasks: dict[Target, asyncio.Task[None]] = {}

    def follow(self) -> None:
        """Start tasks for new targets, and end those of targets that left, drain, or are not in use."""
        wanted = {
            target
            for group in self._table.groups.values()
            if group.in_use
            for target in group.targets.values()
            if not target.draining
        }
        for target in self._tasks.keys() - wanted:
            self._tasks.pop(target).cancel()
        for target in wanted - self._tasks.keys():
            self._tasks[target] = asyncio.create_task(self._check_forever(target))

    async def _check_forever(self, target: Target) -> None:
        loop = asyncio.get_running_loop()
        while True:
            settings = target.group.health_check
            interval = self._interval or float(settings["interval_seconds"])
            timeout = float(settings["timeout_seconds"])
            begun = loop.time()
            tracker = target.tracker
            self._table.checking(target)
            outcome = await self._check(target, min(timeout, MAX_TIMEOUT) if self._interval else timeout)
            # A target that was registered anew meanwhile must not be judged by the old one's answer.
            if tracker is target.tracker:
                self._table.record(target, outcome)
            await asyncio.sleep(max(0.0, begun + interval - loop.time()))

    async def _check(self, target: Target, timeout: float) -> Outcome:
        settings = target.group.health_check
        port = target.port if settings["port"] == "traffic-port" else int(settings["port"])
        try:
            async with self._session.get(
                f"http://{target.id}:{port}{settings['path']}",
                headers={"User-Agent": "ELB-HealthChecker/2.0", "Connection": "close"},
                timeout=aiohttp.ClientTimeout(total=timeout),
                allow_redirects=False,
            ) as response:
                status = response.status
        except TimeoutError:
            return TIMED_OUT
        except (aiohttp.ClientError, OSError):
            return NO_ANSWER
        return PASSED if matches(settings["matcher"], status) else code_mismatch(status)
