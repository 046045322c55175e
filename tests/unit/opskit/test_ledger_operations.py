"""Operation records, and locks that have a name."""

from datetime import UTC, datetime

import pytest

from opskit.errors import LockHeldError, LockLostError
from opskit.ledger import Ledger, OperationRecord

START = datetime(2026, 11, 23, 9, tzinfo=UTC)


def record(name: str = "run-1") -> OperationRecord:
    return OperationRecord("drill", f"arn:{name}", name, START, requested_by="ann", facts={"drill": "abc"})


def test_a_record_is_opened_noted_and_closed_once(ledger: Ledger) -> None:
    ledger.open_operation(record())
    ledger.open_operation(record())
    ledger.note(record().key, "created", {"name": "drill-abc-db"})
    assert ledger.close_operation(record().key, "PASS", "all checks passed", facts={"rpo": 1.5}, evidence="evidence/1")
    assert not ledger.close_operation(record().key, "FAIL", "too late")
    found = ledger.operation_of("drill", "run-1")
    assert found is not None
    assert (found.outcome, found.outcome_reason, found.facts, found.evidence) == (
        "PASS",
        "all checks passed",
        {"rpo": 1.5},
        "evidence/1",
    )
    assert [event.what for event in found.events] == ["created"]
    assert OperationRecord.from_dict(found.as_dict()) == found
    assert ledger.operations("drill") == [found]
    assert ledger.operations("restore") == []
    assert ledger.operation_of("restore", "run-1") is None


def test_a_note_under_a_lock_needs_the_lock(ledger: Ledger) -> None:
    ledger.open_operation(record())
    lock = ledger.acquire("one", "restore", 60)
    ledger.note(record().key, "cutting over", lock=lock)
    ledger.seize("one", "two", "repair", 60)
    with pytest.raises(LockLostError):
        ledger.note(record().key, "cutting over", lock=lock)
    found = ledger.operation_of("drill", "run-1")
    assert found is not None
    assert len(found.events) == 1


def test_a_record_that_is_not_there(ledger: Ledger) -> None:
    with pytest.raises(LookupError):
        ledger.note(record().key, "created")
    with pytest.raises(LookupError):
        ledger.close_operation(record().key, "PASS", "")


def test_locks_of_different_names_are_apart(ledger: Ledger) -> None:
    service = ledger.acquire("one", "release", 60)
    hour = ledger.acquire("two", "snapshot", 60, name="snapshot")
    assert (service.name, hour.name) == ("", "snapshot")
    with pytest.raises(LockHeldError):
        ledger.acquire("three", "snapshot", 60, name="snapshot")
    ledger.hold(hour, 60)
    assert ledger.release(hour)
    assert ledger.holder("snapshot") is None
    held = ledger.holder()
    assert held is not None
    assert held.owner == "one"
