"""A copy of a database or a cache, made from a backup: what it is called, where it comes from, how it is set up.

Shared by restores and drills. The interface, in the order in which a workflow uses it:

1. `DatabaseCopy`, `CacheCopy` (here): the plan of a copy, plain JSON between states (`as_dict`, `copy_of`).
   `disposable(configuration)` is the source's configuration for a copy that can be deleted again.
2. `opskit.adapters.copies.Copies`:
   - `begin(copy)`: begin to restore it; repeated, it finds what the first call began (by name and tags);
   - `look(copy, waited_seconds=, limit_seconds=)`: a `Look`: PASS (there, with an endpoint, set up as was asked for),
     WAIT, or FAIL (a terminal status, too late, or a fatal difference), with the state and every difference;
   - `delete(kind, name, permitted)`: PASS once it is gone, WAIT while it is being deleted, FAIL if `permitted`
     (`drill.may_touch`, `restoration.may_delete`) refuses. Asks for the tags again right before it deletes.
3. `opskit.adapters.copies.read_authorities(bucket)`: the authorities for `opskit.adapters.sql.connect`, with which
   `opskit.adapters.database_contents` and `keyspace` read what is in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Self, TypeVar

from opskit.adapters.cache_state import CacheConfiguration
from opskit.adapters.database_state import DatabaseConfiguration
from opskit.clock import moment_of, timestamp
from opskit.decisions.manifest import Kind

Configuration = TypeVar("Configuration", DatabaseConfiguration, CacheConfiguration)


@dataclass(frozen=True, slots=True)
class DatabaseCopy:
    """A DB instance to be restored, from exactly one of a DB snapshot and a log.

    Attributes:
        name: the identifier of the new instance.
        configuration: how it is set up, in full (`placement.database_arguments`).
        tags: all of its tags, by which a repeated call knows its own.
        snapshot: the name of the DB snapshot that it comes from.
        source: the identifier of the instance whose log it comes from.
        resource_id: in place of `source`, the DbiResourceId of an instance that is gone.
        moment: of which the log is replayed (aware); None: its end.
    """

    name: str
    configuration: DatabaseConfiguration
    tags: Mapping[str, str] = field(hash=False)
    snapshot: str | None = None
    source: str | None = None
    resource_id: str | None = None
    moment: datetime | None = None

    kind = Kind.DATABASE

    def __post_init__(self) -> None:
        if sum(origin is not None for origin in (self.snapshot, self.source, self.resource_id)) != 1:
            raise ValueError(f"{self.name} needs one of snapshot, source and resource_id")

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "kind": self.kind.value,
            "name": self.name,
            "configuration": self.configuration.as_dict(),
            "tags": dict(self.tags),
            "snapshot": self.snapshot,
            "source": self.source,
            "resource_id": self.resource_id,
            "moment": timestamp(self.moment) if self.moment else None,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        return cls(
            name=data["name"],
            configuration=DatabaseConfiguration.from_dict(data["configuration"]),
            tags=dict(data["tags"]),
            snapshot=data.get("snapshot"),
            source=data.get("source"),
            resource_id=data.get("resource_id"),
            moment=moment_of(data["moment"]) if data.get("moment") else None,
        )


@dataclass(frozen=True, slots=True)
class CacheCopy:
    """A replication group to be restored from a cache snapshot; the fields as those of `DatabaseCopy`."""

    name: str
    configuration: CacheConfiguration
    tags: Mapping[str, str] = field(hash=False)
    snapshot: str

    kind = Kind.CACHE

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "kind": self.kind.value,
            "name": self.name,
            "configuration": self.configuration.as_dict(),
            "tags": dict(self.tags),
            "snapshot": self.snapshot,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        configuration = CacheConfiguration.from_dict(data["configuration"])
        return cls(data["name"], configuration, dict(data["tags"]), data["snapshot"])


Copy = DatabaseCopy | CacheCopy


def copy_of(data: Mapping[str, Any]) -> Copy:
    """The inverse of either `as_dict`."""
    return DatabaseCopy.from_dict(data) if data["kind"] == Kind.DATABASE else CacheCopy.from_dict(data)


def disposable(configuration: Configuration) -> Configuration:
    """`configuration` for a copy that is to be deleted again: not protected from it, and with no backups of its own."""
    if isinstance(configuration, DatabaseConfiguration):
        return replace(configuration, deletion_protection=False, backup_retention_days=0)
    return replace(configuration, snapshot_retention_days=0)
