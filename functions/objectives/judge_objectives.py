"""Objectives: read what there is to recover with, judge it, and say so: report, metric, evidence, notification."""

import json
from collections.abc import Callable
from typing import Any, TypeVar

from opskit.adapters.caches import Caches
from opskit.adapters.databases import Databases
from opskit.adapters.endpoints import DATABASE, Endpoints
from opskit.adapters.manifests import Manifests
from opskit.adapters.notifier import Notifier
from opskit.adapters.objects import Objects
from opskit.clock import moment_of, timestamp
from opskit.decisions.live import live_database
from opskit.decisions.manifest import Manifest
from opskit.decisions.objectives import (
    LastDrill,
    Observed,
    Reading,
    Targets,
    judge_objectives,
    last_complete,
    newest_cache_backup,
)
from opskit.errors import NotFoundError
from opskit.failures import named_failure
from opskit.schema import validate
from opskit.step import Run, step
from opskit.verdict import Outcome

REPORT = "objectives/latest.json"
# Enough to hold every manifest that is young enough, and some that were made by hand.
MANIFESTS = 6
DRILLS = 50

T = TypeVar("T")


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return `outcome`, `reason` and whether the outcome `changed`. A source that cannot be read is INCONCLUSIVE.

    What changed goes on record before the report says so: repeated after a failure, it is found to have changed again.
    """
    request = validate("objectives", event["input"])
    sources = _Sources(run)
    targets, now = _targets(event["settings"]), run.clock.now()
    observed = sources.observe(event["heartbeat"])
    judged = judge_objectives(observed, targets, now)
    bucket = Objects(run.platform.backup_bucket)
    last = _last_report(run, bucket)
    outcome = judged.overall.outcome.value
    changed = last.get("outcome") != outcome
    report = {
        "service": run.settings.service,
        "environment": run.settings.environment,
        "execution": run.execution.name,
        "judged_at": timestamp(now),
        "outcome": outcome,
        "reason": judged.overall.reason,
        "since": timestamp(now) if changed else last["since"],
        "objectives": judged.as_dict()["objectives"],
        "problems": sources.problems,
        "evidence": last.get("evidence"),
        "requested_by": request.get("requested_by"),
    }
    if changed:
        body = report | {"before": last.get("outcome"), "before_since": last.get("since")}
        ref = run.evidence.append("objectives", run.execution.name, body, at=run.execution.started_at)
        report["evidence"] = ref.key
    bucket.replace(REPORT, json.dumps(report, indent=2).encode(), content_type="application/json")
    if changed:
        _notify(run, report, last.get("outcome"))
    run.metrics.add_metric("ObjectivesMet", "Count", 1 if judged.overall.outcome is Outcome.PASS else 0)
    return {"outcome": outcome, "reason": judged.overall.reason, "changed": changed, "evidence": report["evidence"]}


class _Sources:
    """What the objectives are judged by. `problems`: what is wrong with a source that could be read all the same."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.problems: list[str] = []

    def observe(self, heartbeat: dict[str, Any]) -> Observed:
        manifests, why = self._manifests()
        return Observed(
            restorable=self._read(self._restorable, _unreadable),
            heartbeat=_moment(heartbeat),
            cache_snapshot=why or self._read(lambda: self._cache_snapshot(manifests), _unreadable),
            manifest=why or last_complete(manifests),
            drill=self._read(self._drill, lambda reason: LastDrill(unreadable=reason)),
        )

    def _restorable(self) -> Reading:
        platform = self._run.platform
        endpoint = Endpoints(platform.service, platform.environment).read(DATABASE).text
        live = live_database(Databases().instances(), endpoint)
        if live is None:
            return Reading(because=f"no DB instance has the endpoint {endpoint}")
        because = None if live.latest_restorable else f"{live.identifier} has no automated backups"
        return Reading(live.latest_restorable, because=because)

    def _manifests(self) -> tuple[list[Manifest], Reading | None]:
        found = Manifests(self._run.platform.backup_bucket, self._run.ledger)
        unread = self._read(lambda: (found.recent(MANIFESTS), None), lambda reason: ([], _unreadable(reason)))
        self.problems += found.problems
        return unread

    @staticmethod
    def _cache_snapshot(manifests: list[Manifest]) -> Reading:
        caches = Caches()
        return newest_cache_backup(manifests, lambda name: caches.snapshot(name) is not None)

    def _drill(self) -> LastDrill:
        for record in self._run.ledger.operations("drill", DRILLS):
            if record.outcome == Outcome.PASS and record.ended_at:
                return LastDrill(record.ended_at, _seconds(record.facts, "rto"), _seconds(record.facts, "rpo"))
        return LastDrill()

    def _read(self, read: Callable[[], T], otherwise: Callable[[str], T]) -> T:
        try:
            return read()
        except Exception as error:
            # Whatever it is, the other sources are to be judged.
            self._run.logger.warning("a source could not be read", exc_info=True)
            return otherwise(f"{type(named_failure(error)).__name__}: {error}")


def _unreadable(reason: str) -> Reading:
    return Reading(unreadable=reason)


def _moment(heartbeat: dict[str, Any]) -> Reading:
    at = heartbeat["at"]
    return Reading(moment_of(at) if at else None, unreadable=heartbeat["unreadable"])


def _seconds(facts: dict[str, Any], which: str) -> float | None:
    found = facts.get(f"{which}_seconds")
    return None if found is None else float(found)


def _targets(settings: dict[str, Any]) -> Targets:
    return Targets(
        rto=settings["rto_seconds"],
        rpo=settings["rpo_seconds"],
        restorable_lag=settings["restorable_lag_seconds"],
        heartbeat_age=settings["heartbeat_age_seconds"],
        cache_snapshot_age=settings["cache_snapshot_age_seconds"],
        manifest_age=settings["manifest_age_seconds"],
        drill_age=settings["drill_age_seconds"],
    )


def _last_report(run: Run, bucket: Objects) -> dict[str, Any]:
    """The report before this one; empty if there is none, or none that can be understood."""
    try:
        found = json.loads(bucket.get(REPORT))
        return found if isinstance(found, dict) and {"outcome", "since"} <= found.keys() else {}
    except NotFoundError:
        return {}
    except ValueError:
        run.logger.warning("%s is not JSON", REPORT, exc_info=True)
        return {}


def _notify(run: Run, report: dict[str, Any], before: str | None) -> None:
    here, outcome = run.settings, report["outcome"]
    words = "hold" if outcome == Outcome.PASS else "do not hold" if outcome == Outcome.FAIL else "cannot be judged"
    message = {"kind": "OBJECTIVES", "before": before, "execution_arn": run.execution.id} | {
        name: report[name]
        for name in ("service", "environment", "outcome", "reason", "judged_at", "execution", "evidence")
    }
    try:
        Notifier(here.topic_arn).publish(f"{here.service} {here.environment}: recovery objectives {words}", message)
    except Exception:
        # The alarm on the metric tells as well; the report is written.
        run.logger.exception("nobody was notified")
