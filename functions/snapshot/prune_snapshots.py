"""Snapshot: delete by plan what the retention policy no longer keeps; the plan is on record before it is acted on."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from opskit.adapters.caches import Caches
from opskit.adapters.databases import Databases
from opskit.adapters.handover import Handover
from opskit.adapters.manifests import Manifests
from opskit.adapters.snapshot_documents import documents_of
from opskit.clock import moment_of
from opskit.decisions.evidence import canonical
from opskit.decisions.holdings import FEW, Holdings, held_caches, held_database
from opskit.decisions.manifest import Kind
from opskit.decisions.retention import (
    CACHE_POLICY,
    Circumstances,
    Decided,
    Held,
    Policy,
    RetentionPlan,
    State,
    plan_retention,
)
from opskit.decisions.taking import Part, Phase
from opskit.failures import named_failure
from opskit.ledger import Lock, OperationRecord
from opskit.protection import protected_names
from opskit.step import Run, step

THREADS = 10
# Of the function's timeout, for deleting; a later run deletes what is left.
DELETE_SECONDS = 90
SHOWN = 20

# Name, and why it is still there; None if it is gone.
Outcomes = dict[str, str | None]


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return how many were `deleted`, which were not and why, and where the names of those `gone` are.

    In the `stage` `first` that is what the plan wants out of the way; in the `last`, a new plan is made from what this
    run has taken. One that cannot be deleted stops no other. Safe to repeat: what is gone already counts as deleted.
    """
    run.hold(event)
    documents = documents_of(run.platform.backup_bucket, event["plan"]["hour"], run.execution.name)
    deleter = _Deleter(run, Databases(), Caches(), run.clock.now())
    if event["stage"] == "first":
        recorded = documents.take(event["plan"]["first"])
        due = [Decided(**{**one, "hour": moment_of(one["hour"])}) for one in recorded["delete"]]
        outcomes = deleter.databases_by_plan(due) | deleter.remains(recorded["remains"])
        return _told(documents, outcomes)
    return _last(run, documents, deleter, event)


def _last(run: Run, documents: Handover, deleter: "_Deleter", event: dict[str, Any]) -> dict[str, Any]:
    plan = event["plan"]
    parts = [Part.from_dict(part) for part in documents.take(event["manifest"]["parts"])]
    gone = documents.take(event["pruned_first"]["gone"]) if event["pruned_first"] else []
    holdings = Holdings.from_dict(documents.take(plan["held"])).after(_taken(parts, moment_of(plan["hour"])), gone)
    outcomes: Outcomes = {}
    recorded = None
    if plan["request"]["prune"]:
        databases, caches = _plans(run, documents, event, parts, holdings)
        recorded = documents.store("retention", canonical({"databases": _plain(databases), "caches": _plain(caches)}))
        key = OperationRecord.key_of("snapshot", run.execution.started_at, run.execution.name)
        counts = {"databases": len(databases.delete), "caches": len(caches.delete), "plan": recorded}
        run.ledger.note(key, "to be pruned", counts, lock=Lock.from_dict(event["lock"]))
        outcomes = deleter.databases_by_plan(databases.delete)
        outcomes |= deleter.each((one.name for one in caches.delete), deleter.caches.delete_snapshot)
    left = holdings.after((), (name for name, problem in outcomes.items() if problem is None))
    # So few are listed again by the next run.
    known = documents.give("holdings", left.as_dict()) if len(left.held) > FEW else None
    return _told(documents, outcomes) | {"plan": recorded, "holdings": known}


def _plans(
    run: Run, documents: Handover, event: dict[str, Any], parts: list[Part], holdings: Holdings
) -> tuple[RetentionPlan, RetentionPlan]:
    """What of the databases' snapshots is deleted, and what of the caches'."""
    plan, manifest, here, now = event["plan"], event["manifest"], run.settings, run.clock.now()
    newest = {name: manifest[name] for name in ("key", "sha256")} if manifest["complete"] else None
    protected, blocked = protected_names(
        run.ledger, Manifests(run.platform.backup_bucket, run.ledger), newest or plan["previous"]["complete"]
    )
    fixed = documents.take(plan["fixed"])
    protected |= {one["id"]: "this run's manifest names it" for one in fixed if one["id"]}
    failed = frozenset(part.resource for part in parts if part.phase is not Phase.VERIFIED)
    if parts and len(failed) == len(parts):
        blocked = blocked or "this run has verified none of the snapshots that it was to take"

    def forbidding(sources: Iterable[str]) -> Circumstances:
        return Circumstances(frozenset(sources), run_failed=blocked, failed=failed, protected=protected)

    sources = documents.take(plan["sources"])
    policy = Policy.parse(event["settings"]["retention"], here.environment)
    policy = replace(policy, cap=max(policy.cap, 2 * len(sources)))
    groups = {part.resource for part in parts if part.kind is Kind.CACHE}
    groups |= {one["resource"] for one in fixed if one["kind"] == Kind.CACHE and one["id"]}
    held = held_caches(Caches().snapshots(), here.service, here.environment) if groups else ()
    return (
        plan_retention(holdings.held, policy, forbidding(sources), now=now),
        plan_retention(held, CACHE_POLICY, forbidding(groups), now=now),
    )


def _taken(parts: Iterable[Part], hour: datetime) -> list[Held]:
    states = {Phase.VERIFIED: State.VERIFIED, Phase.FAILED: State.UNVERIFIED, Phase.TAKEN: State.IN_PROGRESS}
    return [
        Held(part.snapshot, part.resource, hour, states[part.phase])
        for part in parts
        if part.kind is Kind.DATABASE and part.phase in states
    ]


def _plain(plan: RetentionPlan) -> dict[str, Any]:
    """The plan for the record; of a fleet only how many are kept, for they are tens of thousands."""
    described = plan.as_dict()
    return described | {"keep": described["keep"] if len(plan.keep) <= FEW else len(plan.keep)}


def _told(documents: Handover, outcomes: Outcomes) -> dict[str, Any]:
    gone = sorted(name for name, problem in outcomes.items() if problem is None)
    left = {name: problem for name, problem in sorted(outcomes.items()) if problem is not None}
    shown = [{"name": name, "reason": reason} for name, reason in list(left.items())[:SHOWN]]
    return {"deleted": len(gone), "left": len(left), "problems": shown, "gone": documents.give("gone", gone)}


@dataclass(frozen=True, slots=True)
class _Deleter:
    """Deletes in several threads, for as long as there is time."""

    run: Run
    databases: Databases
    caches: Caches
    begun: datetime

    def databases_by_plan(self, due: Iterable[Decided]) -> Outcomes:
        """Delete DB snapshots, each only if it still is what the plan took it for: ours, of its resource and hour."""
        wanted = {one.name: one for one in due}
        found = self.databases.snapshots_named(wanted) if wanted else {}
        outcomes: Outcomes = {name: None for name in wanted if name not in found}
        deletable = []
        for name, snapshot in found.items():
            now = held_database(snapshot, self.run.settings.service, self.run.settings.environment)
            if now is None or (now.resource, now.hour) != (wanted[name].resource, wanted[name].hour):
                outcomes[name] = "its tags are not those that the plan rests on"
            elif now.state is State.IN_PROGRESS:
                outcomes[name] = f"it is {snapshot.status}"
            else:
                deletable.append(name)
        return outcomes | self.each(deletable, self.databases.delete_snapshot)

    def remains(self, names: dict[str, list[str]]) -> Outcomes:
        """Delete what failed under names that this run needs."""
        databases = self.each(names.get("database", ()), self.databases.delete_snapshot)
        return databases | self.each(names.get("cache", ()), self.caches.delete_snapshot)

    def each(self, names: Iterable[str], delete: Callable[[str], object]) -> Outcomes:
        """Delete each of `names`."""

        def deleted(name: str) -> str | None:
            if (self.run.clock.now() - self.begun).total_seconds() > DELETE_SECONDS:
                return "left for a later run: the time was over"
            try:
                delete(name)
            except Exception as error:
                self.run.logger.warning("%s could not be deleted", name, exc_info=True)
                found = named_failure(error)
                return f"{type(found).__name__}: {found}"
            return None

        ordered = list(names)
        with ThreadPoolExecutor(THREADS) as pool:
            return dict(zip(ordered, pool.map(deleted, ordered), strict=True))
