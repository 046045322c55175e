"""Smoke checks of one colour, through the balancer's test route.

A request that carries the platform's test header with a colour as its value reaches that colour's target
group by a listener rule, whatever the weights are; so what is checked is what clients will meet.
"""

import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from opskit.traffic import Colour

if TYPE_CHECKING:
    import urllib3

CONNECT_SECONDS = 2.0
READ_SECONDS = 5.0
TOTAL_SECONDS = 10.0
BODY_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One answer, or the lack of it.

    `status` is None if there was no complete answer, and `error` then says why. `seconds` is the time until
    the whole answer was there. `body_json` is the body decoded, None if it is not JSON (or over 64 KiB).
    """

    status: int | None
    seconds: float
    body_json: Any = None
    error: str | None = None

    @property
    def ok(self) -> bool:
        """Whether there was an answer with a 2xx status."""
        return self.status is not None and 200 <= self.status < 300

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        return cls(**data)


class Probe:
    """Requests to one colour at `base_url` (http, or https verified), marked with the test `header`."""

    def __init__(self, base_url: str, header: str, colour: Colour) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = {header: str(colour), "User-Agent": "detection-ops", "Accept": "application/json"}
        self._pool: urllib3.PoolManager | None = None

    def get(self, path: str) -> ProbeResult:
        """GET `path` once: no retries, no redirects followed, an end after some ten seconds.

        Raises nothing for what a network or a server can do: that is `error`.
        """
        import urllib3  # noqa: PLC0415 - only the steps that probe pay for it

        if self._pool is None:
            self._pool = urllib3.PoolManager(
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS), retries=False
            )
        began = time.monotonic()
        try:
            response = self._pool.request(
                "GET", self._base_url + path, headers=self._headers, redirect=False, preload_content=False
            )
            try:
                body = _body(response, began + TOTAL_SECONDS)
            finally:
                response.close()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return ProbeResult(None, _since(began), error=f"{type(error).__name__}: {error}")
        return ProbeResult(response.status, _since(began), _decoded(body))


def _body(response: "urllib3.BaseHTTPResponse", deadline: float) -> bytes:
    # In pieces, because the read timeout is per piece: a server that trickles would hold the step for hours.
    body = b""
    while len(body) <= BODY_BYTES:
        piece = response.read1(BODY_BYTES)
        if not piece:
            return body
        body += piece
        if time.monotonic() > deadline:
            raise TimeoutError(f"the answer was not complete after {TOTAL_SECONDS:.0f} s")
    return body


def _decoded(body: bytes) -> Any:
    if len(body) > BODY_BYTES:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return None


def _since(began: float) -> float:
    return round(time.monotonic() - began, 4)
