"""A database with too many connections: its alarm fires, the switch is off, nothing else is going on."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from opskit import clients
from opskit.adapters.alarms import AlarmReading, Alarms, AlarmState
from opskit.adapters.database_state import DatabaseState
from opskit.adapters.databases import Databases
from opskit.adapters.notifier import Notifier
from opskit.adapters.switch import Switch, SwitchState
from opskit.clock import timestamp
from opskit.decisions.alarm_subject import Measured
from opskit.errors import MeasurementError
from opskit.platform import Platform, endpoint_parameter
from opskit.step import Execution, Run
from tests.unit.decisions.backups import DATABASE
from tests.unit.functions.conftest import START, FixedClock

EXECUTION = "arn:aws:states:us-east-1:000000000000:execution:detection-api-dev-remediate"
SUFFIX = "database-connections"
NAME = f"detection-api-dev-{SUFFIX}"
ALARM_ARN = f"arn:aws:cloudwatch:us-east-1:000000000000:alarm:{NAME}"
RESOURCE = "arn:aws:rds:us-east-1:000000000000:db:detection-api-dev"
FIRED = START - timedelta(seconds=5)
SETTINGS = {
    "runbook_time_factor": 1,
    "poll_seconds": 15,
    "rollback_seconds": 1800,
    "lease_seconds": 60,
    "approval_seconds": 900,
}


@dataclass
class Watched:
    """The alarms that there are; every one is OK unless it is told otherwise. `broken`: CloudWatch does not answer."""

    states: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    broken: bool = False
    asked: int = 0

    def fire(self, suffix: str, since: datetime = FIRED) -> None:
        self.states[suffix] = ("ALARM", since)

    def calm(self, suffix: str, since: datetime) -> None:
        self.states[suffix] = ("OK", since)

    def read(self, names: list[str]) -> tuple[AlarmReading, ...]:
        self.asked += 1
        if self.broken:
            raise MeasurementError("CloudWatch does not answer")
        return tuple(self._reading(name) for name in names)

    def _reading(self, name: str) -> AlarmReading:
        state, since = self.states.get(name.removeprefix("detection-api-dev-"), ("OK", START - timedelta(days=1)))
        arn = f"arn:aws:cloudwatch:us-east-1:000000000000:alarm:{name}"
        measured = Measured("AWS/RDS", "DatabaseConnections", {"DBInstanceIdentifier": "detection-api-dev"})
        return AlarmReading(AlarmState(name, arn, state, "because", since), (measured,), lookback_seconds=300.0)


@pytest.fixture
def alarms(monkeypatch: pytest.MonkeyPatch) -> Watched:
    watched = Watched()
    watched.fire(SUFFIX)
    monkeypatch.setattr(Alarms, "read", lambda _, names: watched.read(names))
    return watched


@pytest.fixture
def platform(platform: Platform) -> Platform:
    return replace(platform, alarm_resources=(f"{NAME}={RESOURCE}",))


@pytest.fixture
def world(run: Run, alarms: Watched, monkeypatch: pytest.MonkeyPatch) -> Watched:
    """The database that the alarm is about is the one that the service uses, and nobody has pulled the switch."""
    name = endpoint_parameter("detection-api", "dev", "database")
    clients.client("ssm").put_parameter(Name=name, Value="db:5432", Type="String")
    live = DatabaseState("detection-api-dev", RESOURCE, "id", "available", DATABASE, address="db")
    monkeypatch.setattr(Databases, "instances", lambda _: (live,))
    set_switch(paused=False)
    return alarms


def set_switch(**state: Any) -> None:
    Switch("detection-api", "dev").write(SwitchState(**state))


@pytest.fixture
def run(run: Run) -> Run:
    return as_execution(run, "r1")


def as_execution(run: Run, name: str) -> Run:
    """The same world, seen by another execution."""
    return replace(run, execution=Execution(f"{EXECUTION}:{name}", name, START), workflow="remediate")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    monkeypatch.setattr(Notifier, "publish", lambda _, subject, message: messages.append(message))
    return messages


def event_of(suffix: str = SUFFIX, at: datetime = START, **changes: Any) -> dict[str, Any]:
    """As EventBridge delivers it, with details that must not be believed."""
    return {
        "source": "aws.cloudwatch",
        "detail-type": "CloudWatch Alarm State Change",
        "id": "e1",
        "time": timestamp(at),
        "resources": [f"arn:aws:cloudwatch:us-east-1:000000000000:alarm:detection-api-dev-{suffix}"],
        "detail": {"alarmName": "somebody-else", "state": {"value": "ALARM"}},
    } | changes


@pytest.fixture
def admit(world: Watched) -> Callable[..., dict[str, Any]]:
    def call(run: Run, given: dict[str, Any] | None = None) -> dict[str, Any]:
        from functions.remediate import admit_alarm

        done = admit_alarm.handler.__wrapped__({"settings": SETTINGS, "input": given or event_of()}, run)
        return dict(done)

    return call


@pytest.fixture
def admission(admit: Callable[..., dict[str, Any]], run: Run) -> dict[str, Any]:
    return admit(run)


@pytest.fixture
def plan(admission: dict[str, Any], run: Run) -> dict[str, Any]:
    return planned(run, admission)


def planned(run: Run, admission: dict[str, Any]) -> dict[str, Any]:
    from functions.remediate import plan_remedy

    return dict(plan_remedy.handler.__wrapped__({"settings": SETTINGS, "admission": admission}, run))


def reserved(run: Run, admission: dict[str, Any], plan: dict[str, Any]) -> dict[str, Any]:
    from functions.remediate import reserve_remedy

    event = {"settings": SETTINGS, "admission": admission, "plan": plan, "approval": None}
    return dict(reserve_remedy.handler.__wrapped__(event, run))


@pytest.fixture
def reservation(admission: dict[str, Any], plan: dict[str, Any], run: Run) -> dict[str, Any]:
    return reserved(run, admission, plan)


def left(**changes: Any) -> dict[str, Any]:
    """What the steps of an execution have left for the last one."""
    nothing = dict.fromkeys(("admission", "plan", "approval", "reservation", "acted", "acted_at", "watched"))
    return {
        "settings": SETTINGS,
        "input": event_of(),
        "failure": {"state": "", "error": "", "cause": ""},
        **nothing,
    } | changes


__all__ = ["FixedClock"]
