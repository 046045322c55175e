"""Snapshot, first step: may this run start, what is there, what will be taken, and is there room for it?"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from opskit.adapters.caches import Caches
from opskit.adapters.databases import Databases
from opskit.adapters.endpoints import CACHE, DATABASE, Endpoints
from opskit.adapters.executions import ended_execution
from opskit.adapters.handover import Handover
from opskit.adapters.manifests import Manifests
from opskit.adapters.snapshot_documents import documents_of
from opskit.clock import moment_of, timestamp
from opskit.decisions.cache_turn import EVERY_HOURS
from opskit.decisions.fleet import TAG_BACKUP, Scope, database_parts, plan_caches, refuse_unknown
from opskit.decisions.holdings import Holdings, database_holdings, failed_remains
from opskit.decisions.live import live_cache, live_database
from opskit.decisions.manifest import Component, Kind, Status
from opskit.decisions.past_runs import PastRuns
from opskit.decisions.retention import Circumstances, Policy, RetentionPlan, plan_retention, policy_fits
from opskit.decisions.snapshot import Preflight, PreflightPlan, hour_of, judge_event, preflight
from opskit.decisions.taking import Part, Phase
from opskit.errors import (
    IntegrityError,
    InvalidInputError,
    LockHeldError,
    ManifestError,
    NotFoundError,
    PlatformContractError,
)
from opskit.ledger import Lock, OperationRecord
from opskit.protection import protected_names
from opskit.schema import validate
from opskit.step import Run, step
from opskit.verdict import Outcome

WORKFLOW = LOCK = "snapshot"
# A day's runs, and some that were repeated.
RECORDS = 30
# Of a plan that is shown, not acted on.
SHOWN = 200


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return the plan: PROCEED, PRUNE_FIRST, DUPLICATE or REFUSE, with the reason; nothing is taken or deleted yet.

    Except in a dry run, the lock is taken and the run's record opened.

    Raises:
        InvalidInputError: the input does not fit its schema, or names what is not there.
        LockHeldError: a run for another hour is under way; the message names it.
    """
    request = validate(WORKFLOW, event["input"])
    settings, dry = event["settings"], request["dry_run"]
    if request.get("environment", run.settings.environment) != run.settings.environment:
        raise InvalidInputError(f"this is {run.settings.environment}, not {request['environment']}")
    now = run.clock.now()
    scheduled = moment_of(request["scheduled_at"]) if "scheduled_at" in request else run.execution.started_at
    verdict = judge_event(scheduled, now, maximum_age_seconds=settings["event_age_seconds"])
    base = {"request": request, "hour": verdict.facts["hour"], "dry_run": dry, "lock": None}
    if verdict.outcome is not Outcome.PASS:
        return base | {"decision": "REFUSE", "reason": verdict.reason}
    here, hour = run.settings, hour_of(scheduled)
    only = frozenset(request["resources"]) if "resources" in request else None
    scope = Scope(here.service, here.environment, hour, run.execution.name, now, only)
    if not dry:
        lock, holder = _lock(run, f"the snapshots of {timestamp(hour)}", settings["lease_seconds"])
        if lock is None:
            return base | {"decision": "DUPLICATE", "reason": f"{holder} is taking this hour's snapshots"}
        base["lock"] = lock.as_dict()
        _open_record(run, request, scope)
    records = run.ledger.operations(WORKFLOW, RECORDS)
    past = PastRuns.of(records, hour, run.execution.name, recent=timedelta(hours=EVERY_HOURS))
    if past.done:
        reason = f"{past.done.execution_name} has taken this hour's snapshots; all of them are verified"
        return base | {"decision": "DUPLICATE", "reason": reason}
    return base | _plan(run, settings, request, scope, past)


def _lock(run: Run, purpose: str, lease_seconds: int) -> tuple[Lock | None, str]:
    """The lock; or None and the name of the execution that is at the same work."""
    mine = run.execution.id
    try:
        lock = run.ledger.acquire(mine, purpose, lease_seconds, LOCK)
    except LockHeldError:
        holder = run.ledger.holder(LOCK)
        if holder is None:
            raise
        # One that was stopped from outside has freed nothing; its lease need not be waited for.
        ended = ended_execution(holder.owner)
        seized = run.ledger.seize(holder.owner, mine, purpose, lease_seconds, LOCK) if ended else None
        if seized is None:
            if holder.purpose == purpose:
                return None, holder.owner.rpartition(":")[2]
            raise
        lock = seized
    if lock.superseded:
        name = lock.superseded.owner.rpartition(":")[2]
        left = run.ledger.operation_of(WORKFLOW, name)
        if left and left.outcome is None:
            run.ledger.close_operation(
                left.key, "ABORTED", f"it ended before its work did; {run.execution.name} goes on"
            )
    return lock, ""


def _open_record(run: Run, request: dict[str, Any], scope: Scope) -> None:
    run.ledger.open_operation(
        OperationRecord(
            WORKFLOW,
            run.execution.id,
            run.execution.name,
            run.execution.started_at,
            requested_by=request.get("requested_by"),
            reason=request.get("reason"),
            facts={"hour": timestamp(scope.hour)},
        )
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """What is there: parts to take, components that are known already, what is live, what is held."""

    parts: list[Part]
    fixed: list[Component]
    live: dict[str, dict[str, Any] | None]
    sources: frozenset[str]
    holdings: Holdings
    remains: dict[str, tuple[str, ...]]


def _plan(run: Run, settings: dict[str, Any], request: dict[str, Any], scope: Scope, past: PastRuns) -> dict[str, Any]:
    documents = documents_of(run.platform.backup_bucket, scope.hour, scope.run)
    found = _discover(run, request, scope, past, documents)
    quota = Databases().snapshot_quota()
    names = {one.name for one in found.holdings.held}
    wanted = [part for part in found.parts if part.kind is Kind.DATABASE and part.phase is Phase.WAITING]
    policy = Policy.parse(settings["retention"], scope.environment)
    policy = replace(policy, cap=max(policy.cap, 2 * len(found.sources)))
    retention = _retention(run, found, policy, past, scope) if request["prune"] else RetentionPlan((), ())
    room = preflight(quota, sum(part.snapshot not in names for part in wanted), len(retention.delete))
    warning = policy_fits(policy, len(wanted), quota, found.holdings.others)
    first = [one.as_dict() for one in retention.delete[: room.prune]]
    decision = "PROCEED"
    if room.decision is Preflight.REFUSE:
        decision = "REFUSE"
    elif first or any(found.remains.values()):
        decision = "PRUNE_FIRST"
    described = {
        "decision": decision,
        "reason": room.reason,
        "quota": quota.as_dict(),
        "warnings": [warning] if warning else [],
        "counts": {"parts": len(found.parts), "known": len(found.fixed), "held": len(found.holdings.held)},
    }
    if request["dry_run"]:
        return described | _shown(found, retention)
    if decision == "REFUSE":
        return described
    return described | {
        "first": _recorded(run, documents, room, first, found.remains) if decision == "PRUNE_FIRST" else None,
        "parts": documents.give("parts", [part.as_dict() for part in found.parts]),
        "fixed": documents.give("fixed", [component.as_dict() for component in found.fixed]),
        "held": documents.give("held", found.holdings.as_dict()),
        "sources": documents.give("sources", sorted(found.sources)),
        "live": found.live,
        "previous": {"complete": past.last_complete, "newest_cache": past.newest_cache},
        "components": request["components"],
    }


def _discover(run: Run, request: dict[str, Any], scope: Scope, past: PastRuns, documents: Handover) -> _Found:
    databases, caches, kinds = Databases(), Caches(), set(request["components"])
    instances, groups = databases.instances(), caches.groups() if Kind.CACHE in kinds else ()
    holdings, listed = _holdings(databases, past, documents, scope)
    cache_snapshots = caches.snapshots() if groups else ()
    parts = database_parts(instances, scope) if Kind.DATABASE in kinds else []
    taken_for = _known_caches(run, past) if groups else {}
    cache_parts, fixed = plan_caches(groups, cache_snapshots, taken_for, scope)
    refuse_unknown(scope.resources, [*parts, *cache_parts], fixed)
    endpoints, live = Endpoints(scope.service, scope.environment), dict[str, dict[str, Any] | None]()
    for kind, name, states, find in (
        (Kind.DATABASE, DATABASE, instances, live_database),
        (Kind.CACHE, CACHE, groups, live_cache),
    ):
        if kind not in kinds:
            live[name] = None
            continue
        live[name], problem = _live(endpoints, name, states, find)
        there = {part.resource for part in [*parts, *cache_parts]} | {component.resource for component in fixed}
        if problem or (live[name] or {}).get("identifier") not in there:
            fixed.append(_missing(kind, live[name], problem))
    remains: dict[str, tuple[str, ...]] = {"database": (), "cache": ()}
    if past.tried:
        mine = [part.snapshot for part in parts]
        known = listed if listed is not None else tuple(databases.snapshots_named(mine).values())
        remains["database"] = failed_remains(known, mine, scope.service, scope.environment)
        mine = [part.snapshot for part in cache_parts]
        remains["cache"] = failed_remains(cache_snapshots, mine, scope.service, scope.environment)
    sources = frozenset(state.identifier for state in instances)
    return _Found([*parts, *cache_parts], fixed, live, sources, holdings, remains)


def _holdings(
    databases: Databases, past: PastRuns, documents: Handover, scope: Scope
) -> tuple[Holdings, tuple[Any, ...] | None]:
    """What is held; and the listing that says so, if there had to be one."""
    if past.holdings:
        try:
            known = Holdings.from_dict(documents.take(past.holdings))
        except (NotFoundError, IntegrityError):
            known = None
        if known and known.enough(scope.now):
            return known, None
    listed = databases.snapshots()
    return database_holdings(listed, scope.service, scope.environment, scope.now), listed


def _known_caches(run: Run, past: PastRuns) -> dict[str, Component]:
    """By name, the verified backups of caches in the manifests of this hour and those just before."""
    manifests = Manifests(run.platform.backup_bucket, run.ledger)
    known: dict[str, Component] = {}
    for recorded in past.manifests:
        try:
            manifest = manifests.read(recorded["key"], sha256=recorded["sha256"])
        except (NotFoundError, ManifestError) as error:
            run.logger.warning("a manifest is left out: %s", error)
            continue
        for part in manifest.components:
            if part.kind is Kind.CACHE and part.status is Status.VERIFIED and part.id:
                known.setdefault(part.id, part)
    return known


def _live(endpoints: Endpoints, name: str, states: Iterable[Any], find: Any) -> tuple[dict[str, Any] | None, str]:
    """The resource that the service uses, or why it is not known."""
    try:
        endpoint = endpoints.read(name)
    except PlatformContractError as error:
        return None, str(error)
    state = find(states, endpoint.text)
    if state is None:
        return None, f"nothing that is there has the service's endpoint {endpoint.text}"
    tls = getattr(state.configuration, "transit_encryption", True)
    return {"identifier": state.identifier, "host": endpoint.host, "port": endpoint.port, "tls": tls}, ""


def _missing(kind: Kind, live: dict[str, Any] | None, problem: str) -> Component:
    """The component of what the service uses and this run cannot back up."""
    if live is None:
        return Component(kind, "live", Status.FAILED, problem)
    return Component(kind, live["identifier"], Status.SKIPPED, f"the service uses it, but it has no {TAG_BACKUP}=true")


def _retention(run: Run, found: _Found, policy: Policy, past: PastRuns, scope: Scope) -> RetentionPlan:
    manifests = Manifests(run.platform.backup_bucket, run.ledger)
    protected, blocked = protected_names(run.ledger, manifests, past.last_complete)
    circumstances = Circumstances(found.sources, listing_partial=blocked, protected=protected)
    return plan_retention(found.holdings.held, policy, circumstances, now=scope.now)


def _recorded(
    run: Run, documents: Handover, room: PreflightPlan, delete: list[dict[str, Any]], remains: dict[str, Any]
) -> dict[str, Any]:
    """Put on record what is deleted before anything is taken; where it is."""
    failed = {kind: list(names) for kind, names in remains.items()}
    plan = documents.give("prune-first", {"reason": room.reason, "delete": delete, "remains": failed})
    run.ledger.note(
        OperationRecord.key_of(WORKFLOW, run.execution.started_at, run.execution.name),
        "to be pruned first",
        {"delete": len(delete), "remains": failed, "plan": plan if "key" in plan else delete},
    )
    return plan


def _shown(found: _Found, retention: RetentionPlan) -> dict[str, Any]:
    return {
        "take": [part.as_dict() for part in found.parts[:SHOWN]],
        "known": [component.as_dict() | {"contents": {}} for component in found.fixed[:SHOWN]],
        "prune": [one.as_dict() for one in retention.delete[:SHOWN]],
        "prune_deferred": retention.deferred,
        "prune_blocked": retention.blocked,
    }
