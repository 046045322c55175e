"""What an execution went through, from its history."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sandbox.operator import Execution, Operator


@dataclass(frozen=True, slots=True)
class Passage:
    """One state of an execution: when it was entered and left, in seconds since the execution began."""

    name: str
    entered: float
    left: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.left - self.entered


def passages(operator: Operator, arn: str) -> list[Passage]:
    """The states that an execution went through."""
    pages = operator.clients["stepfunctions"].get_paginator("get_execution_history").paginate(executionArn=arn)
    began: datetime | None = None
    entered: dict[str, float] = {}
    found = []
    for event in (event for page in pages for event in page["events"]):
        began = began or event["timestamp"]
        at = (event["timestamp"] - began).total_seconds()
        if "stateEnteredEventDetails" in event:
            entered[event["stateEnteredEventDetails"]["name"]] = at
        elif "stateExitedEventDetails" in event:
            name = event["stateExitedEventDetails"]["name"]
            found.append(Passage(name, entered[name], at))
    return found


def last(path: Sequence[Passage], name: str) -> Passage:
    """The last time that an execution went through the state `name`; raises LookupError if it never did."""
    found = [passage for passage in path if passage.name == name]
    if not found:
        raise LookupError(f"the execution was never in {name}")
    return found[-1]


def seconds_in(path: Sequence[Passage], name: str) -> float:
    """Seconds in the state `name`, all times together."""
    return sum(passage.seconds for passage in path if passage.name == name)


def expect(execution: Execution, status: str) -> Execution:
    """The execution, if it ended as it should."""
    if execution.status != status:
        raise SystemExit(f"{execution.name} ended {execution.status}, expected {status}: {execution.cause}")
    return execution
