"""Snapshot, first step: may this run start, what is there, what will be taken, and is there room for it?"""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from opskit.adapters.databases import Databases
from opskit.adapters.executions import ended_execution
from opskit.adapters.handover import Handover
from opskit.adapters.manifests import Manifests
from opskit.adapters.snapshot_documents import documents_of
from opskit.clock import moment_of, timestamp
from opskit.decisions.cache_turn import EVERY_HOURS
from opskit.decisions.fleet import Scope
from opskit.decisions.manifest import Kind
from opskit.decisions.past_runs import PastRuns
from opskit.decisions.retention import Circumstances, Policy, RetentionPlan, plan_retention, policy_fits
from opskit.decisions.snapshot import Preflight, hour_of, judge_event, preflight
from opskit.decisions.taking import Phase
from opskit.discovery import Found, discover
from opskit.errors import InvalidInputError, LockHeldError
from opskit.ledger import Lock, OperationRecord
from opskit.protection import protected_names
from opskit.schema import validate
from opskit.step import Run, step
from opskit.verdict import Outcome

WORKFLOW = LOCK = "snapshot"
# A day's runs, and some that were repeated.
RECORDS = 30
# Of a plan that is shown and not acted on.
SHOWN = 200


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return the plan: PROCEED, PRUNE_FIRST, DUPLICATE or REFUSE, with the reason; nothing is taken or deleted yet.

    Except in a dry run, the lock is taken and the run's record opened.

    Raises:
        InvalidInputError: the input does not fit its schema, or names what is not there.
        LockHeldError: a run for another hour is under way; the message names it.
    """
    request, settings = validate(WORKFLOW, event["input"]), event["settings"]
    here, now = run.settings, run.clock.now()
    if request.get("environment", here.environment) != here.environment:
        raise InvalidInputError(f"this is the environment {here.environment}, not {request['environment']}")
    scheduled = moment_of(request["scheduled_at"]) if "scheduled_at" in request else run.execution.started_at
    verdict = judge_event(scheduled, now, maximum_age_seconds=settings["event_age_seconds"])
    hour = hour_of(scheduled)
    begun: dict[str, Any] = {"hour": timestamp(hour), "request": request, "lock": None}
    if verdict.outcome is not Outcome.PASS:
        return begun | {"decision": "REFUSE", "reason": verdict.reason}
    if not request["dry_run"]:
        lock, other = _lock(run, f"the snapshots of {timestamp(hour)}", settings["lease_seconds"])
        if lock is None:
            return begun | {"decision": "DUPLICATE", "reason": f"{other} is taking this hour's snapshots"}
        begun["lock"] = lock.as_dict()
        _open_record(run, request, begun["hour"])
    records = run.ledger.operations(WORKFLOW, RECORDS)
    past = PastRuns.of(records, hour, run.execution.name, recent=timedelta(hours=EVERY_HOURS))
    if past.done:
        reason = f"{past.done.execution_name} has taken this hour's snapshots, and all are verified"
        return begun | {"decision": "DUPLICATE", "reason": reason}
    resources = frozenset(request["resources"]) if "resources" in request else None
    scope = Scope(here.service, here.environment, hour, run.execution.name, now, resources)
    return begun | _plan(run, request, settings, scope, past)


def _lock(run: Run, purpose: str, lease_seconds: int) -> tuple[Lock | None, str]:
    """The lock; or None and the name of the execution that is at the same hour."""
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
        left = run.ledger.operation_of(WORKFLOW, lock.superseded.owner.rpartition(":")[2])
        if left and left.outcome is None:
            reason = f"it ended before its work did; {run.execution.name} took over"
            run.ledger.close_operation(left.key, "ABORTED", reason)
    return lock, ""


def _open_record(run: Run, request: dict[str, Any], hour: str) -> None:
    run.ledger.open_operation(
        OperationRecord(
            WORKFLOW,
            run.execution.id,
            run.execution.name,
            run.execution.started_at,
            requested_by=request.get("requested_by"),
            reason=request.get("reason"),
            facts={"hour": hour},
        )
    )


def _plan(run: Run, request: dict[str, Any], settings: dict[str, Any], scope: Scope, past: PastRuns) -> dict[str, Any]:
    bucket = run.platform.backup_bucket
    documents, manifests = documents_of(bucket, scope.hour, scope.run), Manifests(bucket, run.ledger)
    found = discover(request["components"], scope, past, documents=documents, manifests=manifests)
    policy = Policy.parse(settings["retention"], scope.environment)
    policy = replace(policy, cap=max(policy.cap, 2 * len(found.sources)))
    quota = Databases().snapshot_quota()
    wanted = [part for part in found.parts if part.kind is Kind.DATABASE and part.phase is Phase.WAITING]
    held = {one.name for one in found.holdings.held}
    needed = sum(part.snapshot not in held for part in wanted)
    retention = RetentionPlan((), ())
    # Where there is room, what is to be pruned is planned at the end, from what this run has taken.
    if request["prune"] and (quota.free < 2 * needed or request["dry_run"]):
        retention = _retention(run, manifests, found, policy, past)
    room = preflight(quota, needed, len(retention.delete))
    warning = policy_fits(policy, len(wanted), quota, found.holdings.others)
    plan: dict[str, Any] = {
        "decision": "REFUSE" if room.decision is Preflight.REFUSE else "PROCEED",
        "reason": room.reason,
        "quota": quota.as_dict(),
        "warnings": [warning] if warning else [],
    }
    if request["dry_run"]:
        return plan | _shown(found, retention)
    if room.decision is Preflight.REFUSE:
        return plan
    delete = [one.as_dict() for one in retention.delete[: room.prune]]
    if delete or any(found.remains.values()):
        first = _record_deletion(run, documents, room.reason, delete, found.remains)
        plan |= {"decision": "PRUNE_FIRST", "first": first}
    return plan | {
        "parts": documents.give("parts", [part.as_dict() for part in found.parts]),
        "fixed": documents.give("fixed", [component.as_dict() for component in found.fixed]),
        "held": found.handed_over or documents.give("held", found.holdings.as_dict()),
        "sources": documents.give("sources", sorted(found.sources)),
        "live": found.live,
        "capture": _to_capture(found),
        "previous": {"complete": past.last_complete, "newest_cache": past.newest_cache},
    }


def _to_capture(found: Found) -> list[str]:
    """What is looked into: the service's database and cache, where a backup of it is taken now."""
    taken = {(part.kind, part.resource) for part in found.parts if part.phase is Phase.WAITING}
    kinds = {"database": Kind.DATABASE, "cache": Kind.CACHE}
    return [name for name, live in found.live.items() if live and (kinds[name], live["identifier"]) in taken]


def _retention(run: Run, manifests: Manifests, found: Found, policy: Policy, past: PastRuns) -> RetentionPlan:
    protected, blocked = protected_names(run.ledger, manifests, past.last_complete)
    circumstances = Circumstances(found.sources, listing_partial=blocked, protected=protected)
    return plan_retention(found.holdings.held, policy, circumstances, now=run.clock.now())


def _record_deletion(
    run: Run, documents: Handover, reason: str, delete: list[dict[str, Any]], remains: dict[str, tuple[str, ...]]
) -> dict[str, Any]:
    """Put on record what will be deleted before anything is taken; where that is."""
    failed = {kind: list(names) for kind, names in remains.items()}
    plan = documents.give("prune-first", {"reason": reason, "delete": delete, "remains": failed})
    key = OperationRecord.key_of(WORKFLOW, run.execution.started_at, run.execution.name)
    run.ledger.note(key, "to be pruned first", {"snapshots": len(delete), "plan": plan})
    return plan


def _shown(found: Found, retention: RetentionPlan) -> dict[str, Any]:
    return {
        "take": [part.as_dict() for part in found.parts[:SHOWN]],
        "known": [component.as_dict() | {"contents": {}} for component in found.fixed[:SHOWN]],
        "prune": [one.as_dict() for one in retention.delete[:SHOWN]],
        "prune_deferred": retention.deferred,
        "prune_blocked": retention.blocked,
    }
