"""As many invocations at the same time as this machine bears; what is more is throttled, as Lambda does.

On AWS an account has a limit of concurrent executions, 1,000 and in new accounts as few as ten; beyond it an invocation
fails with TooManyRequestsException, which Step Functions calls Lambda.TooManyRequestsException; what was invoked
asynchronously waits instead (https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html,
https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html#bp-lambda-serviceexception,
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html).

ministack's limit goes by memory, some hundreds, each with a new process: on two processors none of them would end in
time. Its error is one that no workflow knows, and it drops what is asynchronous after three attempts. Here an
invocation waits for a place first, and for less than the workflows' time limits leave above their functions' own.

The account's quota, as GetAccountSettings tells it, stays AWS's: what is short here are processors, not a quota that
somebody could raise.
"""

import json
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from ministack.services import lambda_svc

from sandbox.automation.patching import replace

AT_ONCE = 12
WAIT_SECONDS = 6.0
QUOTA = 1000
"""AWS's default, see above."""
ASYNCHRONOUS_SECONDS = 3600.0
"""Six hours on AWS."""

THROTTLED = "Lambda.TooManyRequestsException"

_freed = threading.Condition()
_patience: ContextVar[float] = ContextVar("patience", default=WAIT_SECONDS)
_originals: dict[str, Callable[..., Any]] = {}


def _acquire(function: dict[str, Any], config: dict[str, Any]) -> tuple[str | None, str | None]:
    """A place as soon as one is free; without one in time, which limit is reached."""
    end = time.monotonic() + _patience.get()
    with _freed:
        while True:
            place, limit = _originals["acquire"](function, config)
            left = end - time.monotonic()
            if place is not None or limit != "account" or left <= 0:
                return place, limit
            _freed.wait(left)


def _release(place: str) -> None:
    _originals["release"](place)
    with _freed:
        _freed.notify()


def _throttled(reason_code: str, msg: str, retry_after: int = 1) -> dict[str, Any]:
    """As ministack's, and with the error that Step Functions reports."""
    answer: dict[str, Any] = _originals["throttled"](reason_code, msg, retry_after)
    answer["body"] |= {"errorType": THROTTLED, "errorMessage": msg}
    return answer


def _asynchronously(*arguments: Any, **named: Any) -> Any:
    # The thread that invokes takes this context along.
    token = _patience.set(ASYNCHRONOUS_SECONDS)
    try:
        return _originals["asynchronously"](*arguments, **named)
    finally:
        _patience.reset(token)


def _account_settings() -> tuple[int, dict[str, str], bytes]:
    """As ministack's, with the account's quota in the place of this machine's limit."""
    status, headers, body = _originals["settings"]()
    answer = json.loads(body)
    limits = answer["AccountLimit"]
    functions = lambda_svc._functions
    reserved = sum(int(functions[name].get("concurrency") or 0) for name in list(functions.keys()))
    limits |= {"ConcurrentExecutions": QUOTA, "UnreservedConcurrentExecutions": QUOTA - reserved}
    return status, headers, json.dumps(answer).encode()


def apply() -> None:
    """Limit the invocations at the same time, and say so as AWS does."""
    lambda_svc._ACCOUNT_CONCURRENCY_CAP = AT_ONCE
    for name, owned, known, replacement in (
        ("acquire", "_acquire_execution_slot", "ed3b38149e2e", _acquire),
        ("release", "_release_execution_slot", "b35708f638af", _release),
        ("throttled", "_throttle_response", "647221d5b077", _throttled),
        ("asynchronously", "invoke_async_with_retry", "289fe4d3cbd4", _asynchronously),
        ("settings", "_get_account_settings", "8155708f9d9c", _account_settings),
    ):
        _originals[name] = replace(lambda_svc, owned, known, replacement)
