"""The alarms that the runbooks know: their names as people give them, and which of them are firing."""

from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from cli.exits import ExitCode, Failure

if TYPE_CHECKING:
    from cli.session import Session


@dataclass(frozen=True, slots=True)
class Firing:
    """An alarm in ALARM: its `suffix` after `<service>-<environment>-`, and whether there is a `runbook` for it."""

    suffix: str
    since: datetime
    reason: str
    runbook: bool

    def as_dict(self) -> dict[str, Any]:
        """The `--json` form."""
        return {"alarm": self.suffix, "since": self.since, "reason": self.reason, "runbook": self.runbook}


def repaired(session: "Session", name: str) -> str:
    """The suffix of the alarm `name` (suffix, full name or ARN), for which there is a runbook.

    Raises:
        Failure: no such alarm, or one without a runbook; the message lists those that have one.
    """
    runbooks = session.runbooks
    suffix = suffix_of(session, name)
    if suffix in runbooks.by_alarm:
        return suffix
    known = ", ".join(runbooks.by_alarm)
    if suffix in runbooks.notify_only:
        message = f"{suffix} has no runbook, people are told of it and look themselves; runbooks: {known}"
        raise Failure(ExitCode.USAGE, "NoRunbook", message)
    close = get_close_matches(suffix, runbooks.by_alarm, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    message = f"{name!r} is no alarm that {session.environment} has a runbook for{hint}; runbooks: {known}"
    raise Failure(ExitCode.USAGE, "UnknownAlarm", message)


def suffix_of(session: "Session", name: str) -> str:
    """What is left of an alarm's name or ARN without the service and the environment; a suffix stays what it is."""
    # arn:aws:cloudwatch:REGION:ACCOUNT:alarm:NAME, and a name may have colons of its own.
    bare = name.strip().split(":", 6)[-1] if name.strip().startswith("arn:") else name.strip()
    return bare.removeprefix(f"{session.name}-")


def firing(session: "Session") -> list[Firing]:
    """The alarms of the environment that are in ALARM, longest first."""
    from opskit.adapters.alarms import state_of  # noqa: PLC0415 - not needed for --help
    from opskit.errors import RunbooksError  # noqa: PLC0415 - not needed for --help

    try:
        known = session.runbooks.by_alarm
    except RunbooksError:
        # What fires can be told without them.
        known = {}
    pages = (
        session.client("cloudwatch")
        .get_paginator("describe_alarms")
        .paginate(AlarmNamePrefix=f"{session.name}-", StateValue="ALARM", AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    )
    found = [state_of(alarm) for page in pages for kind in ("MetricAlarms", "CompositeAlarms") for alarm in page[kind]]
    told = [
        Firing(suffix, state.since, state.reason, suffix in known)
        for state in found
        if state.firing
        for suffix in [suffix_of(session, state.name)]
    ]
    return sorted(told, key=lambda one: one.since)
