"""What tests ask about an execution, its record and its clients."""

from opskit.ledger import ReleaseRecord
from sandbox.load import Load
from sandbox.operator import Execution, Operator


def states_in_order(execution: Execution, *names: str) -> None:
    """The execution entered these states in this order, whatever it did in between."""
    remaining = iter(execution.states)
    missing = [name for name in names if name not in remaining]
    assert not missing, f"{missing} not in order in {execution.states}"


def closed(operator: Operator, execution: Execution, outcome: str) -> ReleaseRecord:
    """The record of the execution, closed with this outcome."""
    record = operator.ledger.record_of(execution.name)
    assert record is not None
    assert (record.outcome, record.ended_at is not None) == (outcome, True), record.outcome_reason
    return record


def nobody_suffered(load: Load) -> None:
    """End the load: no request failed, and there were enough of them to say so."""
    report = load.stop()
    assert report.failed == 0, (report.failures, report.first_failure_at, report.last_failure_at)
    assert report.requests > 100


def evidence_of(execution: Execution, record: ReleaseRecord, what: str) -> dict[str, object]:
    """The facts of the record's event of that name."""
    found = [event.facts for event in record.events if event.what == what]
    assert found, f"no event {what!r} in the record of {execution.name}"
    return found[-1]
