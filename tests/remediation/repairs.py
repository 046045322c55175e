"""What an alarm has set off, found and followed by its records."""

import json
from datetime import UTC, datetime
from typing import Any

from opskit.ledger import Approval, OperationRecord
from sandbox.operator import Operator
from tests.remediation.calm import records

# Another execution is at it, or it was over when looked at.
IN_PASSING = frozenset({"DUPLICATE", "STALE"})
PATIENCE = 300.0


def now() -> datetime:
    return datetime.now(UTC)


def about(operator: Operator, alarm: str, since: datetime) -> list[OperationRecord]:
    """What is on record about an alarm, from executions that began after a moment, newest first."""
    return [one for one in records(operator) if one.facts.get("alarm") == alarm and one.started_at >= since]


def begun(operator: Operator, alarm: str, since: datetime, seconds: float = PATIENCE) -> OperationRecord:
    """The record of the execution that an alarm has set off."""

    def look() -> list[OperationRecord]:
        return [one for one in about(operator, alarm, since) if one.outcome not in IN_PASSING]

    return operator.until(look, bool, f"{alarm} to set something off", seconds=seconds)[-1]


def closed(operator: Operator, record: OperationRecord, seconds: float = PATIENCE) -> OperationRecord:
    """The same record, once it is closed."""

    def look() -> OperationRecord:
        found = operator.ledger.operation_of("remediate", record.execution_name)
        assert found is not None
        return found

    return operator.until(look, lambda one: one.outcome is not None, f"{record.execution_name} to end", seconds=seconds)


def repaired(operator: Operator, alarm: str, since: datetime) -> OperationRecord:
    """The closed record of what an alarm has set off."""
    return closed(operator, begun(operator, alarm, since))


def announced(record: OperationRecord) -> dict[str, Any]:
    """What the action of a record announced before it changed anything."""
    (facts,) = [event.facts for event in record.events if event.what == "acting"]
    return dict(facts)


def acted(record: OperationRecord) -> bool:
    """Whether anything was changed."""
    return any(event.what == "acting" for event in record.events)


def untouched(record: OperationRecord, outcome: str, *words: str) -> None:
    """It ended with this outcome, for this reason, and changed nothing."""
    assert record.outcome == outcome, (record.outcome, record.outcome_reason)
    for word in words:
        assert word in (record.outcome_reason or ""), record.outcome_reason
    assert not acted(record)


def check(record: OperationRecord, guard: str) -> dict[str, str]:
    """What a guardrail said when the repair was planned: `verdict` and `reason`."""
    (found,) = [one for one in record.facts["checks"] if one["guard"] == guard]
    return dict(found)


def start(operator: Operator, alarm: str) -> str:
    """Ask for a repair, and do not wait."""
    return operator.start(workflow="remediate", alarm=alarm, requested_by="a person")


def recorded(operator: Operator, arn: str) -> OperationRecord:
    """The record of an execution, which may be open."""
    name = arn.rpartition(":")[2]
    found = operator.until(
        lambda: operator.ledger.operation_of("remediate", name), lambda one: one is not None, "a record", seconds=60
    )
    assert found is not None
    return found


def evidence(operator: Operator, record: OperationRecord) -> dict[str, Any]:
    """The body of a record's evidence."""
    assert record.evidence
    bucket = f"{operator.config.name}-evidence-{operator.config.account}"
    return dict(json.loads(operator.read(record.evidence, bucket))["body"])


def asked(operator: Operator, record: OperationRecord) -> Approval:
    """The approval that an execution waits for."""

    def question() -> Approval | None:
        return operator.ledger.approval(record.execution_name)

    found = operator.until(question, lambda approval: approval is not None, "a request for approval", seconds=PATIENCE)
    assert found is not None
    return found


def ask(operator: Operator, alarm: str, **given: Any) -> OperationRecord:
    """Ask for a repair as `ops remediate` does; the closed record."""
    execution = operator.run(workflow="remediate", alarm=alarm, requested_by="a person", seconds=PATIENCE, **given)
    found = operator.ledger.operation_of("remediate", execution.name)
    assert found is not None
    return closed(operator, found)
