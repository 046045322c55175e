"""An alarm of the database that may be acted on, and everything around it, to change one thing at a time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from opskit.adapters.alarms import AlarmReading, AlarmState
from opskit.adapters.switch import SwitchState
from opskit.decisions.alarm_subject import Measured
from opskit.decisions.guardrails import Situation
from opskit.decisions.runbook import Action, Flapping, Runbook, Runbooks
from opskit.ledger import Holder, RemedyState

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ACCOUNT = "arn:aws:{}:us-east-1:123456789012:{}"
NAME = "shop-prod-database-connections"
ALARM_ARN = ACCOUNT.format("cloudwatch", f"alarm:{NAME}")
DATABASE = ACCOUNT.format("rds", "db:shop-prod")
ME, OTHER = ACCOUNT.format("states", "execution:shop-prod-remediate:me"), "arn:…:execution:shop-prod-remediate:other"


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def alarm(state: str = "ALARM", since: float = 90, name: str = NAME) -> AlarmState:
    return AlarmState(name, ACCOUNT.format("cloudwatch", f"alarm:{name}"), state, "over 150", ago(since))


def reading(state: str = "ALARM", *measured: Measured, lookback: float = 300) -> AlarmReading:
    metrics = measured or (Measured("AWS/RDS", "DatabaseConnections", {"DBInstanceIdentifier": "shop-prod"}),)
    return AlarmReading(alarm(state), metrics, lookback)


def holder(owner: str = OTHER, *, expired: bool = False) -> Holder:
    return Holder(owner, "release of 1.3", 7, ago(60), ago(-60), expired)


END = Action(
    "end_sessions",
    reversible=False,
    approval=False,
    bounds={
        "idle_in_transaction_seconds": 60,
        "idle_seconds": 600,
        "at_most": 60,
        "keep": 20,
        "keep_of_client": 10,
    },
)
RUNBOOK = Runbook("database-connections", "database", 900, 600, (END,))
SLOW = Runbook("alb-response-time", "balancer", 900, 600, (END,), ("database-connections",))
RUNBOOKS = Runbooks(
    mode="act",
    hourly_cap=3,
    event_age_seconds=300,
    settle_seconds=60,
    defer_seconds=60,
    give_up_seconds=2700,
    flapping=Flapping(4, 3600),
    strikes=3,
    notify_only=("alb-5xx",),
    by_alarm={"database-connections": RUNBOOK, "alb-response-time": SLOW},
)


def situation(**changed: Any) -> Situation:
    given = Situation(
        now=NOW,
        execution=ME,
        alarm=reading(),
        resource_arn=DATABASE,
        switch=SwitchState(paused=False),
        remedy=RemedyState(),
        live_arn=DATABASE,
        give_up_at=NOW + timedelta(seconds=600),
    )
    return replace(given, **changed)
