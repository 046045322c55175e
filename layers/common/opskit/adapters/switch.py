"""The kill switch: one parameter in Parameter Store that keeps the remediation from changing anything.

What cannot be read holds: a switch that is missing, out of reach or malformed counts as thrown.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from opskit import clients
from opskit.clock import moment_of, timestamp

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient


@dataclass(frozen=True, slots=True)
class SwitchState:
    """Whether the remediation is paused, until when (None: until somebody resumes it), why, by whom, and since when.

    `unreadable`: it counts as paused because it could not be read; `reason` says why not.
    """

    paused: bool
    until: datetime | None = None
    reason: str = ""
    by: str = ""
    at: datetime | None = None
    unreadable: bool = False

    def holds(self, now: datetime) -> bool:
        """Whether nothing may be changed at `now`: a pause ends with its `until`."""
        return self.paused and (self.until is None or now < self.until)

    @property
    def words(self) -> str:
        """For a person: `paused by ann until …: the database is being moved`."""
        if self.unreadable:
            return self.reason
        if not self.paused:
            return "not paused"
        until = timestamp(self.until) if self.until else "it is resumed"
        return f"paused by {self.by or 'somebody'} until {until}: {self.reason or 'no reason given'}"

    def as_dict(self) -> dict[str, Any]:
        """The parameter's content."""
        return {
            "paused": self.paused,
            "until": timestamp(self.until) if self.until else None,
            "reason": self.reason,
            "by": self.by,
            "at": timestamp(self.at) if self.at else None,
        }


class Switch:
    """The kill switch of one service in one environment."""

    def __init__(self, service: str, environment: str, client: "SSMClient | None" = None) -> None:
        self.name = switch_parameter(service, environment)
        self._client: SSMClient = client or clients.client("ssm")

    def read(self) -> SwitchState:
        """The switch as it is now; never raises for what is missing, out of reach or malformed: that is paused."""
        try:
            value = self._client.get_parameter(Name=self.name)["Parameter"]["Value"]
        except (ClientError, BotoCoreError, KeyError) as error:
            return _unreadable(f"the kill switch {self.name} cannot be read, so it holds: {error!r}")
        try:
            return _parsed(value)
        except (ValueError, TypeError, KeyError) as error:
            return _unreadable(f"the kill switch {self.name} holds {value[:200]!r}, so it counts as thrown: {error}")

    def write(self, state: SwitchState) -> None:
        """Set the switch, for the command line. Lets AWS's errors through: a pause that failed must be seen."""
        self._client.put_parameter(Name=self.name, Value=json.dumps(state.as_dict()), Type="String", Overwrite=True)


def switch_parameter(service: str, environment: str) -> str:
    """The name of the kill switch's parameter."""
    return f"/{service}/{environment}/remediation/switch"


def _parsed(text: str) -> SwitchState:
    content = json.loads(text)
    if not isinstance(content, dict) or not isinstance(content.get("paused"), bool):
        raise ValueError('it must be an object with "paused": true or false')
    until, at = content.get("until"), content.get("at")
    return SwitchState(
        paused=content["paused"],
        until=moment_of(until) if until is not None else None,
        reason=str(content.get("reason") or ""),
        by=str(content.get("by") or ""),
        at=moment_of(at) if at is not None else None,
    )


def _unreadable(reason: str) -> SwitchState:
    return SwitchState(paused=True, reason=reason, unreadable=True)
