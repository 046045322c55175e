"""Just enough of the Kubernetes API: get, list, create, server-side apply, merge patch; JSON over TLS.

Speaks HTTP through urllib3, which botocore brings along, instead of a Kubernetes client library. Five verbs
on a few kinds do not repay one: the official client adds seconds to a cold start, and lightkube 1.x needs
msgspec, a compiled extension, which would tie the layer to one architecture and one Python.
"""

import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from opskit.errors import ClusterError

if TYPE_CHECKING:
    import urllib3

CONNECT_SECONDS = 3.0
READ_SECONDS = 10.0
PAGE = 250
FIELD_MANAGER = "detection-ops"

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Collection:
    """All objects of a collection, and what each of them is."""

    api_version: str
    kind: str
    items: tuple[Object, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server answered: HTTP status, its message in words, and the object, a `Status` if it refused."""

    status: int
    message: str
    body: Object


class KubernetesApi:
    """One API server, with a bearer token that is asked for anew with each request.

    `certificate_authority` is PEM and is the only authority trusted. All methods raise `ClusterError` with
    method, object, status and the server's message, also when the server cannot be reached.
    """

    def __init__(self, server: str, certificate_authority: str, token: Callable[[], str]) -> None:
        self._server = server.rstrip("/")
        self._token = token
        self._pool = _pool(server, certificate_authority)

    def get(self, path: str) -> Object | None:
        """The object at `path` (`/apis/apps/v1/namespaces/…`), or None if there is none."""
        return self._request("GET", path, absent_is_none=True)

    def list(self, path: str, *, label_selector: str) -> Iterator[Object]:
        """The objects of the collection at `path` whose labels match, page by page."""
        query = {"labelSelector": label_selector, "limit": str(PAGE)}
        while True:
            page = self._request("GET", path, query=query) or {}
            yield from page.get("items") or []
            token = (page.get("metadata") or {}).get("continue")
            if not token:
                return
            query["continue"] = token

    def collection(self, path: str) -> Collection | None:
        """Every object of the collection at `path`, page by page; None if the server does not serve such a kind."""
        query = {"limit": str(PAGE)}
        items: list[Object] = []
        while True:
            page = self._request("GET", path, query=query, absent_is_none=True)
            if page is None:
                return None
            items += page.get("items") or []
            token = (page.get("metadata") or {}).get("continue")
            if not token:
                return Collection(page["apiVersion"], str(page["kind"]).removesuffix("List"), tuple(items))
            query["continue"] = token

    def apply(self, path: str, body: Object) -> None:
        """Server-side apply of the fields in `body`, taking them over from any other manager.

        Fields of an earlier apply that `body` leaves out are given up, and removed if nobody else owns them
        (https://kubernetes.io/docs/reference/using-api/server-side-apply/).
        """
        self._request("PATCH", path, query={"fieldManager": FIELD_MANAGER, "force": "true"}, body=body, kind=APPLY)

    def merge(self, path: str, body: Object) -> None:
        """JSON merge patch: sets the fields in `body`, leaves all others and their managers alone."""
        self._request("PATCH", path, query={"fieldManager": FIELD_MANAGER}, body=body, kind=MERGE)

    def create(self, path: str, body: Object) -> Answer:
        """Post `body`, and leave it to the caller what to make of a refusal.

        Not repeated: of an eviction, 429 says that a disruption budget has no room, for as long as that lasts.
        """
        status, data = self._exchange("POST", path, body=body, kind="application/json", repeat=False)
        answer = _decoded(data)
        return Answer(status, _message(answer, data), answer or {})

    def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        kind: str = "application/json",
        absent_is_none: bool = False,
    ) -> Object | None:
        status, data = self._exchange(method, path, query=query, body=body, kind=kind)
        if status == 404 and absent_is_none:
            return None
        answer = _decoded(data)
        if status >= 300 or answer is None:
            raise ClusterError(f"{method} {path}: {status} {_message(answer, data)}")
        return answer

    def _exchange(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        kind: str,
        repeat: bool = True,
    ) -> tuple[int, bytes]:
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 - see the module's docstring on cold starts

        headers = {"Authorization": f"Bearer {self._token()}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = kind
        try:
            response = self._pool.request(
                method,
                self._server + path + (f"?{urlencode(query)}" if query else ""),
                headers=headers,
                body=None if body is None else json.dumps(body).encode(),
                redirect=False,
                retries=None if repeat else False,
            )
        except HTTPError as error:
            raise ClusterError(f"{method} {path} at {self._server}: no answer ({_cause(error)})") from error
        return response.status, response.data


def _pool(server: str, certificate_authority: str) -> "urllib3.PoolManager":
    import urllib3  # noqa: PLC0415 - only the steps that talk to the cluster pay for it

    if not server.startswith("https://"):
        raise ClusterError(f"The cluster's endpoint {server!r} is not https; refusing to send a token to it.")
    try:
        context = ssl.create_default_context(cadata=certificate_authority)
    except ssl.SSLError as error:
        raise ClusterError(f"The cluster's certificate authority is not a PEM certificate: {error}") from error
    # Python 3.13 made RFC 5280's optional key identifiers mandatory; the authorities that EKS makes lack
    # them (kubernetes-client/python#2394, awslabs/mcp#3791). Chain, expiry and host name stay verified.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return urllib3.PoolManager(
        ssl_context=context,
        timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
        # But for create, all are idempotent. 429 is the API server's fairness queue asking to come back.
        retries=urllib3.Retry(
            total=2,
            other=0,  # a certificate that does not verify will not do so at the next attempt
            backoff_factor=0.2,
            backoff_jitter=0.2,
            retry_after_max=5,
            status_forcelist={429, 503},
            allowed_methods=None,
            raise_on_status=False,
        ),
    )


def _decoded(data: bytes) -> Object | None:
    try:
        answer = json.loads(data)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _message(answer: Object | None, data: bytes) -> str:
    # Errors come as a `Status` object: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
    if answer and answer.get("message"):
        reason = answer.get("reason")
        return f"{reason}: {answer['message']}" if reason else str(answer["message"])
    return data[:200].decode(errors="replace").strip() or "with an empty body"


def _cause(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return f"{type(reason or error).__name__}: {reason or error}"
