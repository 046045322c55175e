"""Runbooks: for each alarm what may be done about it, within which bounds, and when not. Data, not code."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

ACT, DRY_RUN = "act", "dry_run"
CAP_WINDOW_SECONDS = 3600.0
SECONDS = "_seconds"


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that a runbook may do. `name` is also that of its function and of its state; `bounds` are its own."""

    name: str
    reversible: bool
    approval: bool
    bounds: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"name": self.name, "reversible": self.reversible, "approval": self.approval, "bounds": self.bounds}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        return cls(data["name"], data["reversible"], data["approval"], dict(data["bounds"]))


@dataclass(frozen=True, slots=True)
class Runbook:
    """What may be done about the alarm `<service>-<environment>-<alarm>`: the first of `actions` that applies.

    `about` is the kind of resource, and names the lock under which it is changed. While one of `cause_first` fires,
    this runbook waits. `cooldown_seconds` lie between two actions of it; the alarm must be OK `verify_seconds` after
    one.
    """

    alarm: str
    about: str
    cooldown_seconds: float
    verify_seconds: float
    actions: tuple[Action, ...]
    cause_first: tuple[str, ...] = ()

    @property
    def lock(self) -> str:
        """The name of the lock on the resource; runbooks about the same resource share it."""
        return f"remedy:{self.about}"

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "alarm": self.alarm,
            "about": self.about,
            "cooldown_seconds": self.cooldown_seconds,
            "verify_seconds": self.verify_seconds,
            "actions": [action.as_dict() for action in self.actions],
            "cause_first": list(self.cause_first),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        return cls(
            alarm=data["alarm"],
            about=data["about"],
            cooldown_seconds=data["cooldown_seconds"],
            verify_seconds=data["verify_seconds"],
            actions=tuple(Action.from_dict(action) for action in data["actions"]),
            cause_first=tuple(data["cause_first"]),
        )


@dataclass(frozen=True, slots=True)
class Flapping:
    """An alarm that takes the state ALARM `transitions` times within `window_seconds` is left to people."""

    transitions: int
    window_seconds: float


@dataclass(frozen=True, slots=True)
class Runbooks:
    """All runbooks of an environment and what holds for each of them. See `schemas/runbooks.json` for every member.

    `cap_window_seconds` is the hour of `hourly_cap`: 3600, times the factor of a rehearsal.
    """

    mode: str
    hourly_cap: int
    event_age_seconds: float
    settle_seconds: float
    defer_seconds: float
    give_up_seconds: float
    flapping: Flapping
    strikes: int
    notify_only: tuple[str, ...]
    by_alarm: dict[str, Runbook]
    cap_window_seconds: float = CAP_WINDOW_SECONDS

    @property
    def dry_run(self) -> bool:
        """Whether nothing may be changed, whoever asks."""
        return self.mode != ACT


def parse_runbooks(data: Mapping[str, Any], factor: float = 1.0) -> Runbooks:
    """The runbooks of a file that fits its schema, every time in it (`*_seconds`, in bounds too) times `factor`."""
    scaled = _scaled(data, factor)
    return Runbooks(
        mode=scaled["mode"],
        hourly_cap=scaled["hourly_cap"],
        event_age_seconds=scaled["event_age_seconds"],
        settle_seconds=scaled["settle_seconds"],
        defer_seconds=scaled["defer_seconds"],
        give_up_seconds=scaled["give_up_seconds"],
        flapping=Flapping(**scaled["flapping"]),
        strikes=scaled["strikes"],
        notify_only=tuple(scaled["notify_only"]),
        by_alarm={alarm: _runbook(alarm, one) for alarm, one in scaled["runbook"].items()},
        cap_window_seconds=CAP_WINDOW_SECONDS * factor,
    )


def contradictions(runbooks: Runbooks) -> list[str]:
    """What a schema cannot see: the sentences that say what is wrong; empty if nothing is."""
    known = runbooks.by_alarm
    found = [f"`{name}` has a runbook and is in notify_only" for name in runbooks.notify_only if name in known]
    for runbook in known.values():
        found += [
            f"`{cause}`, a cause of `{runbook.alarm}`, has no runbook"
            for cause in runbook.cause_first
            if cause not in known
        ]
        if _waits_for_itself(runbook.alarm, known):
            found.append(f"`{runbook.alarm}` waits for itself through cause_first")
        if runbook.cooldown_seconds < runbooks.settle_seconds:
            found.append(f"`{runbook.alarm}` has a cooldown shorter than settle_seconds")
        found += [
            f"`{action.name}` of `{runbook.alarm}` interrupts, so it must ask for approval"
            for action in runbook.actions
            if action.name in INTERRUPTING and not action.approval
        ]
    return found


# Every client of the cache loses its connection for some seconds when nodes of another size take over:
# https://docs.aws.amazon.com/AmazonElastiCache/latest/red-ug/Scaling.RedisReplGrps.ScaleUp.html
INTERRUPTING = frozenset({"resize_cache"})


def _runbook(alarm: str, data: Mapping[str, Any]) -> Runbook:
    return Runbook(
        alarm=alarm,
        about=data["about"],
        cooldown_seconds=data["cooldown_seconds"],
        verify_seconds=data["verify_seconds"],
        actions=tuple(Action.from_dict(action) for action in data["action"]),
        cause_first=tuple(data["cause_first"]),
    )


def _scaled(value: Any, factor: float) -> Any:
    if isinstance(value, Mapping):
        return {
            name: item * factor if name.endswith(SECONDS) else _scaled(item, factor) for name, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_scaled(item, factor) for item in value]
    return value


def _waits_for_itself(alarm: str, known: Mapping[str, Runbook]) -> bool:
    reached: set[str] = set()
    ahead = list(known[alarm].cause_first)
    while ahead:
        cause = ahead.pop()
        if cause not in reached and cause in known:
            reached.add(cause)
            ahead += known[cause].cause_first
    return alarm in reached
