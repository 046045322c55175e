"""Whether an alarm's event, or a person's request, is worth an execution's further steps.

Of an event only the alarm's ARN, the time and the id are taken; what the alarm says now is read from CloudWatch.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from opskit.adapters.alarms import AlarmState
from opskit.clock import moment_of, timestamp
from opskit.decisions.runbook import Runbooks
from opskit.errors import InvalidInputError
from opskit.ledger import Seen

# An event from the future would never grow stale; clocks differ by less.
_CLOCKS_DIFFER = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Request:
    """Which alarm an execution is about, and who says so.

    `name` is the alarm's full name, `alarm` what is behind `<service>-<environment>-`, or the full name of an alarm
    that is not of this service and environment (then `ours` is false). `arn`, `at` and `event_id` are an event's, and
    None where a person asks.
    """

    alarm: str
    name: str
    ours: bool = True
    arn: str | None = None
    at: datetime | None = None
    event_id: str | None = None
    dry_run: bool = False
    requested_by: str | None = None
    reason: str | None = None

    @property
    def by_person(self) -> bool:
        """Whether a person asks."""
        return self.arn is None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"at": timestamp(self.at) if self.at else None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Request":
        """The inverse of `as_dict`."""
        return cls(**{**data, "at": moment_of(data["at"]) if data["at"] else None})


class Admission(StrEnum):
    """What becomes of a request."""

    ADMITTED = "ADMITTED"
    DUPLICATE = "DUPLICATE"
    STALE = "STALE"
    UNKNOWN = "UNKNOWN"
    ESCALATED = "ESCALATED"


@dataclass(frozen=True, slots=True)
class Ruling:
    """What becomes of a request, why, and the facts that this rests on."""

    outcome: Admission
    reason: str
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def admitted(self) -> bool:
        """Whether the execution goes on."""
        return self.outcome is Admission.ADMITTED

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"outcome": self.outcome.value}


def request_of(data: Mapping[str, Any], service: str, environment: str) -> Request:
    """What an input that fits `schemas/remediate.json` asks for. Raises InvalidInputError for another environment's."""
    prefix = f"{service}-{environment}-"
    if "source" in data:
        arn = data["resources"][0]
        name = arn.split(":", 6)[6]
        ours = name.startswith(prefix)
        try:
            at = moment_of(data["time"])
        except ValueError as error:
            raise InvalidInputError(f"time: {error}") from error
        return Request(name.removeprefix(prefix), name, ours, arn, at, data["id"])
    if data.get("environment", environment) != environment:
        raise InvalidInputError(f"this is {environment}, and the input is for {data['environment']}")
    alarm = data["alarm"].removeprefix(prefix)
    return Request(
        alarm,
        prefix + alarm,
        dry_run=data.get("dry_run", False),
        requested_by=data.get("requested_by"),
        reason=data.get("reason"),
    )


def screen(request: Request, runbooks: Runbooks, now: datetime) -> Ruling | None:
    """What can be ruled before anything is read: an alarm without a runbook, an event that is too old. Else None."""
    if not request.ours:
        return Ruling(Admission.UNKNOWN, f"{request.name} is not an alarm of this service and environment")
    if request.alarm not in runbooks.by_alarm:
        if request.alarm in runbooks.notify_only:
            return Ruling(Admission.UNKNOWN, f"{request.alarm} is known and has no repair: its own message tells of it")
        return Ruling(Admission.UNKNOWN, f"{request.alarm} has no runbook: nothing was done")
    if request.at is not None:
        age = (now - request.at).total_seconds()
        facts = {"event_age_seconds": round(age, 3), "event_age_allowed_seconds": runbooks.event_age_seconds}
        if age > runbooks.event_age_seconds:
            words = f"the event is {age:.0f} s old, more than {runbooks.event_age_seconds:g} s"
            return Ruling(Admission.STALE, f"{words}: nobody knows whether it still holds", facts)
        if request.at - now > _CLOCKS_DIFFER:
            return Ruling(Admission.STALE, f"the event says it is of {timestamp(request.at)}, which is to come", facts)
    return None


def admit(request: Request, runbooks: Runbooks, alarm: AlarmState, seen: Seen | None, now: datetime) -> Ruling:
    """What becomes of the request, with the alarm as CloudWatch has it now.

    `seen`: what the ledger answered about the transition at `alarm.since`; None only if the alarm does not fire, for
    then there is nothing to note. A person's request is never a duplicate.
    """
    if (early := screen(request, runbooks, now)) is not None:
        return early
    if request.arn is not None and request.arn != alarm.arn:
        return Ruling(Admission.UNKNOWN, f"the event is about {request.arn}, which is not {alarm.arn}")
    facts: dict[str, Any] = {"state": alarm.state, "since": timestamp(alarm.since)}
    if not alarm.firing:
        return Ruling(Admission.STALE, f"{request.alarm} is {alarm.state} since {timestamp(alarm.since)}", facts)
    if seen is None:
        raise ValueError("an alarm that fires is noted in the ledger before it is admitted")
    facts["transitions"] = seen.transitions
    if not seen.first and not request.by_person:
        return Ruling(Admission.DUPLICATE, f"{seen.by} is about the same transition", facts | {"duplicate_of": seen.by})
    flapping = runbooks.flapping
    if seen.transitions >= flapping.transitions:
        words = f"{request.alarm} fired {seen.transitions} times within {flapping.window_seconds:g} s"
        return Ruling(Admission.ESCALATED, f"{words}: it is flapping, which no repair of ours ends", facts)
    return Ruling(Admission.ADMITTED, f"{request.alarm} fires since {timestamp(alarm.since)}", facts)
