"""What is restored: the database or cache that is live, or the last that was known of one that is gone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Self, TypeVar

from opskit.adapters.cache_state import CacheConfiguration, CacheState
from opskit.adapters.database_state import DatabaseConfiguration, DatabaseState
from opskit.decisions.drill import PREFIX
from opskit.decisions.lineage import Succession, former_names
from opskit.decisions.manifest import Component, Kind, Manifest

Configuration = TypeVar("Configuration", DatabaseConfiguration, CacheConfiguration)

# What AWS keeps for itself; nobody can set such a tag.
_RESERVED = "aws:"
_GOING = frozenset({"deleting", "deleted"})


@dataclass(frozen=True, slots=True)
class Source(Generic[Configuration]):
    """A database or a cache of which a copy is wanted.

    Attributes:
        name: the DB instance or replication group.
        endpoint: `host:port` that the service is told now; whoever answers there is replaced.
        configuration: how it is, or was when it was backed up last.
        tags: its tags, without AWS's own.
        resource_id: DbiResourceId, by which the log of a deleted database is found; None for a cache.
        there: whether it still exists.
        formerly: the names of those that the service used before it.
    """

    name: str
    endpoint: str
    configuration: Configuration
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    resource_id: str | None = None
    there: bool = True
    formerly: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "name": self.name,
            "endpoint": self.endpoint,
            "configuration": self.configuration.as_dict(),
            "tags": dict(self.tags),
            "resource_id": self.resource_id,
            "there": self.there,
            "formerly": list(self.formerly),
        }

    @classmethod
    def of(cls, state: DatabaseState | CacheState, endpoint: str) -> Self:
        """From the live instance or group, whose endpoint it is."""
        return cls(
            name=state.identifier,
            endpoint=endpoint,
            configuration=state.configuration,  # type: ignore[arg-type]  # the caller's kind is the state's
            tags=_own(state.tags),
            resource_id=state.resource_id if isinstance(state, DatabaseState) else None,
        )


@dataclass(frozen=True, slots=True)
class Sought(Generic[Configuration]):
    """The source, or why there is none."""

    source: Source[Configuration] | None
    reason: str


def database_source(
    live: DatabaseState | None, endpoint: str, manifests: Iterable[Manifest]
) -> Sought[DatabaseConfiguration]:
    """The live database, or what the manifests (newest first) say of the one that had `endpoint`.

    One that is being deleted is as good as gone; whoever deletes it has changed it first, its protection for one.
    """
    if live is not None and live.status not in _GOING:
        return _checked(Source.of(live, endpoint))
    found = _remembered(Kind.DATABASE, endpoint, manifests, DatabaseConfiguration)
    if found.source or live is None:
        return found
    source: Source[DatabaseConfiguration] = Source.of(live, endpoint)
    return _checked(replace(source, there=False))


def cache_source(live: CacheState | None, endpoint: str, manifests: Iterable[Manifest]) -> Sought[CacheConfiguration]:
    """As `database_source`, of the cache."""
    if live is not None and live.status not in _GOING:
        return _checked(Source.of(live, endpoint))
    found = _remembered(Kind.CACHE, endpoint, manifests, CacheConfiguration)
    if found.source or live is None:
        return found
    source: Source[CacheConfiguration] = Source.of(live, endpoint)
    return _checked(replace(source, there=False))


def remembered(state: DatabaseState | CacheState, endpoint: str) -> dict[str, Any]:
    """What a manifest's component has to say of its resource, in `contents`, so that it can be restored when gone."""
    return {
        "endpoint": endpoint,
        "configuration": state.configuration.as_dict(),
        "resource_id": state.resource_id if isinstance(state, DatabaseState) else None,
        "tags": _own(state.tags),
    }


def _checked(source: Source[Configuration]) -> Sought[Configuration]:
    if source.name.startswith(PREFIX):
        reason = (
            f"the service's endpoint is that of {source.name}, a drill's copy, which will be torn down: "
            "point the endpoint parameter at the right one first"
        )
        return Sought(None, reason)
    return Sought(source, f"{source.name} is live")


def _remembered(
    kind: Kind, endpoint: str, manifests: Iterable[Manifest], shape: type[Configuration]
) -> Sought[Configuration]:
    """From the newest component whose `contents` say that its resource was at `endpoint` (`remembered`)."""
    seen = 0
    for manifest in manifests:
        for part in manifest.components:
            if part.kind is kind and part.id is not None and "configuration" in part.contents:
                seen += 1
                if part.contents.get("endpoint") == endpoint:
                    return _checked(_from_component(part, endpoint, shape))
    known = f"none of the {seen} backups on record was taken of it" if seen else "no backup on record says what it was"
    reason = (
        f"nothing answers to the service's {kind} endpoint, {endpoint}, and {known}. Point the endpoint parameter at "
        f"an existing {kind} whose backups are to be restored, then ask again"
    )
    return Sought(None, reason)


def _from_component(part: Component, endpoint: str, shape: type[Configuration]) -> Source[Configuration]:
    return Source(
        name=part.resource,
        endpoint=endpoint,
        configuration=shape.from_dict(part.contents["configuration"]),
        tags=_own(part.contents.get("tags", {})),
        resource_id=part.contents.get("resource_id"),
        there=False,
    )


def _own(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if not key.startswith(_RESERVED)}


def configuration_of(kind: Kind, data: Mapping[str, Any]) -> DatabaseConfiguration | CacheConfiguration:
    """A configuration of the kind from its dict."""
    return DatabaseConfiguration.from_dict(data) if kind is Kind.DATABASE else CacheConfiguration.from_dict(data)


def with_history(sought: Sought[Configuration], history: Sequence[Succession]) -> Sought[Configuration]:
    """The source with the names that its predecessors had."""
    if sought.source is None:
        return sought
    kind = Kind.DATABASE if isinstance(sought.source.configuration, DatabaseConfiguration) else Kind.CACHE
    formerly = former_names(kind, sought.source.name, history)
    return replace(sought, source=replace(sought.source, formerly=formerly))


def resource_id_of(database: str, manifests: Iterable[Manifest]) -> str | None:
    """The DbiResourceId of a database that is gone, as the newest manifest that knew it says."""
    for manifest in manifests:
        part = manifest.component(Kind.DATABASE, database)
        if part and part.contents.get("resource_id"):
            return str(part.contents["resource_id"])
    return None
