"""A cut-over: which endpoint gives way to which, what was approved of it, and what becomes of the tags."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

from opskit.clock import timestamp
from opskit.decisions.drill import TAG_EXPIRES
from opskit.decisions.evidence import canonical, sha256
from opskit.decisions.manifest import Kind
from opskit.decisions.restoration import TAG_KEEP_UNTIL, TAG_REPLACED_BY, TAG_RESTORE

# What selects a resource for the hourly snapshots.
TAG_BACKUP = "backup"
_LIFECYCLE = frozenset({TAG_RESTORE, TAG_EXPIRES, TAG_REPLACED_BY, TAG_KEEP_UNTIL})


@dataclass(frozen=True, slots=True)
class Swap:
    """One component's cut-over: from an identifier and its endpoint (`host:port`) to another's."""

    kind: Kind
    from_name: str
    from_endpoint: str
    to_name: str
    to_endpoint: str

    @property
    def back(self) -> "Swap":
        """The same the other way."""
        return Swap(self.kind, self.to_name, self.to_endpoint, self.from_name, self.from_endpoint)

    @property
    def words(self) -> str:
        """For people."""
        return f"{self.kind}: {self.from_name} ({self.from_endpoint}) -> {self.to_name} ({self.to_endpoint})"

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"kind": self.kind.value}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        return cls(**{**data, "kind": Kind(data["kind"])})


def swaps_of(data: Sequence[Mapping[str, Any]]) -> tuple[Swap, ...]:
    """Swaps from their dicts, the database first: a cache must not be newer than its database."""
    return tuple(sorted((Swap.from_dict(one) for one in data), key=lambda swap: swap.kind is not Kind.DATABASE))


def digest_of(swaps: Sequence[Swap]) -> str:
    """What an approval of `swaps` is bound to: `sha256:` and the hash of all that they say."""
    return f"sha256:{sha256(canonical({'swaps': [swap.as_dict() for swap in swaps]}))}"


@dataclass(frozen=True, slots=True)
class Retagging:
    """Tags that one resource gets and loses."""

    add: dict[str, str]
    remove: tuple[str, ...]


def tags_when_live(tags_before: Mapping[str, str]) -> Retagging:
    """For what is live now: the tags that its predecessor had before the cut-over, and no end of its time."""
    kept = {key: value for key, value in tags_before.items() if key not in _LIFECYCLE and not key.startswith("aws:")}
    return Retagging(kept, (TAG_EXPIRES, TAG_REPLACED_BY, TAG_KEEP_UNTIL))


def tags_when_replaced(by: str, keep_until: datetime) -> Retagging:
    """For what was replaced: no more backups of it, and until when it is kept for the way back."""
    return Retagging({TAG_REPLACED_BY: by, TAG_KEEP_UNTIL: timestamp(keep_until)}, (TAG_BACKUP,))
