"""What is in a database, a cache or a file: taken down at the source, and compared with what was restored.

Only what a comparison needs, never the data: counts, hashes, times. All of it is plain JSON in a manifest.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Self

from opskit.clock import moment_of, timestamp


@dataclass(frozen=True, slots=True)
class DatabaseContents:
    """A database at one moment.

    Attributes:
        schema_sha256: hash of its schema (tables, columns, types, indexes, constraints, sequences), in a fixed order.
        rows: rows of each table, counted in one snapshot of the database (one transaction).
        checksums: hash over the rows of those tables that are worth the time; compared only while they stand still.
        heartbeat: when the database itself stamped its newest heartbeat row (aware); None: it has none.
    """

    schema_sha256: str
    rows: dict[str, int]
    checksums: dict[str, str] = field(default_factory=dict)
    heartbeat: datetime | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"heartbeat": timestamp(self.heartbeat) if self.heartbeat else None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`; KeyError, TypeError or ValueError for anything else."""
        heartbeat = data.get("heartbeat")
        return cls(
            schema_sha256=str(data["schema_sha256"]),
            rows={str(table): int(count) for table, count in data["rows"].items()},
            checksums={str(table): str(value) for table, value in data.get("checksums", {}).items()},
            heartbeat=moment_of(heartbeat) if heartbeat else None,
        )


@dataclass(frozen=True, slots=True)
class CacheContents:
    """A cache at one moment.

    Attributes:
        keys: how many there are (DBSIZE).
        expiring: how many of them expire (`expires` in INFO keyspace).
        expiries: for a random sample of keys when each expires (aware), or None if it never does: moments, because a
            time to live has run on by the time that the copy is looked at.
    """

    keys: int
    expiring: int = 0
    expiries: dict[str, datetime | None] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "keys": self.keys,
            "expiring": self.expiring,
            "expiries": {key: timestamp(at) if at else None for key, at in self.expiries.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`; KeyError, TypeError or ValueError for anything else."""
        expiries = {str(key): moment_of(at) if at else None for key, at in data.get("expiries", {}).items()}
        return cls(keys=int(data["keys"]), expiring=int(data.get("expiring", 0)), expiries=expiries)
