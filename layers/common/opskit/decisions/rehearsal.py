"""What a drill restores, checks and tears down, or why it cannot: planned before anything is made."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

from opskit.adapters.cache_state import CacheConfiguration, CacheState
from opskit.adapters.database_state import DatabaseConfiguration, DatabaseState
from opskit.clock import timestamp
from opskit.decisions.copies import CacheCopy, DatabaseCopy, disposable
from opskit.decisions.drill import CACHE_NAME, DATABASE_NAME, PREFIX, drill_id, drill_name, drill_tags, expires_at
from opskit.decisions.manifest import Kind, Manifest

LATEST = "latest"
OBJECTS = (Kind.CLUSTER, Kind.STATE, Kind.DATA)

Configuration = TypeVar("Configuration", DatabaseConfiguration, CacheConfiguration)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a drill's copies go: its own subnet groups, and the one security group that reaches them."""

    database_subnet_group: str
    cache_subnet_group: str
    security_group: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What a plan rests on. `database`, `cache`: those that are live, None if there is none at their endpoint.

    `manifest`: the last complete one, of the recorded hash; None with `manifest_problem`, which says why.
    """

    place: Place
    manifest: Manifest | None = None
    manifest_problem: str = "there is no complete manifest"
    database: DatabaseState | None = None
    cache: CacheState | None = None


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """The plan of a drill. `refused`: why it cannot be held; then no copy is planned."""

    drill: str
    method: str
    components: tuple[Kind, ...]
    expires: datetime
    database: DatabaseCopy | None = None
    cache: CacheCopy | None = None
    sources: dict[str, dict[str, str]] = field(default_factory=dict)
    manifest: Manifest | None = None
    refused: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """In words: what is restored, checked and torn down, or why not."""
        if self.refused:
            return "; ".join(self.refused)
        made = [f"{copy.name} from {_origin(copy)}" for copy in (self.database, self.cache) if copy]
        objects = [kind.value for kind in self.components if kind in OBJECTS]
        hour = timestamp(self.manifest.hour) if self.manifest else "?"
        restored = f"restore {' and '.join(made)}; " if made else ""
        read = f"read {', '.join(objects)}; " if objects else ""
        return f"{restored}{read}compare with the manifest of {hour}; tear down by {timestamp(self.expires)}"

    @property
    def names(self) -> dict[str, str]:
        """What is created, by component."""
        return {copy.kind.value: copy.name for copy in (self.database, self.cache) if copy}

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; of the manifest, its key, hash and hour."""
        return {
            "decision": "REFUSE" if self.refused else "PROCEED",
            "reason": self.reason,
            "drill": self.drill,
            "method": self.method,
            "components": [kind.value for kind in self.components],
            "expires_at": timestamp(self.expires),
            "names": self.names,
            "sources": self.sources,
            "database": self.database.as_dict() if self.database else None,
            "cache": self.cache.as_dict() if self.cache else None,
            "manifest": {
                "key": self.manifest.key,
                "sha256": self.manifest.sha256,
                "hour": timestamp(self.manifest.hour),
            }
            if self.manifest
            else None,
        }


def plan_rehearsal(
    request: Mapping[str, Any], seen: Seen, *, service: str, environment: str, execution: str, started_at: datetime
) -> Rehearsal:
    """The plan of the drill that `execution`, begun at `started_at`, is; `request` is valid (`schemas/drill.json`).

    A component whose source or backup is missing refuses the drill: a rehearsal of less than was asked for would pass
    as one of the whole.
    """
    identity = drill_id(execution, started_at)
    components = tuple(Kind(name) for name in request["components"])
    plan = Rehearsal(
        drill=identity,
        method=request["method"],
        components=components,
        expires=expires_at(started_at, request["lifetime_seconds"]),
        sources={
            state_kind.value: {"identifier": state.identifier, "arn": state.arn, "endpoint": _endpoint(state)}
            for state_kind, state in ((Kind.DATABASE, seen.database), (Kind.CACHE, seen.cache))
            if state is not None and state_kind in components
        },
        manifest=seen.manifest,
    )
    if seen.manifest is None:
        return replace(plan, refused=(seen.manifest_problem,))
    refused = [_missing(kind, seen.manifest) for kind in components if kind in OBJECTS]
    refused += [_unfit_database(plan.method, seen.database, seen.manifest) if Kind.DATABASE in components else ""]
    refused += [_unfit_cache(seen.cache, seen.manifest) if Kind.CACHE in components else ""]
    reasons = tuple(reason for reason in refused if reason)
    if reasons:
        return replace(plan, refused=reasons)
    tags = drill_tags(identity, plan.expires, service=service, environment=environment)
    database = _database_copy(plan, seen, tags) if Kind.DATABASE in components else None
    cache = _cache_copy(plan, seen, tags) if Kind.CACHE in components else None
    return replace(plan, database=database, cache=cache)


def drill_database(configuration: DatabaseConfiguration, place: Place) -> DatabaseConfiguration:
    """How a drill sets up its copy of a database: as the source is, but alone, apart, and unmonitored."""
    return replace(
        disposable(configuration),
        subnet_group=place.database_subnet_group,
        security_groups=(place.security_group,),
        multi_az=False,
        publicly_accessible=False,
        log_exports=(),
    )


def drill_cache(configuration: CacheConfiguration, place: Place) -> CacheConfiguration:
    """How a drill sets up its copy of a cache: without replicas; in cluster mode with as many shards as the source.

    Failover has nothing to fail over to, but cluster mode does not go without:
    https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_CreateReplicationGroup.html
    """
    return replace(
        disposable(configuration),
        subnet_group=place.cache_subnet_group,
        security_groups=(place.security_group,),
        replicas_per_group=0,
        multi_az=False,
        automatic_failover=configuration.cluster_mode,
    )


def _database_copy(plan: Rehearsal, seen: Seen, tags: Mapping[str, str]) -> DatabaseCopy:
    source, manifest = seen.database, seen.manifest
    assert source is not None  # noqa: S101 - refused before
    assert manifest is not None  # noqa: S101
    part = manifest.component(Kind.DATABASE, source.identifier)
    return DatabaseCopy(
        name=drill_name(plan.drill, source.identifier, limit=DATABASE_NAME),
        configuration=drill_database(source.configuration, seen.place),
        tags=tags,
        snapshot=part.id if part and plan.method != LATEST else None,
        source=source.identifier if plan.method == LATEST else None,
    )


def _cache_copy(plan: Rehearsal, seen: Seen, tags: Mapping[str, str]) -> CacheCopy:
    source, manifest = seen.cache, seen.manifest
    assert source is not None  # noqa: S101 - refused before
    assert manifest is not None  # noqa: S101
    part = manifest.component(Kind.CACHE, source.identifier)
    assert part is not None  # noqa: S101
    assert part.id is not None  # noqa: S101
    name = drill_name(plan.drill, source.identifier, limit=CACHE_NAME)
    return CacheCopy(name, drill_cache(source.configuration, seen.place), tags, part.id)


def _unfit_database(method: str, state: DatabaseState | None, manifest: Manifest) -> str:
    if state is None:
        return "no DB instance is at the service's endpoint"
    if state.identifier.startswith(PREFIX):
        return f"the service's database is a drill's own copy, {state.identifier}"
    part = manifest.component(Kind.DATABASE, state.identifier)
    if part is None or part.id is None or not part.contents:
        return f"the manifest of {timestamp(manifest.hour)} has no verified snapshot of {state.identifier}"
    if method == LATEST and state.latest_restorable is None:
        return f"{state.identifier} has no automated backups, so there is no log to restore from"
    return ""


def _unfit_cache(state: CacheState | None, manifest: Manifest) -> str:
    if state is None:
        return "no replication group is at the service's endpoint"
    if state.identifier.startswith(PREFIX):
        return f"the service's cache is a drill's own copy, {state.identifier}"
    part = manifest.component(Kind.CACHE, state.identifier)
    if part is None or part.id is None or not part.contents:
        return f"the manifest of {timestamp(manifest.hour)} has no verified backup of {state.identifier}"
    return ""


def _missing(kind: Kind, manifest: Manifest) -> str:
    return "" if manifest.component(kind) else f"the manifest of {timestamp(manifest.hour)} has no {kind}"


def _endpoint(state: DatabaseState | CacheState) -> str:
    return f"{state.address}:{state.configuration.port}"


def _origin(copy: DatabaseCopy | CacheCopy) -> str:
    if isinstance(copy, DatabaseCopy) and copy.source:
        return f"the log of {copy.source}"
    return f"snapshot {copy.snapshot}"
