"""Step Functions: whether an execution has ended, and how."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from opskit import clients

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
