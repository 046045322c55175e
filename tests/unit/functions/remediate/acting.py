"""What a step that acts gets: a plan, the resource's lock, an open record."""

from dataclasses import replace
from typing import Any

from opskit.ledger import OperationRecord
from opskit.platform import Platform
from opskit.step import Execution, Run
from tests.unit.functions.conftest import START

ARN = "arn:aws:states:us-east-1:000000000000:execution:detection-api-dev-remediate:m1"


def remediation(run: Run, platform: Platform) -> Run:
    """`run`, as one of the remediation's."""
    return replace(run, execution=Execution(ARN, "m1", START), workflow="remediate", load_platform=lambda: platform)


def acting(run: Run, resource_arn: str, **bounds: Any) -> dict[str, Any]:
    """The event of an action, with the lock held and the record open."""
    lock = run.ledger.acquire(run.execution.id, "a repair", 60, name="remedy:resource")
    run.ledger.open_operation(
        OperationRecord(workflow="remediate", execution_id=ARN, execution_name="m1", started_at=START)
    )
    return {
        "settings": {"lease_seconds": 60},
        "alarm": {},
        "runbook": {},
        "plan": {"bounds": bounds, "resource_arn": resource_arn},
        "lock": lock.as_dict(),
    }


def announced(run: Run) -> list[dict[str, Any]]:
    """The facts of each announcement in the execution's record."""
    record = run.ledger.operation_of("remediate", "m1")
    return [event.facts for event in record.events if event.what == "acting"] if record else []
