"""The history of everything but releases: snapshot runs, restores, drills. One record each, kept for good."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from opskit.clock import moment_of, timestamp
from opskit.errors import LockLostError
from opskit.ledger.lock import Lock, Locks
from opskit.ledger.records import Event, missing
from opskit.ledger.table import Change, Write

_MOST_EVENTS = 100


@dataclass(frozen=True, slots=True)
class OperationRecord:
    """What an execution of `workflow` was to do, did, and came to; `outcome` is None while it runs.

    `facts` are the workflow's own, JSON-ready. Events beyond 100 are counted, not kept.
    """

    workflow: str
    execution_id: str
    execution_name: str
    started_at: datetime
    requested_by: str | None = None
    reason: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    ended_at: datetime | None = None
    outcome: str | None = None
    outcome_reason: str | None = None
    evidence: str | None = None
    events: tuple[Event, ...] = ()
    events_dropped: int = 0

    @property
    def key(self) -> str:
        """The record's sort key; the order of keys is the order of starts."""
        return self.key_of(self.workflow, self.started_at, self.execution_name)

    @staticmethod
    def key_of(workflow: str, started_at: datetime, execution_name: str) -> str:
        """The sort key of an execution's record."""
        return f"OPERATION#{workflow}#{timestamp(started_at)}#{execution_name}"

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; moments as `opskit.clock.timestamp` writes them."""
        return {
            "workflow": self.workflow,
            "execution_id": self.execution_id,
            "execution_name": self.execution_name,
            "started_at": timestamp(self.started_at),
            "requested_by": self.requested_by,
            "reason": self.reason,
            "facts": self.facts,
            "ended_at": timestamp(self.ended_at) if self.ended_at else None,
            "outcome": self.outcome,
            "outcome_reason": self.outcome_reason,
            "evidence": self.evidence,
            "events": [event.as_dict() for event in self.events],
            "events_dropped": self.events_dropped,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`; absent fields take their defaults."""
        given = {name: data[name] for name in cls.__dataclass_fields__ if data.get(name) is not None}
        for name in ("started_at", "ended_at"):
            if name in given:
                given[name] = moment_of(given[name])
        given["events"] = tuple(Event.from_dict(event) for event in given.get("events", ()))
        return cls(**given)


class Operations(Locks):
    """Reads and writes of operation records."""

    def open_operation(self, record: OperationRecord) -> None:
        """Begin a record. Safe to repeat: one that exists is left as it is. Atomic, with the entry that finds it."""
        self._table.transact(
            [
                Write(record.key, record.as_dict(), {"sk": None}),
                Write(_pointer(record.workflow, record.execution_name), {"record": record.key}, {}),
            ]
        )

    def note(self, key: str, what: str, facts: Mapping[str, Any] | None = None, *, lock: Lock | None = None) -> None:
        """Append the event `what`, which happens now, to the record `key`.

        With `lock` only while that is held, in one transaction: what is announced so before each change is known to
        whoever takes the lock over. Raises LockLostError, or LookupError if there is no such record.
        """
        entry = Event(self._clock.now(), what, dict(facts or {})).as_dict()
        if lock is None:
            if not self._appended(key, entry):
                raise missing(key)
            return
        failed = self._table.transact(
            [Write(lock.sk, None, lock.condition()), Change(key, {"sk": key}, {}, {"events": [entry]})]
        )
        if 0 in failed:
            raise LockLostError(self.lost(lock))
        if failed:
            raise missing(key)

    def close_operation(
        self,
        key: str,
        outcome: str,
        reason: str,
        *,
        facts: Mapping[str, Any] | None = None,
        evidence: str | None = None,
    ) -> bool:
        """End the record with its outcome; `facts`, if given, replace those it has. The first to close it wins.

        True if that is this call. Safe to repeat. Raises LookupError if there is no such record.
        """
        changes: dict[str, Any] = {
            "outcome": outcome,
            "outcome_reason": reason,
            "ended_at": timestamp(self._clock.now()),
        }
        if facts is not None:
            changes["facts"] = dict(facts)
        if evidence is not None:
            changes["evidence"] = evidence
        if self._table.update(key, {"sk": key, "outcome": None}, changes=changes):
            return True
        if self._table.get(key) is None:
            raise missing(key)
        return False

    def operations(self, workflow: str, limit: int = 20) -> list[OperationRecord]:
        """The last `limit` records of `workflow`, newest first."""
        found = self._table.newest(f"OPERATION#{workflow}#", limit)
        return [OperationRecord.from_dict(item) for item in found]

    def started_by(self, workflow: str, scheduled_at: str, *, other_than: str, limit: int = 10) -> str | None:
        """The name of the execution that a former delivery of the same scheduled event started, if there was one.

        Looked for among the last `limit` records; `other_than` is the ARN of the execution that asks.
        """
        for record in self.operations(workflow, limit):
            if record.facts.get("scheduled_at") == scheduled_at and record.execution_id != other_than:
                return record.execution_name
        return None

    def operation_of(self, workflow: str, execution_name: str) -> OperationRecord | None:
        """The record of an execution (the latest, should a name come again after its 90 days), or None."""
        pointer = self._table.get(_pointer(workflow, execution_name))
        item = self._table.get(pointer["record"]) if pointer else None
        return OperationRecord.from_dict(item) if item else None

    def _appended(self, key: str, entry: dict[str, Any]) -> bool:
        return self._table.update(
            key, {"sk": key}, append={"events": [entry]}, shorter={"events": _MOST_EVENTS}
        ) or self._table.update(key, {"sk": key}, add={"events_dropped": 1})


def _pointer(workflow: str, execution_name: str) -> str:
    return f"EXECUTION#{workflow}#{execution_name}"
