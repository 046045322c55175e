"""What the service answers."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from sandbox.service.detections import DetectionStore, InvalidDetectionError, UnavailableError, accept, parse
from sandbox.service.metrics import CONTENT_TYPE, Metrics
from sandbox.service.variants import Behaviour

MAX_SLOW_SECONDS = 10.0
MAX_PAGE = 200
MAX_KEY = 255


@dataclass(frozen=True, slots=True)
class Identity:
    """What `/version` tells about this process."""

    version: str
    colour: str
    pod: str


@dataclass(frozen=True, slots=True)
class Request:
    """A complete request; `target` is the path with its query, the names of headers are in lower case."""

    method: str
    target: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response; the body is JSON unless `content_type` says otherwise."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"


class BadRequestError(ValueError):
    """The request's query or body cannot be used; the message says why."""


Query = dict[str, list[str]]
Handler = Callable[[Request, Query], Awaitable[Response]]


def reply(status: int, document: Any, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """`document` as a JSON response."""
    return Response(status, json.dumps(document, separators=(",", ":")).encode(), headers)


def _number(query: Query, name: str, default: float, low: float, high: float) -> float:
    text = query.get(name, [str(default)])[-1]
    try:
        value = float(text)
    except ValueError:
        raise BadRequestError(f"{name} must be a number") from None
    if not low <= value <= high:
        raise BadRequestError(f"{name} must be between {low:g} and {high:g}")
    return value


class Application:
    """`/health`, `/ready`, `/version` and `/detections`, each answered as JSON.

    `GET /detections` takes `limit` (1-200), `cursor` (from the page before) and `slow` (0-10 seconds to wait).
    `POST /detections` answers 201 when the detection is stored, 202 when it is queued, and 503 when neither is
    possible; with an `Idempotency-Key` header it can be repeated. `/health` says that the process lives,
    `/ready` (200 or 503) whether it can read and store.
    """

    def __init__(self, identity: Identity, behaviour: Behaviour, store: DetectionStore) -> None:
        self._identity = identity
        self._behaviour = behaviour
        self._store = store
        self._metrics = Metrics(identity.version)
        self._routes: dict[str, dict[str, Handler]] = {
            "/health": {"GET": self._health},
            "/ready": {"GET": self._ready},
            "/version": {"GET": self._version},
            "/detections": {"GET": self._list, "POST": self._add},
        }

    async def handle(self, request: Request) -> Response:
        """Answer `request`; every problem of the request itself becomes a 4xx."""
        path = urlsplit(request.target).path
        methods = self._routes.get(path)
        began, status = time.perf_counter(), 500
        self._metrics.begin()
        try:
            response = await self._answer(request, methods)
            status = response.status
        except asyncio.CancelledError:
            # The client went away; nginx's number for it.
            status = 499
            raise
        finally:
            # What nobody routes to is not named: whoever asks for it would choose how many time series there are.
            known, method = ("other" if methods is None else path), request.method
            method = method if methods and method in methods else "other"
            self._metrics.end(method, known, status, time.perf_counter() - began)
        return response

    async def metrics(self, request: Request) -> Response:
        """Answer Prometheus, at a port of its own: what has been counted, and whether the stores are there."""
        if (request.method, request.target) != ("GET", "/metrics"):
            return reply(404, {"error": "not found"})
        text = self._metrics.text(await self._store.readiness())
        return Response(200, text.encode(), content_type=CONTENT_TYPE)

    async def _answer(self, request: Request, methods: dict[str, Handler] | None) -> Response:
        parts = urlsplit(request.target)
        if methods is None:
            return reply(404, {"error": "not found"})
        handler = methods.get(request.method)
        if handler is None:
            return reply(405, {"error": "method not allowed"}, (("allow", ", ".join(methods)),))
        try:
            return await handler(request, parse_qs(parts.query) if parts.query else {})
        except BadRequestError as error:
            return reply(400, {"error": str(error)})
        except UnavailableError as error:
            return reply(503, {"error": f"unavailable: {error}"}, (("retry-after", "1"),))

    async def _health(self, _request: Request, _query: Query) -> Response:
        return reply(200, {"status": "ok"}) if self._behaviour.healthy else reply(503, {"status": "failing"})

    async def _ready(self, _request: Request, _query: Query) -> Response:
        readiness = await self._store.readiness()
        return reply(200 if readiness.ready else 503, readiness.as_dict())

    async def _version(self, _request: Request, _query: Query) -> Response:
        return reply(
            200,
            {
                "version": self._identity.version,
                "variant": self._behaviour.variant.value,
                "colour": self._identity.colour,
                "pod": self._identity.pod,
            },
        )

    async def _list(self, _request: Request, query: Query) -> Response:
        limit = int(_number(query, "limit", 50, 1, MAX_PAGE))
        cursor = int(_number(query, "cursor", 0, 0, 1_000_000_000))
        wait = _number(query, "slow", 0, 0, MAX_SLOW_SECONDS)
        if failure := await self._misbehave(wait):
            return failure
        page = await self._store.recent(limit, cursor)
        return reply(200, {"items": page.items, "next_cursor": page.next_cursor})

    async def _add(self, request: Request, _query: Query) -> Response:
        key = request.headers.get("idempotency-key")
        if key is not None and not 0 < len(key) <= MAX_KEY:
            raise BadRequestError(f"Idempotency-Key must have 1 to {MAX_KEY} characters")
        try:
            detection = parse(json.loads(request.body))
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise BadRequestError(f"the body is not JSON: {error}") from error
        except InvalidDetectionError as error:
            raise BadRequestError(str(error)) from error
        if failure := await self._misbehave(0.0):
            return failure
        try:
            kept = await self._store.add(accept(detection, key))
        except InvalidDetectionError as error:
            raise BadRequestError(str(error)) from error
        return reply(201 if kept.stored else 202, kept.detection)

    async def _misbehave(self, wait: float) -> Response | None:
        fails, delay = self._behaviour.on_detections()
        if wait + delay:
            await asyncio.sleep(wait + delay)
        return reply(500, {"error": "internal error"}) if fails else None
