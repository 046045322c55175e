"""Readiness, liveness and startup probes (httpGet)."""

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp

from sandbox.kubernetes.kubelet.process import LOOPBACK

NOT_LISTENING_POLL_SECONDS = 0.1
"""How soon a process that does not listen yet is looked at again. A kubelet would wait a whole period, which
is at least a second; the outcome is the same, later."""


class Prober:
    """Sends probe requests to the container's ports."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Drop the client."""
        if self._session:
            await self._session.close()

    async def get(self, port: int, path: str, timeout_seconds: float, headers: dict[str, str]) -> bool | None:
        """Whether the answer is 200-399; None if nothing listens."""
        if self._session is None:
            # One connection per probe, as the kubelet does.
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))
        timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        url = f"http://{LOOPBACK}:{port}{path}"
        agent = {"User-Agent": "kube-probe/1.33", **headers}
        try:
            async with self._session.get(url, headers=agent, timeout=timeout, allow_redirects=False) as answer:
                return 200 <= answer.status < 400
        except aiohttp.ClientConnectorError:
            return None
        except (aiohttp.ClientError, TimeoutError):
            return False


async def probe(
    prober: Prober,
    spec: dict[str, Any],
    port: int,
    report: Callable[[bool], None],
    held: Callable[[], bool] = lambda: False,
) -> None:
    """Probe for ever as `spec` says, but not while `held`, and report each turn to success or failure once.

    Thresholds count consecutive results: `successThreshold` and `failureThreshold`.
    """
    http = spec["httpGet"]
    headers = {header["name"]: header["value"] for header in http.get("httpHeaders", [])}
    state: bool | None = None
    streak, last, seen_listening = 0, False, False
    await asyncio.sleep(spec.get("initialDelaySeconds", 0))
    while True:
        result = await prober.get(port, http["path"], spec["timeoutSeconds"], headers)
        # Asked afterwards, so that what was under way does not count either.
        if held():
            await asyncio.sleep(spec["periodSeconds"])
            continue
        if result is None and not seen_listening:
            await asyncio.sleep(NOT_LISTENING_POLL_SECONDS)
            continue
        seen_listening = True
        success = bool(result)
        streak = streak + 1 if success is last else 1
        last = success
        threshold = spec["successThreshold"] if success else spec["failureThreshold"]
        if streak >= threshold and state is not success:
            state = success
            report(success)
        await asyncio.sleep(spec["periodSeconds"])
