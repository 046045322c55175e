"""The workflows that `ops` knows, and how their executions are named."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Workflow(StrEnum):
    """One state machine each, named `<service>-<environment>-<workflow>`."""

    RELEASE = "release"
    SNAPSHOT = "snapshot"
    RESTORE = "restore"
    DRILL = "drill"
    OBJECTIVES = "objectives"
    REMEDIATE = "remediate"


# What a person starts, watches and stops. The objectives' executions are express ones, which AWS does not let anyone
# describe or stop: https://docs.aws.amazon.com/step-functions/latest/dg/choosing-workflow-type.html
OPERATIONS = (Workflow.RELEASE, Workflow.SNAPSHOT, Workflow.RESTORE, Workflow.DRILL, Workflow.REMEDIATE)
# What the ledger has an operation record of; releases have their own kind.
RECORDED = (Workflow.SNAPSHOT, Workflow.RESTORE, Workflow.DRILL, Workflow.REMEDIATE)
# What needs to be put in order when it is stopped: the rule on status changes does that, and it is waited for.
CHANGING = (Workflow.RELEASE, Workflow.RESTORE, Workflow.REMEDIATE)
# What may ask a person for a decision.
ASKING = (Workflow.RELEASE, Workflow.RESTORE, Workflow.REMEDIATE)

_ARN = re.compile(
    rf"arn:[^:]+:states:[^:]+:[^:]+:(?:execution|stateMachine):[^:]+-(?P<workflow>{'|'.join(OPERATIONS)})(?::|$)"
)
_GENERATED = re.compile(r"(?P<operation>[a-z]+)-[0-9]{8}T[0-9]{6}-[0-9a-f]{8}")


def workflow_of(arn: str) -> Workflow:
    """The workflow of a state machine or an execution, by its ARN; ValueError if it is none of ours."""
    found = _ARN.match(arn)
    if found is None:
        raise ValueError(f"{arn} is not the ARN of an execution of {', '.join(OPERATIONS)}")
    return Workflow(found["workflow"])


def is_ours(arn: str) -> bool:
    """Whether it is the ARN of a state machine or an execution of one of the workflows."""
    return _ARN.match(arn) is not None


def named_by_us(name: str) -> Workflow | None:
    """The workflow of an execution whose name `ops` generated; None for any other name."""
    found = _GENERATED.fullmatch(name)
    if found is None:
        return None
    operation = found["operation"]
    if operation == "rollback":
        return Workflow.RELEASE
    return Workflow(operation) if operation in OPERATIONS else None


def operation_of(workflow: Workflow, request: Mapping[str, Any]) -> str:
    """What an execution with this input does, in a word or two: `rollback`, `restore`, `undo of a restore`, ..."""
    if workflow is Workflow.RELEASE:
        return str(request.get("operation", "release"))
    if workflow is Workflow.RESTORE and request.get("undo"):
        return "undo of a restore"
    return workflow.value
