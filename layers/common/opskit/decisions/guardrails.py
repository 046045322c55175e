"""The guardrails of the remediation: what keeps a runbook from acting, each with its verdict and its reason.

Judged before an action is planned, and again, with everything read anew, before it is taken.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from opskit.adapters.alarms import AlarmReading, AlarmState
from opskit.adapters.switch import SwitchState
from opskit.clock import timestamp
from opskit.decisions.alarm_subject import mismatch
from opskit.decisions.runbook import Runbook, Runbooks
from opskit.ledger import Holder, RemedyState

# The kinds of resource that a restore replaces: the alarm may be about one that the service no longer uses.
REPLACED_BY_RESTORES = ("database", "cache")


class Stand(StrEnum):
    """What a guardrail says; ACT is how it says nothing against it.

    WAIT: look again soon. DONE: there is nothing to repair any more. SUPPRESS: not now, by a person's will. ESCALATE:
    a person must look. PLANNED: only tell what would be done.
    """

    ACT = "ACT"
    WAIT = "WAIT"
    DONE = "DONE"
    SUPPRESS = "SUPPRESS"
    ESCALATE = "ESCALATE"
    PLANNED = "PLANNED"


@dataclass(frozen=True, slots=True)
class Check:
    """What one guardrail says, and why."""

    guard: str
    verdict: Stand
    reason: str

    @property
    def passed(self) -> bool:
        """Whether it says nothing against acting."""
        return self.verdict is Stand.ACT

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"verdict": self.verdict.value}


@dataclass(frozen=True, slots=True)
class Situation:
    """All that the guardrails judge, as it was read at `now`.

    `resource_arn`: what the platform's list says the alarm is about; None if it is not on the list. `live_arn`: what
    the service uses now, for a database or a cache; None if nothing has the endpoint that the service is told.
    `service_lock`: of releases and of restores that replace. `actions`: those of all runbooks within the window of the
    cap, as `Ledger.actions` returns them. `causes`: the alarms of `cause_first`. `give_up_at`: until then a WAIT is
    worth another look; None if this is the only look. `execution`: who asks, so that what is its own does not stand in
    its way.
    """

    now: datetime
    execution: str
    alarm: AlarmReading
    resource_arn: str | None
    switch: SwitchState
    remedy: RemedyState
    live_arn: str | None = None
    service_lock: Holder | None = None
    resource_lock: Holder | None = None
    actions: Sequence[dict[str, Any]] = ()
    causes: Sequence[AlarmState] = ()
    dry_run: bool = False
    give_up_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Guarded:
    """What all guardrails together come to, and each of them."""

    verdict: Stand
    reason: str
    checks: tuple[Check, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "verdict": self.verdict.value,
            "reason": self.reason,
            "checks": [check.as_dict() for check in self.checks],
        }


def guard(situation: Situation, runbook: Runbook, runbooks: Runbooks) -> Guarded:
    """Whether the runbook may act now: the first guardrail that does not say ACT decides, in the order of `checks`.

    A dry run ends PLANNED, whatever the others say, and its reason says what they would have made of it. A WAIT after
    `give_up_at` is an ESCALATE.
    """
    found = checks(situation, runbook, runbooks)
    first = next((check for check in found if not check.passed), None)
    if first is None:
        return Guarded(Stand.ACT, "no guardrail says anything against it", found)
    if found[-1].verdict is Stand.PLANNED:
        words = found[-1].reason
        if first is not found[-1]:
            words = f"{words}; it would not act now ({first.guard}: {first.verdict}): {first.reason}"
        return Guarded(Stand.PLANNED, words, found)
    reason = f"{first.guard}: {first.reason}"
    if first.verdict is Stand.WAIT and situation.give_up_at is not None and situation.now >= situation.give_up_at:
        return Guarded(Stand.ESCALATE, f"waited until {timestamp(situation.give_up_at)}; {reason}", found)
    return Guarded(first.verdict, reason, found)


def checks(situation: Situation, runbook: Runbook, runbooks: Runbooks) -> tuple[Check, ...]:
    """Every guardrail's verdict, the one that decides first first; the last is about the dry run."""
    return (
        _recovered(situation),
        _switch(situation),
        _resource(situation),
        _subject(situation),
        _live(situation, runbook),
        _strikes(situation, runbook, runbooks),
        _measured(situation),
        _service_lock(situation),
        _cause_first(situation),
        _resource_lock(situation, runbook),
        _cooldown(situation, runbook, runbooks),
        _cap(situation, runbooks),
        _dry_run(situation, runbooks),
    )


def cooldown_seconds(runbook: Runbook, runbooks: Runbooks, alarm: AlarmReading) -> float:
    """How long after an action no other is taken: for as long at least as the alarm still sees what was before it."""
    return max(runbook.cooldown_seconds, alarm.lookback_seconds + runbooks.settle_seconds)


def verify_seconds(runbook: Runbook, alarm: AlarmReading) -> float:
    """How long an action has until the alarm must be OK: twice the alarm's look-back at least.

    An alarm's evaluation begins with a period that is under way, so once the look-back is not always enough.
    """
    return max(runbook.verify_seconds, 2 * alarm.lookback_seconds)


def _recovered(now: Situation) -> Check:
    state = now.alarm.state
    if state.state == "OK":
        return Check("alarm", Stand.DONE, f"the alarm is OK since {timestamp(state.since)}")
    return Check("alarm", Stand.ACT, f"the alarm is {state.state} since {timestamp(state.since)}")


def _measured(now: Situation) -> Check:
    if not now.alarm.state.firing:
        return Check("measured", Stand.WAIT, "the alarm has no data: whether it still holds is not known")
    return Check("measured", Stand.ACT, "the alarm is in ALARM")


def _switch(now: Situation) -> Check:
    return Check("switch", Stand.SUPPRESS if now.switch.holds(now.now) else Stand.ACT, now.switch.words)


def _resource(now: Situation) -> Check:
    if now.resource_arn is None:
        words = f"the platform's alarm_resources do not say what {now.alarm.state.name} is about"
        return Check("resource", Stand.ESCALATE, words)
    return Check("resource", Stand.ACT, f"on the list: {now.resource_arn}")


def _subject(now: Situation) -> Check:
    if now.resource_arn is None:
        return Check("subject", Stand.ESCALATE, "there is no resource that the alarm's metrics could be about")
    wrong = mismatch(now.alarm.measured, now.resource_arn, opaque=now.alarm.opaque)
    return Check("subject", Stand.ESCALATE if wrong else Stand.ACT, wrong or "all its metrics are about that resource")


def _live(now: Situation, runbook: Runbook) -> Check:
    if runbook.about not in REPLACED_BY_RESTORES:
        return Check("live", Stand.ACT, f"a {runbook.about} is not replaced by restores")
    if now.live_arn is None:
        words = f"the endpoint that the service is told is that of no {runbook.about}; the alarm is about"
        return Check("live", Stand.ESCALATE, f"{words} {now.resource_arn}")
    if now.live_arn != now.resource_arn:
        words = f"the alarm is about {now.resource_arn}, and the service uses {now.live_arn}"
        return Check("live", Stand.ESCALATE, words)
    return Check("live", Stand.ACT, f"the service uses it: {now.live_arn}")


def _strikes(now: Situation, runbook: Runbook, runbooks: Runbooks) -> Check:
    remedy = now.remedy
    if remedy.blocked_by is not None or remedy.strikes >= runbooks.strikes:
        words = f"{remedy.strikes} actions in a row did not help, the last of {remedy.blocked_by or 'an execution'}"
        return Check("strikes", Stand.ESCALATE, f"{words}; after a look, `ops resume --alarm {runbook.alarm}`")
    return Check("strikes", Stand.ACT, f"{remedy.strikes} of {runbooks.strikes}")


def _service_lock(now: Situation) -> Check:
    holder = now.service_lock
    if holder is not None and not holder.expired and holder.owner != now.execution:
        return Check("release", Stand.WAIT, f"the service's lock is held by {holder.in_words()}")
    return Check("release", Stand.ACT, "nothing changes the service now")


def _cause_first(now: Situation) -> Check:
    firing = [cause for cause in now.causes if cause.firing]
    if firing:
        words = ", ".join(f"{cause.name} (since {timestamp(cause.since)})" for cause in firing)
        return Check("cause", Stand.WAIT, f"treated first: {words}")
    return Check("cause", Stand.ACT, "no alarm that comes first is firing")


def _resource_lock(now: Situation, runbook: Runbook) -> Check:
    holder = now.resource_lock
    if holder is not None and not holder.expired and holder.owner != now.execution:
        return Check("busy", Stand.WAIT, f"the {runbook.about} is being repaired by {holder.in_words()}")
    return Check("busy", Stand.ACT, f"nobody else repairs the {runbook.about}")


def _cooldown(now: Situation, runbook: Runbook, runbooks: Runbooks) -> Check:
    acted = now.remedy.last_acted_at
    if acted is None or now.remedy.last_execution == now.execution:
        return Check("cooldown", Stand.ACT, "this runbook has not acted before")
    until = acted + timedelta(seconds=cooldown_seconds(runbook, runbooks, now.alarm))
    if now.now < until:
        return Check("cooldown", Stand.WAIT, f"acted at {timestamp(acted)}, again from {timestamp(until)} on")
    return Check("cooldown", Stand.ACT, f"acted last at {timestamp(acted)}")


def _cap(now: Situation, runbooks: Runbooks) -> Check:
    others = [action for action in now.actions if action["execution"] != now.execution]
    words = f"{len(others)} of {runbooks.hourly_cap} actions within an hour"
    if len(others) >= runbooks.hourly_cap:
        told = ", ".join(f"{action['alarm']} at {action['at']}" for action in others)
        return Check("cap", Stand.ESCALATE, f"{words} are taken: {told}")
    return Check("cap", Stand.ACT, words)


def _dry_run(now: Situation, runbooks: Runbooks) -> Check:
    if now.dry_run:
        return Check("dry run", Stand.PLANNED, "a dry run was asked for")
    if runbooks.dry_run:
        return Check("dry run", Stand.PLANNED, "the runbooks' mode is dry_run")
    return Check("dry run", Stand.ACT, "it is to act")
