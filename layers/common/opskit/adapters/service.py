"""The service as its clients meet it: requests to its URL, answers as `ProbeResult`."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opskit.adapters.probe import BODY_BYTES, CONNECT_SECONDS, READ_SECONDS, ProbeResult

if TYPE_CHECKING:
    import urllib3


class Service:
    """The service at `base_url` (http, or https verified). Nothing is retried, and no redirect followed."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url.rstrip("/")
        self._pool: urllib3.PoolManager | None = None

    def get(self, path: str) -> ProbeResult:
        """GET `path` once, on a connection of its own, so that the balancer chooses a target anew each time."""
        return self._request("GET", path, {"Connection": "close"}, None)

    def post(self, path: str, document: Mapping[str, Any], *, key: str) -> ProbeResult:
        """POST `document` as JSON; `key` is its Idempotency-Key, under which a repeated one counts once."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": key, "Connection": "close"}
        return self._request("POST", path, headers, json.dumps(document).encode())

    def _request(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> ProbeResult:
        import urllib3  # noqa: PLC0415 - only the steps that ask the service pay for it

        if self._pool is None:
            timeout = urllib3.Timeout(connect=CONNECT_SECONDS, total=CONNECT_SECONDS + READ_SECONDS)
            self._pool = urllib3.PoolManager(timeout=timeout, retries=False)
        given = {"User-Agent": "detection-ops", "Accept": "application/json", **headers}
        try:
            answer = self._pool.request(method, self._base_url + path, headers=given, body=body, redirect=False)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return ProbeResult(None, 0.0, error=f"{type(error).__name__}: {error}")
        finally:
            # Kept, it could be taken for the next request while the server is closing it, and nothing is tried twice.
            self._pool.clear()
        return ProbeResult(answer.status, 0.0, _decoded(answer.data))


def _decoded(body: bytes) -> Any:
    if len(body) > BODY_BYTES:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return None
