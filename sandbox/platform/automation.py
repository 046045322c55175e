"""What the platform asks of the automation plane: may this principal do that, and: this happened."""

import json
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import urllib3

log = logging.getLogger(__name__)


class AutomationUnavailableError(Exception):
    """The automation plane did not answer, or not in a way that can be understood."""


class Automation:
    """HTTP client of the automation plane's internal endpoints; safe to use from several threads."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool = urllib3.PoolManager(maxsize=16, timeout=urllib3.Timeout(connect=1.0, read=5.0))
        # One thread: events keep their order, and no caller waits for them.
        self._sender = ThreadPoolExecutor(1, thread_name_prefix="events")

    def authorize(
        self,
        *,
        access_key_id: str,
        session_token: str | None,
        action: str,
        resource: str,
        context: Mapping[str, Any],
    ) -> tuple[int, dict[str, Any]]:
        """Status and body of `POST /_sandbox/authorize`; `context` has condition keys.

        Raises `AutomationUnavailableError`.
        """
        return self._post(
            "/_sandbox/authorize",
            {
                "access_key_id": access_key_id,
                "session_token": session_token,
                "action": action,
                "resource": resource,
                "context": dict(context),
            },
        )

    def emit(self, source: str, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str] = ()) -> None:
        """Put an event on the default bus, soon. Like AWS's service events it is sent on best effort."""
        self._sender.submit(
            self._emit,
            {
                "source": source,
                "detail_type": detail_type,
                "detail": dict(detail),
                "resources": list(resources),
            },
        )

    def _emit(self, event: Mapping[str, Any]) -> None:
        try:
            status, body = self._post("/_sandbox/events", event)
        except AutomationUnavailableError as error:
            log.error("%s event was not sent: %s", event["detail_type"], error)
        else:
            if status >= 300:
                log.error("%s event was refused: %d %s", event["detail_type"], status, body)

    def _post(self, path: str, document: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        try:
            response = self._pool.request(
                "POST",
                self._url + path,
                body=json.dumps(document).encode(),
                headers={"Content-Type": "application/json"},
                retries=urllib3.Retry(connect=2, read=0, redirect=0, backoff_factor=0.1),
            )
            body = json.loads(response.data) if response.data else {}
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise AutomationUnavailableError(f"{self._url}{path}: {error}") from error
        return response.status, body if isinstance(body, dict) else {}
