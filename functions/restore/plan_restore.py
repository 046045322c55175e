"""Restore, step 1: what will be restored, from which backups, into what, and what will be cut over. Changes nothing."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from opskit.adapters.caches import Caches
from opskit.adapters.copies import Copies, endpoint_of
from opskit.adapters.database_state import DatabaseConfiguration, DatabaseState
from opskit.adapters.databases import Databases
from opskit.adapters.endpoints import Endpoints
from opskit.adapters.manifests import Manifests
from opskit.clock import timestamp
from opskit.decisions.lineage import Succession, live_at, successions, under_one_name
from opskit.decisions.live import live_cache, live_database
from opskit.decisions.manifest import Kind, Manifest
from opskit.decisions.restoration import restore_id, restore_tags
from opskit.decisions.restore import Wanted, wanted_of
from opskit.decisions.restore_plan import Identity, Log, Observed, plan_parts, without_the_deleted
from opskit.decisions.restore_request import complete_restore_request
from opskit.decisions.restore_source import (
    Sought,
    Source,
    cache_source,
    database_source,
    resource_id_of,
    with_history,
)
from opskit.decisions.status import CACHE_SNAPSHOT, DATABASE_SNAPSHOT
from opskit.decisions.swaps import digest_of
from opskit.decisions.undo import Former, plan_undo
from opskit.schema import validate
from opskit.step import Run, step

# How many of the last restores are looked through for what they have replaced.
RECORDS = 100


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return `{"request", "plan"}`; the plan's decision is PROCEED or REFUSE, with the reason.

    Raises:
        InvalidInputError: the input does not fit the schema or contradicts itself.
        LockHeldError: a release, or another restore that replaces, is under way; the message names it.
        PlatformContractError: the platform does not say where the service's database or cache is.
    """
    given = event["input"]
    request = complete_restore_request(
        given,
        validate("restore", given),
        event["settings"],
        environment=run.settings.environment,
        started_at=run.execution.started_at,
    )
    if request["mode"] != "isolated":
        run.ledger.refuse_if_held(run.execution.id)
    plan = _undo(request, run) if request["mode"] == "undo" else _restore(request, event["settings"], run)
    return {"request": request, "plan": plan}


def _restore(request: dict[str, Any], settings: dict[str, Any], run: Run) -> dict[str, Any]:
    now, started_at = run.clock.now(), run.execution.started_at
    here = run.settings
    identity = restore_id(run.execution.name, started_at)
    # However long an approval takes, what was restored outlives it.
    life = timedelta(hours=settings["isolated_hours"])
    expires = started_at + life + timedelta(seconds=request["approval_seconds"])
    observed = _observe(request, run)
    tags = restore_tags(identity, expires, service=here.service, environment=here.environment)
    planned = plan_parts(
        request,
        wanted_of(request),
        observed,
        Identity(here.service, here.environment, run.execution.name, started_at, tags),
    )
    refused = bool(planned.refusals)
    parts = {} if refused else {kind.value: part.as_dict(now, observed.hashes) for kind, part in planned.parts.items()}
    words = [f"{kind}: {part.reason}, into {part.copy.name}" for kind, part in planned.parts.items()]
    return {
        "decision": "REFUSE" if refused else "PROCEED",
        "reason": "; ".join(planned.refusals or words),
        "mode": request["mode"],
        "restore_id": identity,
        "expires_at": timestamp(expires),
        "parts": parts,
        "swaps": [],
        "digest": None,
        "tags": {kind.value: dict(part.source.tags) for kind, part in planned.parts.items()},
        "will_cut_over": [
            f"{kind}: {part.source.name} ({part.source.endpoint}) -> {part.copy.name}"
            for kind, part in planned.parts.items()
            if request["mode"] == "replace"
        ],
    }


def _observe(request: dict[str, Any], run: Run) -> Observed:
    """What there is to restore from; of a component that is not asked for, nothing."""
    endpoints = Endpoints(run.settings.service, run.settings.environment)
    recorded = tuple(Manifests(run.platform.backup_bucket, run.ledger).recent())
    history = successions(run.ledger.operations(run.workflow, RECORDS))
    manifests, existing = recorded, dict[Kind, frozenset[str] | None]()
    database: Sought[Any] | None = None
    cache: Sought[Any] | None = None
    log = None
    if Kind.DATABASE in request["components"]:
        databases, where = Databases(), endpoints.read("database").text
        instances = databases.instances()
        good = DATABASE_SNAPSHOT.good
        existing[Kind.DATABASE] = frozenset(one.name for one in databases.snapshots() if one.status in good)
        database = with_history(database_source(live_database(instances, where), where, recorded), history)
        if database.source:
            log = _log(
                wanted_of(request), database.source, {one.identifier: one for one in instances}, recorded, history
            )
            manifests = under_one_name(manifests, Kind.DATABASE, database.source.name, history)
    if Kind.CACHE in request["components"]:
        caches, where = Caches(), endpoints.read("cache").text
        existing[Kind.CACHE] = frozenset(one.name for one in caches.snapshots() if one.status in CACHE_SNAPSHOT.good)
        cache = with_history(cache_source(live_cache(caches.groups(), where), where, recorded), history)
        if cache.source:
            manifests = under_one_name(manifests, Kind.CACHE, cache.source.name, history)
    hashes = {manifest.key: manifest.sha256 for manifest in recorded}
    return Observed(database, cache, log, without_the_deleted(manifests, existing), run.clock.now(), hashes)


def _log(
    wanted: Wanted,
    source: Source[DatabaseConfiguration],
    instances: Mapping[str, DatabaseState],
    manifests: Sequence[Manifest],
    history: Sequence[Succession],
) -> Log:
    """The log of the database that was live at the moment which is wanted, with what can be restored from it."""
    name, there, identity = source.name, source.there, source.resource_id
    if wanted.moment is not None and (then := live_at(Kind.DATABASE, name, history, wanted.moment)) != name:
        state = instances.get(then)
        name, there = then, state is not None and state.status != "deleting"
        identity = state.resource_id if state else resource_id_of(then, manifests)
    return Log(name, there, identity, Databases().restore_window(identity) if identity else None)


def _undo(request: dict[str, Any], run: Run) -> dict[str, Any]:
    """The swaps of the former restore the other way, if what it replaced is there and what it made is live."""
    endpoints, copies = Endpoints(run.settings.service, run.settings.environment), Copies()
    record = run.ledger.operation_of("restore", request["undo"])
    former = Former.of(request["undo"], record)
    states = {
        swap.kind: (endpoints.read(swap.kind.value).text, copies.state(swap.kind, swap.to_name))
        for swap in former.swaps_back
    }
    undo = plan_undo(
        former,
        live={kind: live for kind, (live, _) in states.items()},
        status={kind: state.status if state else None for kind, (_, state) in states.items()},
        endpoints={kind: endpoint_of(state) if state else None for kind, (_, state) in states.items()},
    )
    return {
        "decision": "REFUSE" if undo.refusals else "PROCEED",
        "reason": undo.reason,
        "mode": "undo",
        "restore_id": restore_id(run.execution.name, run.execution.started_at),
        "expires_at": None,
        "parts": {},
        "swaps": [swap.as_dict() for swap in undo.swaps],
        "digest": digest_of(undo.swaps),
        "tags": {swap.kind.value: former.tags.get(swap.kind.value, {}) for swap in undo.swaps},
        "will_cut_over": [swap.words for swap in undo.swaps],
    }
