"""What a restore will do: from which backups, into what, and what will be cut over; or why not."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from opskit.adapters.cache_state import CacheConfiguration
from opskit.adapters.database_state import DatabaseConfiguration, RestoreWindow
from opskit.clock import timestamp
from opskit.decisions.copies import CacheCopy, Copy, DatabaseCopy, disposable
from opskit.decisions.drill import CACHE_NAME, DATABASE_NAME
from opskit.decisions.manifest import Kind, Manifest, Status, choose_by_snapshot
from opskit.decisions.placement import cache_arguments, database_arguments
from opskit.decisions.restoration import restore_name
from opskit.decisions.restore import CachePoint, DatabasePoint, Wanted, choose_cache_point, choose_database_point
from opskit.decisions.restore_source import Sought, Source
from opskit.errors import InvalidInputError

# The request's words for what a configuration calls otherwise.
_PLACED = {
    "subnet_group": "subnet_group",
    "security_groups": "security_groups",
    "parameter_group": "parameter_group",
    "class": "instance_class",
    "node_type": "node_type",
}


@dataclass(frozen=True, slots=True)
class Log:
    """The log of a database: its name, whether that is still there, its DbiResourceId, and its window if it has one."""

    name: str
    there: bool
    resource_id: str | None
    window: RestoreWindow | None


@dataclass(frozen=True, slots=True)
class Observed:
    """What was found: the sources (None: not asked for), a database's log, the manifests, newest first.

    `log` is that of the database which was live at the moment that is asked for; it may have been replaced since.
    `manifests` are without what has been deleted since (`without_the_deleted`), under the sources' names
    (`lineage.under_one_name`); `hashes` are their SHA-256 as recorded.
    """

    database: Sought[DatabaseConfiguration] | None
    cache: Sought[CacheConfiguration] | None
    log: Log | None
    manifests: Sequence[Manifest]
    now: datetime
    hashes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose copies they are: what names and tags are made of."""

    service: str
    environment: str
    execution_name: str
    started_at: datetime
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Part:
    """One component: its source, the point that was chosen (in words), the copy, and the manifest to compare with."""

    source: Source[Any]
    copy: Copy
    reason: str
    at: datetime | None
    manifest: Manifest | None
    exact: bool

    def as_dict(self, now: datetime, hashes: Mapping[str, str]) -> dict[str, Any]:
        """JSON-ready. `exact`: the data is the manifest's; else of another moment. `hashes`: manifests' by key."""
        return {
            "source": self.source.as_dict(),
            "copy": self.copy.as_dict(),
            "reason": self.reason,
            "at": timestamp(self.at) if self.at else None,
            "lost_seconds": round((now - self.at).total_seconds()) if self.at else None,
            "manifest": {"key": self.manifest.key, "sha256": hashes[self.manifest.key]} if self.manifest else None,
            "exact": self.exact,
        }


@dataclass(frozen=True, slots=True)
class Planned:
    """The parts by kind, and why any cannot be; with such a reason nothing is done."""

    parts: Mapping[Kind, Part]
    refusals: tuple[str, ...]


def plan_parts(request: Mapping[str, Any], wanted: Wanted, observed: Observed, identity: Identity) -> Planned:
    """How each component of `request` is restored. Nothing is planned by halves: see `Planned.refusals`."""
    allow = bool(request.get("allow_incomplete"))
    parts: dict[Kind, Part] = {}
    refusals: list[str] = []
    point: DatabasePoint | None = None
    if observed.database is not None:
        source = observed.database.source
        if source is None:
            refusals.append(observed.database.reason)
        else:
            window = observed.log.window if observed.log else None
            point = choose_database_point(
                wanted, source.name, window, observed.manifests, now=observed.now, allow_incomplete=allow
            )
            _add(parts, refusals, lambda: _database(request, source, point, observed, identity))
    if observed.cache is not None:
        cache = observed.cache.source
        if cache is None:
            refusals.append(observed.cache.reason)
        elif not (point and point.refused):
            of_set = _set_of(wanted, point, observed, allow=allow)
            if isinstance(of_set, str):
                refusals.append(of_set)
            else:
                at = point.at if point else wanted.moment
                chosen = choose_cache_point(observed.manifests, cache.name, at=at, manifest=of_set)
                _add(parts, refusals, lambda: _cache(request, cache, chosen, observed, identity))
    return Planned(parts, tuple(refusals))


def without_the_deleted(
    manifests: Iterable[Manifest], existing: Mapping[Kind, frozenset[str] | None]
) -> tuple[Manifest, ...]:
    """`manifests`, in which a snapshot that is no longer there counts as failed.

    `existing`: names of the snapshots of each kind that can be restored; a kind that is None is not looked at.
    """
    return tuple(
        replace(
            manifest,
            components=tuple(
                replace(part, status=Status.FAILED, reason=f"its snapshot {part.id} has been deleted since")
                if part.status is Status.VERIFIED
                and (names := existing.get(part.kind)) is not None
                and part.id not in names
                else part
                for part in manifest.components
            ),
        )
        for manifest in manifests
    )


def _set_of(wanted: Wanted, point: DatabasePoint | None, observed: Observed, *, allow: bool) -> Manifest | str | None:
    """The manifest whose set the cache is to be of; a sentence if that is asked for and there is none."""
    if point is not None:
        return point.manifest
    if wanted.snapshot is None:
        return None
    choice = choose_by_snapshot(observed.manifests, wanted.snapshot, allow_incomplete=allow)
    return choice.manifest or choice.reason


def _add(parts: dict[Kind, Part], refusals: list[str], make: Any) -> None:
    try:
        made = make()
    except InvalidInputError as error:
        refusals.append(str(error))
        return
    if isinstance(made, str):
        refusals.append(made)
    else:
        parts[made.copy.kind] = made


def _database(
    request: Mapping[str, Any],
    source: Source[DatabaseConfiguration],
    point: DatabasePoint,
    observed: Observed,
    identity: Identity,
) -> Part | str:
    if point.refused:
        return f"database: {point.reason}"
    configuration = _placed(source.configuration, request.get("placement", {}), "database_")
    # Protection against deletion would keep a copy that failed; what goes live is protected then.
    configuration = (
        disposable(configuration)
        if request["mode"] == "isolated"
        else replace(configuration, deletion_protection=False)
    )
    origin: dict[str, Any] = {"snapshot": point.snapshot}
    reason, log = point.reason, observed.log
    if point.snapshot is None and log is not None:
        origin = {"moment": point.moment} | ({"source": log.name} if log.there else {"resource_id": log.resource_id})
        reason += f", of {log.name}, which was live then" if log.name != source.name else ""
    copy = DatabaseCopy(_name(identity, DATABASE_NAME), configuration, identity.tags, **origin)
    database_arguments(configuration, identity.tags, to_moment=point.snapshot is None)
    before = _newest_of(Kind.DATABASE, source.name, observed.manifests, point.at)
    return Part(source, copy, reason, point.at, point.manifest or before, exact=point.manifest is not None)


def _cache(
    request: Mapping[str, Any],
    source: Source[CacheConfiguration],
    point: CachePoint,
    observed: Observed,
    identity: Identity,
) -> Part | str:
    if point.refused or point.snapshot is None:
        return f"cache: {point.reason}; `components` without cache restores the database alone"
    configuration = _placed(source.configuration, request.get("placement", {}), "cache_")
    if request["mode"] == "isolated":
        configuration = disposable(configuration)
    copy = CacheCopy(_name(identity, CACHE_NAME), configuration, identity.tags, point.snapshot)
    cache_arguments(configuration, identity.tags)
    having = [m for m in observed.manifests if (p := m.component(Kind.CACHE, source.name)) and p.id == point.snapshot]
    return Part(source, copy, point.reason, point.at, having[-1] if having else None, exact=True)


def _placed(configuration: Any, placement: Mapping[str, Any], prefix: str) -> Any:
    changes = {
        _PLACED[name.removeprefix(prefix)]: tuple(sorted(value)) if isinstance(value, list) else value
        for name, value in placement.items()
        if name.startswith(prefix)
    }
    return replace(configuration, **changes)


def _name(identity: Identity, limit: int) -> str:
    return restore_name(
        identity.service, identity.environment, identity.execution_name, identity.started_at, limit=limit
    )


def _newest_of(kind: Kind, resource: str, manifests: Sequence[Manifest], at: datetime | None) -> Manifest | None:
    """The last manifest that knew the resource at or before `at`: what its schema and rows were about then."""
    known = (m for m in manifests if (part := m.component(kind, resource)) and part.taken_at)
    return next((m for m in known if at is None or m.finished_at <= at), None)
