"""An incoming webhook: its secret address from Secrets Manager, and one POST of JSON to it."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opskit import clients
from opskit.errors import NotificationError

if TYPE_CHECKING:
    import urllib3

CONNECT_SECONDS, READ_SECONDS = 3.0, 10.0
# Slack takes about one message a second of a webhook and answers 429 with Retry-After to more; 500 and 503 pass.
# https://docs.slack.dev/apis/web-api/rate-limits
ATTEMPTS = 4
LONGEST_WAIT_SECONDS = 15
_PASSING = frozenset({429, 500, 502, 503, 504})
_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})


class Webhook:
    """Whoever knows the address may post, so it appears in no log and no exception. All methods raise
    `NotificationError`.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOCAL):
            raise NotificationError("the webhook's address is not https: correct the secret")
        self._url = url
        self._host = parts.hostname
        self._pool: urllib3.PoolManager | None = None

    @classmethod
    def of_secret(cls, arn: str, client: Any = None) -> "Webhook":
        """The webhook whose address is the whole of the secret `arn`. Raises botocore's errors, too."""
        used = client or clients.client("secretsmanager")
        return cls(str(used.get_secret_value(SecretId=arn).get("SecretString") or "").strip())

    def post(self, document: Mapping[str, Any]) -> None:
        """POST once, and again for what passes (429, 5xx, no connection), in the pace that the answer asks for."""
        import urllib3  # noqa: PLC0415 - as in the other adapters: not at import

        if self._pool is None:
            retries = urllib3.Retry(
                total=ATTEMPTS - 1,
                status_forcelist=_PASSING,
                allowed_methods={"POST"},
                backoff_factor=0.5,
                backoff_jitter=0.5,
                retry_after_max=LONGEST_WAIT_SECONDS,
                redirect=0,
                raise_on_status=False,
                raise_on_redirect=False,
            )
            timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
            self._pool = urllib3.PoolManager(retries=retries, timeout=timeout)
        try:
            answer = self._pool.request(
                "POST",
                self._url,
                body=json.dumps(document, ensure_ascii=False).encode(),
                headers={"Content-Type": "application/json; charset=utf-8"},
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            # Its words hold the path, which is the secret.
            cause = type(getattr(error, "reason", None) or error).__name__
            raise NotificationError(f"{self._host} did not answer: {cause}") from None
        if not 200 <= answer.status < 300:
            said = answer.data[:200].decode(errors="replace").strip()
            raise NotificationError(f"{self._host} answered {answer.status}: {said}")
