"""Step Functions: whether an execution has ended, and how."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from opskit import clients
from opskit.errors import InvalidInputError, UnavailableError

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


@dataclass(frozen=True, slots=True)
class Ended:
    """An execution that runs no more: its status (FAILED, ABORTED, TIMED_OUT, SUCCEEDED) and the cause, if any."""

    arn: str
    name: str
    status: str
    cause: str | None
    stopped_at: datetime | None


def state_machine_of(arn: str) -> str | None:
    """The name of the state machine whose execution `arn` is; None if it is no execution's ARN."""
    parts = arn.split(":")
    return parts[6] if len(parts) > 7 and parts[2] == "states" and parts[5] == "execution" else None


def ended_execution(arn: str, client: "SFNClient | None" = None) -> Ended | None:
    """The execution if it has ended, None while it runs. Raises botocore's errors, also for one that is unknown."""
    used: SFNClient = client or clients.client("stepfunctions")
    found = used.describe_execution(executionArn=arn)
    if found["status"] in {"RUNNING", "PENDING_REDRIVE"}:
        return None
    return Ended(arn, found["name"], found["status"], found.get("cause"), found.get("stopDate"))


def told_end(event: Mapping[str, Any], state_machine: str, client: "SFNClient | None" = None) -> Ended:
    """The end of an execution of `state_machine`, told by an event of EventBridge, as Step Functions itself knows it.

    Whoever may invoke the function can write an event, so of it only the execution's ARN is taken. Raises
    InvalidInputError if that is no execution of `state_machine`; UnavailableError if it runs: then the event is forged,
    or ahead of what Step Functions answers, which is eventually consistent
    (https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html), and is worth a retry.
    """
    arn = str(event["detail"]["executionArn"])
    if state_machine_of(arn) != state_machine:
        raise InvalidInputError(f"{arn} is no execution of {state_machine}.")
    ended = ended_execution(arn, client)
    if ended is None:
        raise UnavailableError(f"{arn} is said to have ended, and it runs.")
    return ended
