"""How many API requests the automation plane was sent: by whom, which, and how large.

`GET /_sandbox/requests` answers `{"requests": [{principal, service, operation, count, sent_bytes, received_bytes,
read_units, write_units}, …]}`, since the plane was started. `principal` is the name of the role, or of the user, that
signed; null where nobody did whom the plane knows. Bytes are those of the bodies. The units are DynamoDB's, counted
from the sizes of bodies and so a little too high: a write takes one for each KB that begins, a strongly consistent
read one for each 4 KB, and both twice as many in a transaction
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/capacity-mode-wrru.html).
"""

import json
import re
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from ministack.core import iam_evaluator, responses

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/[^/]*/([^/]+)/aws4_request")
_WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem"})
_READS = frozenset({"GetItem", "Query", "Scan", "TransactGetItems", "BatchGetItem"})


@dataclass
class Count:
    """What one principal has asked of one operation."""

    count: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0
    read_units: int = 0
    write_units: int = 0


@dataclass
class Requests:
    """The counts of a plane; safe to use from several threads."""

    _counts: dict[tuple[str | None, str, str], Count] = field(default_factory=lambda: defaultdict(Count))
    _names: dict[str, str | None] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, scope: Scope, body: bytes, received: int) -> None:
        """Count one request that was answered with `received` bytes; one without a signature is not counted."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        signed = _CREDENTIAL.search(headers.get("authorization", ""))
        if signed is None:
            return
        key, service = signed.groups()
        operation = operation_of(scope, headers, body)
        reads, writes = units(service, operation, body, received)
        name = self._name(key, headers.get("x-amz-security-token"))
        with self._lock:
            counted = self._counts[name, service, operation]
            counted.count += 1
            counted.sent_bytes += len(body)
            counted.received_bytes += received
            counted.read_units += reads
            counted.write_units += writes

    def report(self) -> list[dict[str, Any]]:
        """All counts, in order."""
        with self._lock:
            found = sorted(self._counts.items(), key=lambda item: (item[0][0] or "", *item[0][1:]))
            return [
                {"principal": principal, "service": service, "operation": operation, **vars(counted)}
                for (principal, service, operation), counted in found
            ]

    def _name(self, access_key: str, token: str | None) -> str | None:
        """The name of the role or user of an access key, which stays the same for as long as the key lives."""
        if access_key not in self._names:
            self._names[access_key] = _principal(access_key, token)
        return self._names[access_key]


def _principal(access_key: str, token: str | None) -> str | None:
    credential = iam_evaluator.resolve_credential(access_key, responses.get_account_id(), token)
    if isinstance(credential, iam_evaluator.CredentialResolutionError):
        return None
    principal = iam_evaluator.resolve_principal(access_key, credential.account_id, credential)
    if isinstance(principal, iam_evaluator.AuthError):
        return None
    # arn:aws:sts::…:assumed-role/NAME/SESSION, arn:aws:iam::…:user/NAME, arn:aws:iam::…:root
    parts = str(principal.arn).split(":", 5)[5].split("/")
    return parts[1] if len(parts) > 1 else parts[0]


def operation_of(scope: Scope, headers: dict[str, str], body: bytes) -> str:
    """The operation, as far as the protocol names it; of REST protocols the method and what it is about.

    For S3: `PUT object`, `COPY object`, `LIST bucket`, and so on, which is what requests are priced by.
    """
    if target := headers.get("x-amz-target"):
        return target.rpartition(".")[2]
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    form = parse_qs(body.decode("latin-1")) if "urlencoded" in headers.get("content-type", "") else {}
    for named in (form, query):
        if "Action" in named:
            return named["Action"][0]
    method = scope["method"]
    has_key = "/" in scope["path"].strip("/")
    if "x-amz-copy-source" in headers:
        method = "COPY"
    elif method == "GET" and not has_key:
        method = "LIST"
    return f"{method} {'object' if has_key else 'bucket'}"


def units(service: str, operation: str, body: bytes, received: int) -> tuple[int, int]:
    """Read and write request units of DynamoDB; none of another service."""
    if service != "dynamodb":
        return 0, 0
    twice = 2 if operation.startswith("Transact") else 1
    if operation in _WRITES:
        items = len(json.loads(body).get("TransactItems", (None,)))
        return 0, twice * max(items, -(-len(body) // 1024))
    if operation in _READS:
        return twice * max(1, -(-received // 4096)), 0
    return 0, 0


def counting(inner: Application, requests: Requests) -> Application:
    """The application, with every request to it counted once it is answered."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await inner(scope, receive, send)
            return
        body, received = bytearray(), 0

        async def receiving() -> dict[str, Any]:
            message = await receive()
            body.extend(message.get("body", b""))
            return message

        async def sending(message: dict[str, Any]) -> None:
            nonlocal received
            received += len(message.get("body", b""))
            await send(message)

        await inner(scope, receiving, sending)
        requests.add(scope, bytes(body), received)

    return application
