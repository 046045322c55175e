"""What the sandbox's other processes ask of the automation plane, beside the AWS APIs.

`GET /_sandbox/health`; `GET /_sandbox/requests` says how often each API was used; `POST /_sandbox/authorize`
decides for the platform plane whether a caller may do what it asks, with the identities and policies kept here;
`POST /_sandbox/signature` says whether a signature is that of an access key; `POST /_sandbox/events` puts an event of
an AWS service on the default bus, which PutEvents rightly refuses (sources that begin with `aws.` are reserved:
https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsRequestEntry.html).
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from ministack import app as ministack_app
from ministack.core import iam_evaluator, responses
from ministack.services import eventbridge

from sandbox.automation.patching import expect
from sandbox.automation.requests import Requests, counting
from sandbox.automation.signatures import is_valid

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

expect(eventbridge, "_put_events", "ebcda0f38061")
DECISIONS = {"Allow": "allowed", "Deny": "explicitDeny", "ImplicitDeny": "implicitDeny"}


@dataclass(frozen=True)
class Answer:
    """An HTTP status and a JSON body."""

    status: int
    body: dict[str, Any]


class BadRequestError(ValueError):
    """The request's body is not what the endpoint takes."""


def _field(body: dict[str, Any], name: str, kind: type, default: Any = None) -> Any:
    value = body.get(name, default)
    if not isinstance(value, kind):
        raise BadRequestError(f"{name} must be of type {kind.__name__}")
    return value


def put_event(
    source: str,
    detail_type: str,
    detail: dict[str, Any],
    resources: list[str],
    *,
    event_id: str | None = None,
    time: int | None = None,
) -> str:
    """Put an event on the default bus as AWS services do; returns its id.

    `event_id` and `time` (seconds since 1970) let it be one that was sent before, or comes late. EventBridge delivers
    at least once: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event.html.
    """
    # What `_put_events` does with one entry, which gives every event a new id and the time of now.
    record = {
        "EventId": event_id or eventbridge.new_uuid(),
        "Source": source,
        "DetailType": detail_type,
        "Detail": json.dumps(detail),
        "EventBusName": "default",
        "Time": int(eventbridge._now_ts()) if time is None else time,
        "Resources": resources,
        "Account": responses.get_account_id(),
        "Region": responses.get_region(),
    }
    eventbridge._events_log_list().append(record)
    view = eventbridge._pattern_event_view(record)
    eventbridge._dispatch_event(record, view)
    eventbridge._archive_event(record, view)
    return str(record["EventId"])


def authorize(body: dict[str, Any]) -> Answer:
    """Whether the holder of an access key may do `action` on `resource` (the policies' own evaluator).

    Body: `access_key_id`, `session_token` (or null), `action` (`service:Action`), `resource` (an ARN or `*`)
    and optionally `context` (condition keys). 403 when the key or its token is unknown.
    """
    access_key_id = _field(body, "access_key_id", str)
    action = _field(body, "action", str)
    resource = _field(body, "resource", str)
    context = _field(body, "context", dict, {})
    account = responses.get_account_id()
    credential = iam_evaluator.resolve_credential(access_key_id, account, body.get("session_token"))
    if isinstance(credential, iam_evaluator.CredentialResolutionError):
        return Answer(403, {"error": f"{credential.code}: {credential.message}"})
    principal = iam_evaluator.resolve_principal(access_key_id, credential.account_id, credential)
    if isinstance(principal, iam_evaluator.AuthError):
        return Answer(403, {"error": f"{principal.code}: {principal.message}"})
    decision, reason = "allowed", "root credentials"
    if principal.policies is not None:
        request = iam_evaluator.EvalContext(
            principal_arn=principal.arn,
            principal_type=principal.type,
            principal_account=principal.account,
            action=action,
            resource_arn=resource,
            region=responses.get_region(),
            service_context={key.lower(): value for key, value in context.items()},
            principal_keys=principal.keys,
        )
        result = iam_evaluator.evaluate(request, principal.policies, *principal.limits)
        decision, reason = DECISIONS[result.decision], result.reason
    return Answer(
        200,
        {
            "decision": decision,
            "principal_arn": principal.arn,
            "account": principal.account,
            "reason": reason,
        },
    )


def events(body: dict[str, Any]) -> Answer:
    """Put `{source, detail_type, detail, resources}` on the default bus; the answer has its `event_id`.

    An `event_id` and a `time` in seconds may be given.
    """
    source = _field(body, "source", str)
    if not source.startswith("aws."):
        raise BadRequestError("source must begin with aws.; use PutEvents for any other")
    identifier = put_event(
        source,
        _field(body, "detail_type", str),
        _field(body, "detail", dict),
        _field(body, "resources", list, []),
        event_id=None if body.get("event_id") is None else _field(body, "event_id", str),
        time=None if body.get("time") is None else _field(body, "time", int),
    )
    return Answer(200, {"event_id": identifier})


def signature(body: dict[str, Any]) -> Answer:
    """Whether a signature holds: `{"valid": true}`; the body has the arguments of `signatures.is_valid`."""
    token = body.get("session_token")
    if token is not None and not isinstance(token, str):
        raise BadRequestError("session_token must be of type str or null")
    valid = is_valid(
        _field(body, "access_key_id", str),
        token,
        _field(body, "scope", str),
        _field(body, "string_to_sign", str),
        _field(body, "signature", str),
    )
    return Answer(200, {"valid": valid})


REQUESTS = Requests()
_ministack = counting(ministack_app.app, REQUESTS)


def requests(_body: dict[str, Any]) -> Answer:
    """How many API requests there were, as `sandbox.automation.requests` describes it."""
    return Answer(200, {"requests": REQUESTS.report()})


def health(_body: dict[str, Any]) -> Answer:
    """200 as soon as requests are served."""
    return Answer(200, {"status": "ok"})


ROUTES: dict[tuple[str, str], Callable[[dict[str, Any]], Answer]] = {
    ("GET", "/_sandbox/health"): health,
    ("GET", "/_sandbox/requests"): requests,
    ("POST", "/_sandbox/authorize"): authorize,
    ("POST", "/_sandbox/events"): events,
    ("POST", "/_sandbox/signature"): signature,
}


async def _read(receive: Receive) -> dict[str, Any]:
    content = b""
    while True:
        message = await receive()
        content += message.get("body", b"")
        if not message.get("more_body"):
            break
    try:
        body = json.loads(content or b"{}")
    except ValueError as error:
        raise BadRequestError(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise BadRequestError("the body must be a JSON object")
    return body


async def _respond(send: Send, answer: Answer) -> None:
    content = json.dumps(answer.body).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application: the endpoints above, ministack for everything else."""
    if scope["type"] != "http" or not scope["path"].startswith("/_sandbox/"):
        await _ministack(scope, receive, send)
        return
    endpoint = ROUTES.get((scope["method"], scope["path"]))
    if endpoint is None:
        await _respond(send, Answer(404, {"error": f"no {scope['method']} {scope['path']}"}))
        return
    try:
        body = await _read(receive)
        # Off the loop: an event's targets may be invoked before it returns.
        answer = await asyncio.to_thread(endpoint, body)
    except BadRequestError as error:
        answer = Answer(400, {"error": str(error)})
    await _respond(send, answer)
