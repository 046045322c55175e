"""Executions of the workflows: started, followed, approved."""

import json
import uuid
from dataclasses import dataclass
from typing import Any

from opskit.ledger import Approval
from sandbox.operator.hands import Hands, StillRunningError

ENDED = frozenset({"SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT"})


@dataclass(frozen=True, slots=True)
class Execution:
    """An execution as it stands: its status, what came out, and the states that it entered, in order."""

    arn: str
    status: str
    output: dict[str, Any]
    error: str | None
    cause: str | None
    states: tuple[str, ...]

    @property
    def name(self) -> str:
        """The execution's name."""
        return self.arn.rpartition(":")[2]


class Executions(Hands):
    """Every method is about the release workflow unless another is named."""

    def machine_of(self, workflow: str) -> str:
        """The ARN of a workflow's state machine."""
        return f"arn:aws:states:{self.config.region}:{self.config.account}:stateMachine:{self.config.name}-{workflow}"

    @property
    def machine(self) -> str:
        """The ARN of the release state machine."""
        return self.machine_of("release")

    def start(self, name: str | None = None, *, workflow: str = "release", **given: Any) -> str:
        """Start a workflow with an input; return the execution's ARN."""
        started = self.clients["stepfunctions"].start_execution(
            stateMachineArn=self.machine_of(workflow),
            name=name or f"test-{uuid.uuid4().hex[:12]}",
            input=json.dumps(given),
        )
        return str(started["executionArn"])

    def execution(self, arn: str) -> Execution:
        """Where an execution stands."""
        client = self.clients["stepfunctions"]
        described = client.describe_execution(executionArn=arn)
        pages = client.get_paginator("get_execution_history").paginate(executionArn=arn)
        events = [event for page in pages for event in page["events"]]
        entered = [e["stateEnteredEventDetails"]["name"] for e in events if "stateEnteredEventDetails" in e]
        return Execution(
            arn=arn,
            status=described["status"],
            output=json.loads(described.get("output") or "{}"),
            error=described.get("error"),
            cause=described.get("cause"),
            states=tuple(entered),
        )

    def wait(self, arn: str, seconds: float = 120.0) -> Execution:
        """Wait until an execution has ended."""
        return self.until(lambda: self.execution(arn), lambda e: e.status in ENDED, f"{arn} to end", seconds=seconds)

    def wait_for_state(self, arn: str, state: str, seconds: float = 60.0) -> Execution:
        """Wait until an execution has entered a state; one that ended without it will never do."""
        seen = self.until(
            lambda: self.execution(arn),
            lambda e: state in e.states or e.status in ENDED,
            f"{arn} to enter {state}",
            seconds=seconds,
        )
        if state not in seen.states:
            raise StillRunningError(f"{seen.name} {seen.status} without entering {state}: {seen.cause}")
        return seen

    def run(
        self, name: str | None = None, *, workflow: str = "release", seconds: float = 120.0, **given: Any
    ) -> Execution:
        """Start a workflow and wait until it has ended."""
        return self.wait(self.start(name, workflow=workflow, **given), seconds)

    def running(self, workflow: str = "release") -> list[str]:
        """The ARNs of a workflow's executions that have not ended."""
        client, machine = self.clients["stepfunctions"], self.machine_of(workflow)
        found = client.list_executions(stateMachineArn=machine, statusFilter="RUNNING")["executions"]
        return [str(execution["executionArn"]) for execution in found]

    def invoke(self, step: str, payload: dict[str, Any], workflow: str = "release") -> dict[str, Any]:
        """Call a step of a workflow by the end of its function's name; what it returns."""
        return self.call(f"{workflow}-{step}", payload)

    def approve(self, asked: Approval, by: str = "a person") -> None:
        """Approve, as `ops approve` does."""
        self.ledger.decide(asked.execution_name, "approved", by, "", digest=asked.digest)
        self.answer(asked, {"approved_by": by, "digest": asked.digest})

    def answer(self, asked: Approval, output: dict[str, Any]) -> None:
        """Wake the execution that waits for an approval."""
        self.clients["stepfunctions"].send_task_success(taskToken=asked.task_token, output=json.dumps(output))

    def reject(self, asked: Approval, reason: str) -> None:
        """Reject, as `ops reject` does."""
        self.ledger.decide(asked.execution_name, "rejected", "a person", reason)
        self.clients["stepfunctions"].send_task_failure(
            taskToken=asked.task_token, error="ApprovalRejectedError", cause=reason
        )
