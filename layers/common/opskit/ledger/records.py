"""The history: one record per operation, opened when it begins, closed with its outcome."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Self

from opskit.clock import moment_of, timestamp
from opskit.errors import LockLostError
from opskit.ledger.lock import Lock, Locks
from opskit.ledger.table import Change, Item, Write
from opskit.traffic import Colour, Weights

_PREFIX = "RELEASE#"
MAX_EVENTS = 200
# Room that is kept in the list of events for closing the record, and for a repair closing it again; and for one that is
# written without counting them: that the new version is live (`opskit.ledger.live`).
_RESERVED = 3


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in the course of an operation: when, what in words, and facts for a program."""

    at: datetime
    what: str
    facts: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"at": timestamp(self.at), "what": self.what, "facts": self.facts}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        return cls(moment_of(data["at"]), data["what"], data["facts"])


@dataclass(frozen=True, slots=True)
class ReleaseRecord:
    """What a release or a rollback was to do, did, and came to.

    `weights` are the last that the balancer confirmed; `intent` those about to be written, present only
    between the decision to write and the confirmation. `outcome` is None while the operation runs. `events`
    holds at most 200 entries; `events_dropped` counts those beyond.
    """

    execution_id: str
    execution_name: str
    operation: str
    started_at: datetime
    requested_by: str | None = None
    reason: str | None = None
    image: str | None = None
    digest: str | None = None
    from_colour: Colour | None = None
    to_colour: Colour | None = None
    strategy: str | None = None
    approval: dict[str, Any] | None = None
    override_alarms: str | None = None
    ended_at: datetime | None = None
    outcome: str | None = None
    outcome_reason: str | None = None
    weights: Weights | None = None
    intent: Weights | None = None
    evidence: str | None = None
    events: tuple[Event, ...] = ()
    events_dropped: int = 0

    @property
    def key(self) -> str:
        """The record's sort key."""
        return self.key_of(self.started_at, self.execution_name)

    def has_event(self, what: str) -> bool:
        """Whether an event of that name is in the record."""
        return any(event.what == what for event in self.events)

    @staticmethod
    def key_of(started_at: datetime, execution_name: str) -> str:
        """The sort key of the record of an execution; the order of keys is the order of starts."""
        return f"{_PREFIX}{timestamp(started_at)}#{execution_name}"

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, `key` among them; moments as `opskit.clock.timestamp` writes them."""
        return {"key": self.key} | {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The inverse of `as_dict`; absent fields take their defaults."""
        return cls(
            **{
                field.name: _READERS.get(field.name, _same)(data[field.name])
                for field in fields(cls)
                if data.get(field.name) is not None
            }
        )


_MUTABLE = frozenset(field.name for field in fields(ReleaseRecord)) - {
    "execution_id",
    "execution_name",
    "operation",
    "started_at",
    "ended_at",
    "outcome",
    "outcome_reason",
    "events",
    "events_dropped",
}


class Releases(Locks):
    """The history of releases and rollbacks; kept for good."""

    def open_record(self, record: ReleaseRecord) -> None:
        """Begin a record. Safe to repeat: one that exists is left as it is.

        Atomic: one transaction puts the record and the entry that finds it by execution name.
        """
        self._table.transact(
            [
                Write(record.key, _stored(record), {"sk": None}),
                Write(_pointer(record.execution_name), {"record": record.key}, {}),
            ]
        )

    def update_record(
        self, key: str, event: str | None = None, facts: dict[str, Any] | None = None, **changes: Any
    ) -> None:
        """Set fields of a record (None clears one) and append an event that happened now.

        Atomic: one write. Repeating it repeats the event. Events beyond the bound are counted, not kept.
        Raises LookupError if there is no such record, TypeError for a field that cannot be changed.
        """
        unknown = changes.keys() - _MUTABLE
        if unknown:
            raise TypeError(f"{', '.join(sorted(unknown))} cannot be changed; {', '.join(sorted(_MUTABLE))} can")
        plain = {name: _plain(value) for name, value in changes.items()}
        if event is None:
            written = self._table.update(key, {"sk": key}, changes=plain)
        else:
            entry = Event(self._clock.now(), event, facts or {})
            written = self._append(key, {}, plain, entry, MAX_EVENTS - _RESERVED)
        if not written:
            raise missing(key)

    def intend(self, lock: Lock, key: str, what: str, facts: dict[str, Any], *, weights: Weights | None = None) -> None:
        """Append the event `what` and, with `weights`, set the intent, provided that `lock` is held.

        Atomic: one transaction with a check of the lock's owner and fence, so that after a seizure nothing can be
        announced any more. Raises LockLostError, or LookupError if there is no such record.
        """
        entry = Event(self._clock.now(), what, facts)
        changes = {} if weights is None else {"intent": weights.as_dict()}
        failed = self._table.transact(
            [
                Write(lock.sk, None, lock.condition()),
                Change(key, {"sk": key}, changes, {"events": [entry.as_dict()]}),
            ]
        )
        if 0 in failed:
            raise LockLostError(self.lost(lock))
        if failed:
            raise missing(key)

    def close_record(self, key: str, outcome: str, reason: str, *, repair: bool = False, **facts: Any) -> bool:
        """End a record with its outcome. The first to close it wins; True if that is this call.

        With `repair` an outcome already given is replaced, and the event, which holds `facts`, says which. Atomic:
        one write, conditional on there being no outcome, or on the one that was read. Safe to repeat.
        Raises LookupError if there is no such record.
        """
        while True:
            before = self._table.get(key)
            if before is None:
                raise missing(key)
            former = before.get("outcome")
            if former is not None and (not repair or former == outcome):
                return False
            now = self._clock.now()
            replaced = {"replaces": former} if former else {}
            entry = Event(now, "closed", {"outcome": outcome, "reason": reason} | replaced | facts)
            changes = {"outcome": outcome, "outcome_reason": reason, "ended_at": timestamp(now)}
            if self._append(key, {"outcome": former}, changes, entry, MAX_EVENTS):
                return True

    def history(self, limit: int = 20) -> list[ReleaseRecord]:
        """The last `limit` records, newest first."""
        return [ReleaseRecord.from_dict(item) for item in self._table.newest(_PREFIX, limit)]

    def record_of(self, execution_name: str) -> ReleaseRecord | None:
        """The record of an execution (the latest, should a name come again after its 90 days), or None."""
        pointer = self._table.get(_pointer(execution_name))
        item = self._table.get(pointer["record"]) if pointer else None
        return ReleaseRecord.from_dict(item) if item else None

    def _append(self, key: str, condition: Item, changes: Item, entry: Event, bound: int) -> bool:
        condition = {"sk": key} | condition
        return self._table.update(
            key, condition, changes=changes, append={"events": [entry.as_dict()]}, shorter={"events": bound}
        ) or self._table.update(key, condition, changes=changes, add={"events_dropped": 1})


def _pointer(execution_name: str) -> str:
    return f"EXECUTION#{execution_name}"


def _stored(record: ReleaseRecord) -> Item:
    return {name: value for name, value in record.as_dict().items() if name != "key"}


def missing(key: str | None) -> LookupError:
    """The error that there is no record `key`."""
    return LookupError(f"the ledger has no record {key}; open_record comes first")


def _same(value: Any) -> Any:
    return value


_READERS: dict[str, Callable[[Any], Any]] = {
    "started_at": moment_of,
    "ended_at": moment_of,
    "from_colour": Colour,
    "to_colour": Colour,
    "weights": Weights.from_dict,
    "intent": Weights.from_dict,
    "events": lambda events: tuple(Event.from_dict(event) for event in events),
}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, Weights | Event):
        return value.as_dict()
    if isinstance(value, Colour):
        return value.value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
