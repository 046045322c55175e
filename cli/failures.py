"""AWS and ledger errors in words: what went wrong, and what to do about it."""

import re
from typing import TYPE_CHECKING, Any

from cli.exits import ExitCode, Failure, exit_code_of

if TYPE_CHECKING:
    from cli.session import Session

_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_UNKNOWN_KEY = frozenset({"InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch"})
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
_THROTTLED = frozenset(
    {"ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded", "SlowDown"}
)


def explain(error: Exception, session: "Session | None") -> Failure | None:
    """The failure that `error` amounts to, or None for a defect, which must not be hidden."""
    if isinstance(error, Failure):
        return error
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - slow to import, and --help needs none

    from opskit.errors import OpsError  # noqa: PLC0415 - not needed for --help

    if isinstance(error, ClientError):
        return _of_answer(error, session)
    if isinstance(error, BotoCoreError):
        return _of_client(error)
    if isinstance(error, OpsError):
        name = type(error).__name__
        code = ExitCode.UNREACHABLE if name == "PlatformContractError" else exit_code_of(name)
        return Failure(code, name, str(error))
    return None


def _of_client(error: Any) -> Failure:
    """An error of botocore's own: the request was not sent, or no answer came."""
    name = type(error).__name__
    text = str(error).rstrip(".")
    advice = {
        "NoCredentialsError": "no AWS credentials: set --profile or AWS_PROFILE, or run `aws sso login`; "
        "for the sandbox, add --sandbox",
        "PartialCredentialsError": f"incomplete AWS credentials: {text}",
        "ProfileNotFound": f"{text}: see `aws configure list-profiles`",
        "NoRegionError": "no AWS region: set --region or AWS_REGION",
        "TokenRetrievalError": f"the SSO session is over: run `aws sso login` ({text})",
        "UnauthorizedSSOTokenError": f"the SSO session is over: run `aws sso login` ({text})",
        "SSOTokenLoadError": f"no SSO session: run `aws sso login` ({text})",
        "EndpointConnectionError": f"endpoint unreachable: {text}. Check the network and --region; "
        "for the sandbox, see `ops sandbox status`",
        "ConnectTimeoutError": f"endpoint unreachable: {text}. Check the network and --region",
        "ConnectionClosedError": f"endpoint unreachable: {text}. Is it still running?",
        "ReadTimeoutError": f"no answer in time: {text}",
    }
    return Failure(ExitCode.UNREACHABLE, name, advice.get(name, text))


def _of_answer(error: Any, session: "Session | None") -> Failure:
    """An error that an AWS service answered with."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    text = str(error.response.get("Error", {}).get("Message", "")) or str(error)
    operation = str(error.operation_name)
    if code in _DENIED | _EXPIRED | _UNKNOWN_KEY:
        return _of_refused_credentials(code, text, operation)
    if code in _THROTTLED:
        return Failure(ExitCode.FAILED, "Throttled", f"{operation} is throttled by AWS: try again in a minute")
    if code == "ExecutionDoesNotExist":
        return Failure(
            ExitCode.UNREACHABLE,
            "ExecutionNotFound",
            "there is no such execution; `ops history` lists the recorded ones",
        )
    missing = _missing(error, text, session) if session is not None else ""
    if session is not None and missing:
        return unknown_environment(session, missing)
    return Failure(ExitCode.FAILED, code or "ClientError", f"{operation} failed: {code}: {text}")


def _missing(error: Any, text: str, session: "Session") -> str:
    """Which of the stack's resources AWS does not know; empty for any other answer."""
    code = str(error.response["Error"].get("Code", ""))
    if code == "StateMachineDoesNotExist":
        # AWS's message: "State Machine Does Not Exist: 'arn:aws:states:…:stateMachine:<name>'"
        named = re.search(r":stateMachine:([A-Za-z0-9_-]+)", text)
        return f"state machine {named[1] if named else ''}".rstrip()
    if code == "NoSuchBucket":
        return f"bucket {error.response['Error'].get('BucketName', '')}".rstrip()
    return f"table {session.table_name}" if code == "ResourceNotFoundException" else ""


def _of_refused_credentials(code: str, text: str, operation: str) -> Failure:
    if code in _DENIED:
        message = f"access denied: {_denied_action(text, operation)}: {text}"
        return Failure(ExitCode.UNREACHABLE, "AccessDenied", message)
    if code in _EXPIRED:
        message = "the AWS credentials have expired: log in again"
        return Failure(ExitCode.UNREACHABLE, "ExpiredCredentials", message)
    message = f"AWS does not accept these credentials ({code}): check --profile and the endpoint in use"
    return Failure(ExitCode.UNREACHABLE, "InvalidCredentials", message)


def unknown_environment(session: "Session", missing: str) -> Failure:
    """The automation stack is not there, or not in this account and region."""
    return Failure(
        ExitCode.UNREACHABLE,
        "UnknownEnvironment",
        f"unknown environment {session.environment}: there is no {missing} in region {session.region}. "
        f"Check --service, --environment, --profile and --region, or deploy it with "
        f"`sam deploy --config-env {session.environment}`.",
    )


def _denied_action(text: str, operation: str) -> str:
    # AWS's message: "User: <arn> is not authorized to perform: states:StartExecution on resource: …"
    found = re.search(r"not authorized to perform: ([a-z0-9-]+:[A-Za-z0-9*]+)", text)
    return found[1] if found else operation
