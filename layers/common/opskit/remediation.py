"""What a remediation sees before it acts: every guardrail's facts read anew, then the plan.

Looked at twice: when the remedy is planned, and again in the moment before it is taken.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opskit.adapters.alarms import AlarmReading, Alarms, AlarmState
from opskit.adapters.cache_state import CacheState
from opskit.adapters.caches import Caches
from opskit.adapters.databases import Databases
from opskit.adapters.endpoints import CACHE, DATABASE, Endpoints
from opskit.adapters.switch import Switch
from opskit.clock import moment_of
from opskit.decisions.capacity import CacheNodes
from opskit.decisions.guardrails import Guarded, Situation, Stand, guard, verify_seconds
from opskit.decisions.live import live_cache, live_database
from opskit.decisions.remedy import Chosen, Facts, LastRelease, choose
from opskit.decisions.runbook import Runbook, Runbooks
from opskit.ledger import Holder
from opskit.runbooks import load_runbooks
from opskit.step import Run


@dataclass(frozen=True, slots=True)
class View:
    """One look: the runbook, what the guardrails say, and the action that applies (None where none may be chosen)."""

    runbook: Runbook
    runbooks: Runbooks
    alarm: AlarmReading
    guarded: Guarded
    chosen: Chosen | None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready: `verdict` (a Stand), `reason`, `checks`; and the plan's own members, empty without a plan."""
        found: dict[str, Any] = self.guarded.as_dict() | {"alarm": self.alarm.state.as_dict()}
        verdict, reason = self.guarded.verdict, self.guarded.reason
        plan = self.chosen.plan if self.chosen else None
        if self.chosen and plan is None:
            # A dry run ends PLANNED also where there is nothing to do, and says so.
            verdict = verdict if verdict is Stand.PLANNED else Stand.ESCALATE
            reason = self.chosen.reason if verdict is Stand.ESCALATE else f"{reason}; {self.chosen.reason}"
        elif plan and verdict is Stand.PLANNED:
            reason = f"would {plan.words}; {reason}"
        found |= {"verdict": verdict.value, "reason": reason}
        if plan is None:
            return found | {"action": None, "approval": False, "words": "", "digest": ""}
        return found | {
            **plan.as_dict(),
            "digest": plan.digest,
            "passed_over": list(self.chosen.passed_over) if self.chosen else [],
            "verify_seconds": verify_seconds(self.runbook, self.alarm),
        }


def look(run: Run, admission: Mapping[str, Any], settings: Mapping[str, Any]) -> View:
    """Read everything, let every guardrail judge, and choose the action if they leave it to that.

    Raises:
        MeasurementError: the alarm, or one that comes before it, cannot be read.
        PlatformContractError: the endpoint of the service's database or cache is missing.
        RunbooksError: the runbooks cannot be read.
    """
    runbooks = load_runbooks(run.settings.environment, settings["runbook_time_factor"])
    runbook = runbooks.by_alarm[admission["alarm"]["suffix"]]
    alarm, causes = _alarms(run, admission["alarm"]["name"], runbook)
    resource = run.platform.alarm_resource(admission["alarm"]["name"])
    live, cache = _live(run, runbook)
    ledger, now = run.ledger, run.clock.now()
    situation = Situation(
        now=now,
        execution=run.execution.name,
        alarm=alarm,
        resource_arn=resource,
        switch=Switch(run.settings.service, run.settings.environment).read(),
        remedy=ledger.remedy_state(runbook.alarm),
        live_arn=live,
        service_lock=ledger.holder(),
        resource_lock=_other_holder(run, runbook),
        actions=ledger.actions(runbooks.cap_window_seconds),
        causes=causes,
        dry_run=admission["request"]["dry_run"],
        give_up_at=moment_of(admission["give_up_at"]),
    )
    guarded = guard(situation, runbook, runbooks)
    chosen = None
    if resource is not None and guarded.verdict in (Stand.ACT, Stand.PLANNED):
        facts = Facts(now=now, last_release=_last_release(run), cache=_nodes(cache))
        chosen = choose(runbook, resource, facts)
    return View(runbook, runbooks, alarm, guarded, chosen)


def _alarms(run: Run, name: str, runbook: Runbook) -> tuple[AlarmReading, list[AlarmState]]:
    prefix = f"{run.settings.service}-{run.settings.environment}-"
    alarm, *causes = Alarms().read([name, *(prefix + cause for cause in runbook.cause_first)])
    return alarm, [cause.state for cause in causes]


def _live(run: Run, runbook: Runbook) -> tuple[str | None, CacheState | None]:
    """ARN of what the service uses now, where a restore may have replaced it; and the cache, where it is about that."""
    if runbook.about not in (DATABASE, CACHE):
        return None, None
    endpoint = Endpoints(run.settings.service, run.settings.environment).read(runbook.about).text
    if runbook.about == DATABASE:
        database = live_database(Databases().instances(), endpoint)
        return database.arn if database else None, None
    cache = live_cache(Caches().groups(), endpoint)
    return cache.arn if cache else None, cache


def _other_holder(run: Run, runbook: Runbook) -> Holder | None:
    holder = run.ledger.holder(runbook.lock)
    return None if holder is None or holder.owner == run.execution.id else holder


def _nodes(cache: CacheState | None) -> CacheNodes | None:
    if cache is None:
        return None
    return CacheNodes(cache.configuration.node_type, cache.configuration.replicas_per_group, cache.status)


def _last_release(run: Run) -> LastRelease | None:
    """What made the live version live."""
    live = run.ledger.live()
    if live is None:
        return None
    record = run.ledger.record_of(live.release)
    return LastRelease(
        name=live.release,
        operation=record.operation if record else "release",
        finished_at=live.at,
        image=live.image,
        previous=live.previous.image if live.previous else None,
    )
