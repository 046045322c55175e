"""Every call is checked against IAM, which the automation plane evaluates."""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from sandbox.platform.automation import AutomationUnavailableError
from sandbox.platform.calls import Call
from sandbox.platform.errors import AwsError

ROOT_KEYS = frozenset({"test"})
CACHE_SECONDS = 1.0
"""How long an `allowed` stands; a refusal is never remembered."""


class Authority(Protocol):
    """Whoever decides; see `automation.Automation.authorize`."""

    def authorize(
        self,
        *,
        access_key_id: str,
        session_token: str | None,
        action: str,
        resource: str,
        context: Mapping[str, Any],
    ) -> tuple[int, dict[str, Any]]:
        """Status and body of the decision."""


def access_denied(call: Call, principal: str, resource: str, decision: str) -> AwsError:
    """The refusal, worded and coded as the service's protocol does it.

    Sources: "Troubleshoot access denied error messages" in the IAM user guide; EC2's error code list
    (UnauthorizedOperation). JSON protocols answer 400, the others 403.
    """
    why = (
        f"with an explicit deny in an identity-based policy for {call.action}"
        if decision == "explicitDeny"
        else f"because no identity-based policy allows the {call.action} action"
    )
    on = "" if resource == "*" else f" on resource: {resource}"
    message = f"User: {principal} is not authorized to perform: {call.action}{on} {why}"
    if call.protocol == "ec2":
        text = f"You are not authorized to perform this operation. {message}"
        return AwsError("UnauthorizedOperation", text, 403)
    if call.protocol == "query":
        return AwsError("AccessDenied", message, 403)
    return AwsError("AccessDeniedException", message, 400 if call.protocol == "json" else 403)


def invalid_credentials(call: Call) -> AwsError:
    """The answer to an access key that nobody has, or a session that is over."""
    message = "The security token included in the request is invalid."
    if call.protocol == "ec2":
        text = "AWS was not able to validate the provided access credentials"
        return AwsError("AuthFailure", text, 401)
    if call.protocol == "query":
        return AwsError("InvalidClientTokenId", message, 403)
    return AwsError("UnrecognizedClientException", message, 400 if call.protocol == "json" else 403)


def via_service(call: Call, service: str) -> Mapping[str, Any]:
    """The condition keys of what a service does with its caller's rights ("Forward access sessions" in the IAM user
    guide, and the condition keys of KMS).
    """
    context = {"aws:ViaAWSService": "true"}
    if call.prefix == "kms":
        context |= {"kms:ViaService": f"{service}.{call.region}.amazonaws.com", "kms:GrantIsForAWSResource": "true"}
    return context


Conditions = Callable[[str], Mapping[str, Any]]
"""The condition keys of a call on one resource."""


def _no_conditions(_: str) -> Mapping[str, Any]:
    return {}


class Authorizer:
    """Lets a call pass or raises `AwsError`. It fails closed: no decision, no access."""

    def __init__(self, authority: Authority, account: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._authority = authority
        self._root = f"arn:aws:iam::{account}:root"
        self._clock = clock
        self._lock = threading.Lock()
        self._allowed: dict[tuple[str, ...], tuple[float, str]] = {}

    def check(self, call: Call, resources: Sequence[str], conditions: Conditions = _no_conditions) -> str:
        """The calling principal's ARN, if it may do `call` on all of `resources`, under their `conditions`.

        Raises `AwsError`: access denied, unknown credentials, or 503 when nobody could decide.
        """
        if call.access_key_id in ROOT_KEYS:
            return self._root
        principal = ""
        for resource in resources:
            principal = self._check_one(call, resource, conditions(resource))
        return principal

    def _check_one(self, call: Call, resource: str, context: Mapping[str, Any]) -> str:
        key = (call.access_key_id, str(call.session_token), call.action, resource, json.dumps(context, sort_keys=True))
        now = self._clock()
        with self._lock:
            known = self._allowed.get(key)
        if known and now - known[0] < CACHE_SECONDS:
            return known[1]
        try:
            status, body = self._authority.authorize(
                access_key_id=call.access_key_id,
                session_token=call.session_token,
                action=call.action,
                resource=resource,
                context=context,
            )
        except AutomationUnavailableError as error:
            raise AwsError("ServiceUnavailable", f"IAM cannot be asked: {error}", 503) from error
        if status in (401, 403):
            raise invalid_credentials(call)
        decision = body.get("decision")
        if status != 200 or decision not in ("allowed", "implicitDeny", "explicitDeny"):
            raise AwsError("ServiceUnavailable", f"IAM answered {status} {body}", 503)
        principal = str(body.get("principal_arn", ""))
        if decision != "allowed":
            refusal = access_denied(call, principal, resource, decision)
            refusal.principal = principal
            raise refusal
        with self._lock:
            if len(self._allowed) > 10_000:
                self._allowed.clear()
            self._allowed[key] = (now, principal)
        return principal
