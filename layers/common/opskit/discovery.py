"""What a snapshot run finds: the resources that are meant, the service's own among them, and the snapshots there are.

One listing of each kind, whatever the size of the fleet.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from opskit.adapters.cache_state import CacheSnapshot
from opskit.adapters.caches import Caches
from opskit.adapters.database_state import DatabaseSnapshot
from opskit.adapters.databases import Databases
from opskit.adapters.endpoints import CACHE, DATABASE, Endpoints
from opskit.adapters.handover import Handover
from opskit.adapters.manifests import Manifests
from opskit.decisions.fleet import TAG_BACKUP, Scope, database_parts, plan_caches, refuse_unknown
from opskit.decisions.holdings import Holdings, database_holdings, failed_remains
from opskit.decisions.live import live_cache, live_database
from opskit.decisions.manifest import Component, Kind, Status
from opskit.decisions.past_runs import PastRuns
from opskit.decisions.restore_source import remembered
from opskit.decisions.taking import Part
from opskit.errors import IntegrityError, ManifestError, NotFoundError, PlatformContractError

_logger = logging.getLogger(__name__)

Live = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """What is there.

    Attributes:
        parts: the snapshots that this run is about.
        fixed: components that are known already: a backup that still counts, or that something is not there.
        live: what the service uses, by `database` and `cache`: `identifier`, `host`, `port`, `tls`; None if unknown.
        sources: every DB instance there is.
        holdings: the DB snapshots there are.
        handed_over: where these are handed over already, if they are as the last run left them.
        remains: names of snapshots that failed in an earlier run of the hour, by `database` and `cache`.
    """

    parts: tuple[Part, ...]
    fixed: tuple[Component, ...]
    live: dict[str, Live | None]
    sources: frozenset[str]
    holdings: Holdings
    handed_over: Mapping[str, Any] | None
    remains: dict[str, tuple[str, ...]]


def discover(
    kinds: Collection[str], scope: Scope, past: PastRuns, *, documents: Handover, manifests: Manifests
) -> Found:
    """Look at everything that a run for `kinds` of components needs to know.

    Raises InvalidInputError if a resource was asked for that is not there, and botocore's errors: a listing that is
    not whole must not be acted on.
    """
    databases, caches = Databases(), Caches()
    instances = databases.instances()
    groups = caches.groups() if Kind.CACHE in kinds else ()
    cache_snapshots = caches.snapshots() if groups else ()
    known = _known_caches(manifests, past) if groups else {}
    parts = database_parts(instances, scope) if Kind.DATABASE in kinds else []
    cache_parts, fixed = plan_caches(groups, cache_snapshots, known, scope)
    refuse_unknown(scope.resources, [*parts, *cache_parts], fixed)
    live: dict[str, Live | None] = {DATABASE: None, CACHE: None}
    endpoints = Endpoints(scope.service, scope.environment)
    if Kind.DATABASE in kinds:
        live[DATABASE], missing = _live(Kind.DATABASE, parts, [], lambda: _at(endpoints, DATABASE, instances))
        fixed += missing
    if Kind.CACHE in kinds:
        live[CACHE], missing = _live(Kind.CACHE, cache_parts, fixed, lambda: _at(endpoints, CACHE, groups))
        fixed += missing
    holdings, listed = _holdings(databases, past, documents, scope)
    return Found(
        parts=(*parts, *cache_parts),
        fixed=tuple(fixed),
        live=live,
        sources=frozenset(state.identifier for state in instances),
        holdings=holdings,
        handed_over=past.holdings if listed is None else None,
        remains=_remains(databases, listed, cache_snapshots, [*parts, *cache_parts], scope) if past.tried else {},
    )


def _at(endpoints: Endpoints, name: str, states: Iterable[Any]) -> Live:
    """The one of `states` that the service uses. Raises PlatformContractError if it cannot be told."""
    endpoint = endpoints.read(name)
    find: Callable[[Iterable[Any], str], Any] = live_database if name == DATABASE else live_cache
    state = find(states, endpoint.text)
    if state is None:
        raise PlatformContractError(f"nothing that is there has the service's endpoint {endpoint.text}")
    tls = getattr(state.configuration, "transit_encryption", True)
    return {
        "identifier": state.identifier,
        "host": endpoint.host,
        "port": endpoint.port,
        "tls": tls,
        "source": remembered(state, endpoint.text),
    }


def _live(
    kind: Kind, parts: Iterable[Part], fixed: Iterable[Component], find: Callable[[], Live]
) -> tuple[Live | None, list[Component]]:
    """What the service uses; and the component that says so if this run does not back it up."""
    try:
        found = find()
    except PlatformContractError as error:
        return None, [Component(kind, "live", Status.FAILED, str(error))]
    if found["identifier"] in {part.resource for part in parts} | {one.resource for one in fixed}:
        return found, []
    reason = f"the service uses it, but it does not carry {TAG_BACKUP}=true"
    return found, [Component(kind, found["identifier"], Status.SKIPPED, reason)]


def _holdings(
    databases: Databases, past: PastRuns, documents: Handover, scope: Scope
) -> tuple[Holdings, tuple[DatabaseSnapshot, ...] | None]:
    """What is held; and the listing that says so, if there had to be one."""
    if past.holdings:
        try:
            known = Holdings.from_dict(documents.take(past.holdings))
        except (NotFoundError, IntegrityError) as error:
            _logger.warning("what the last run left is not used: %s", error)
        else:
            if known.enough(scope.now):
                return known, None
    listed = databases.snapshots()
    return database_holdings(listed, scope.service, scope.environment, scope.now), listed


def _known_caches(manifests: Manifests, past: PastRuns) -> dict[str, Component]:
    """By name, the verified backups of caches in the manifests of this hour and those just before."""
    known: dict[str, Component] = {}
    for recorded in past.manifests:
        try:
            manifest = manifests.read(recorded["key"], sha256=recorded["sha256"])
        except (NotFoundError, ManifestError) as error:
            _logger.warning("a manifest is left out: %s", error)
            continue
        for part in manifest.components:
            if part.kind is Kind.CACHE and part.status is Status.VERIFIED and part.id:
                known.setdefault(part.id, part)
    return known


def _remains(
    databases: Databases,
    listed: tuple[DatabaseSnapshot, ...] | None,
    cache_snapshots: tuple[CacheSnapshot, ...],
    parts: Iterable[Part],
    scope: Scope,
) -> dict[str, tuple[str, ...]]:
    names: dict[Kind, list[str]] = {Kind.DATABASE: [], Kind.CACHE: []}
    for part in parts:
        names[part.kind].append(part.snapshot)
    ours = names[Kind.DATABASE]
    there = listed if listed is not None else tuple(databases.snapshots_named(ours).values())
    return {
        DATABASE: failed_remains(there, ours, scope.service, scope.environment),
        CACHE: failed_remains(cache_snapshots, names[Kind.CACHE], scope.service, scope.environment),
    }
