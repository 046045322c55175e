"""The WSGI application: authorize, answer from a concern's module or from moto, log."""

import io
import json
import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from moto.core.request import Request
from moto.moto_server.werkzeug_app import BackendRequest, DomainDispatcherApplication, create_backend_app
from werkzeug.test import run_wsgi_app
from werkzeug.wrappers import Response

from sandbox.platform.authorization import Authorizer
from sandbox.platform.calls import Answer, Call, error_answer, guess_protocol, read_call
from sandbox.platform.errors import AwsError
from sandbox.platform.journal import Journal
from sandbox.platform.resources import resources

log = logging.getLogger(__name__)

Forward = Callable[[], Answer]
"""Runs the call at hand in moto, under the lock that serializes its state."""

InternalEndpoint = Callable[[Request], Response]
MAX_BODY = 16 * 1024 * 1024


class Concern(Protocol):
    """One service's deviations from moto. `handle` answers a call, by itself or by way of `forward`.

    A concern may also have `conditions(call, resource)`, the condition keys of a call for IAM; `dependents(call)`,
    further calls as which it is authorized, each with resources, in the call's own conditions; and `close()`.
    """

    service: str

    def handle(self, call: Call, forward: Forward) -> Answer:
        """Answer `call`; raises `AwsError`."""


class Application:
    """WSGI callable. `lock` guards moto's state: hold it to read that state outside of a call."""

    def __init__(self, *, account: str, authorizer: Authorizer, journal: Journal, lock: threading.RLock) -> None:
        self._account = account
        self._authorizer = authorizer
        self._journal = journal
        self._lock = lock
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._concerns: dict[str, Concern] = {}
        self._internal: dict[str, InternalEndpoint] = {}

    def add(self, concern: Concern) -> None:
        """Let `concern` handle all calls of its service."""
        self._concerns[concern.service] = concern

    def add_internal(self, path: str, endpoint: InternalEndpoint) -> None:
        """Serve `path` (under `/_sandbox/`), without authorization and unlogged."""
        self._internal[path] = endpoint

    def close(self) -> None:
        """Let concerns that keep something running stop it."""
        for concern in self._concerns.values():
            close = getattr(concern, "close", None)
            if close is not None:
                close()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        endpoint = self._internal.get(environ.get("PATH_INFO", ""))
        if endpoint is not None:
            return endpoint(Request(environ))(environ, start_response)
        answer = self._api(environ)
        return Response(answer.body, answer.status, list(answer.headers))(environ, start_response)

    def _api(self, environ: dict[str, Any]) -> Answer:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if length > MAX_BODY:
            return error_answer("rest-json", AwsError("RequestEntityTooLarge", "Request too large", 413))
        body = environ["wsgi.input"].read(length)
        request = BackendRequest({**environ, "wsgi.input": io.BytesIO(body)})
        try:
            call = read_call(request)
        except AwsError as error:
            self._journal.append(
                principal=None,
                action=f"unknown:{request.method} {request.path}",
                resource=(),
                status=error.status,
                error=error.code,
            )
            return error_answer(guess_protocol(request), error)
        targets: Sequence[str] = ()
        principal: str | None = None
        code: str | None = None
        try:
            targets = resources(call, self._account)
            principal = self._authorize(call, targets)
            answer = self._handle(call, {**environ, "wsgi.input": io.BytesIO(body)})
        except AwsError as error:
            principal, code = principal or error.principal, error.code
            answer = call.error(error)
        except Exception:
            log.exception("%s failed", call.action)
            code = "InternalFailure"
            answer = call.error(AwsError(code, "An internal error occurred", 500))
        self._journal.append(
            principal=principal,
            action=call.action,
            resource=targets,
            status=answer.status,
            error=code,
            parameters=None if call.read_only else call.params,
        )
        return answer

    def _authorize(self, call: Call, targets: Sequence[str]) -> str:
        conditions = getattr(self._concerns.get(call.service), "conditions", None)
        if conditions is None:
            return self._authorizer.check(call, targets)
        principal = self._authorizer.check(call, targets, partial(conditions, call))
        dependents = getattr(self._concerns[call.service], "dependents", None)
        for dependent, of in dependents(call) if dependents is not None else ():
            self._authorizer.check(dependent, of, partial(conditions, dependent))
        return principal

    def _handle(self, call: Call, environ: dict[str, Any]) -> Answer:
        def forward() -> Answer:
            with self._lock:
                pieces, status, headers = run_wsgi_app(self._moto, environ, buffered=True)
            # The server states length and connection itself.
            kept = tuple(
                (name, value)
                for name, value in headers
                if name.lower() not in ("content-length", "connection", "date", "server")
            )
            return Answer(int(status.split(" ", 1)[0]), b"".join(pieces), kept)

        concern = self._concerns.get(call.service)
        return concern.handle(call, forward) if concern else forward()


def json_response(document: Mapping[str, Any], *, etag: str | None = None) -> Response:
    """A JSON answer of an internal endpoint."""
    response = Response(json.dumps(document), mimetype="application/json")
    if etag is not None:
        response.headers["ETag"] = etag
    return response
