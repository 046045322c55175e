"""Executions of the workflows: start, find, stop, read. Step Functions' API and nothing else."""

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cli.exits import ExitCode, Failure, exit_code_of, exit_code_of_outcome
from cli.history_events import plain_cause
from cli.remedies import would_be_left
from cli.session import Session
from cli.workflows import OPERATIONS, Workflow, is_ours, named_by_us, operation_of, workflow_of


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution, as DescribeExecution tells it; `output` is parsed, `cause` is a sentence."""

    arn: str
    name: str
    status: str
    started: datetime
    stopped: datetime | None
    input: dict[str, Any]
    output: Any
    error: str
    cause: str

    @property
    def running(self) -> bool:
        """Whether it is still under way (PENDING_REDRIVE counts as stopped)."""
        return self.status == "RUNNING"

    @property
    def workflow(self) -> Workflow:
        """Which state machine's it is."""
        return workflow_of(self.arn)

    @property
    def operation(self) -> str:
        """What it does, in a word or two: `release`, `rollback`, `snapshot`, ..."""
        return operation_of(self.workflow, self.input)

    @property
    def outcome(self) -> str:
        """What the state machine says of itself when it succeeded, else the execution's status."""
        told = self.output.get("outcome") if isinstance(self.output, dict) else None
        return str(told) if self.status == "SUCCEEDED" and told else self.status

    @property
    def reason(self) -> str:
        """Why it ended as it did, in a sentence, where anyone said so."""
        if self.status == "SUCCEEDED":
            return str(self.output.get("reason") or "") if isinstance(self.output, dict) else ""
        return self.cause or self.error

    @property
    def plan(self) -> dict[str, Any] | None:
        """What a dry run planned; None for anything else."""
        if self.outcome != "PLANNED" or not isinstance(self.output, dict):
            return None
        # All that a remediation reports is its plan.
        plan = self.output if self.workflow is Workflow.REMEDIATE else self.output.get("plan")
        return plan if isinstance(plan, dict) else None

    @property
    def would_be_refused(self) -> bool:
        """Whether this is a dry run of what would be refused, or left to people."""
        return self.plan is not None and (
            self.plan.get("decision") == "REFUSE" or (self.workflow is Workflow.REMEDIATE and would_be_left(self.plan))
        )

    @property
    def exit_code(self) -> ExitCode:
        """What a command that waited for this execution exits with; a dry run as the real one would."""
        if self.status == "SUCCEEDED":
            return ExitCode.REFUSED if self.would_be_refused else exit_code_of_outcome(self.outcome)
        return exit_code_of(self.error) if self.status == "FAILED" else ExitCode.FAILED

    def as_dict(self) -> dict[str, Any]:
        """The `--json` form."""
        end = self.stopped or datetime.now(UTC)
        return {
            "execution": self.name,
            "execution_arn": self.arn,
            "workflow": self.workflow.value,
            "operation": self.operation,
            "status": self.status,
            "outcome": self.outcome,
            "reason": self.reason,
            "error": self.error or None,
            "started_at": self.started,
            "stopped_at": self.stopped,
            "seconds": round((end - self.started).total_seconds(), 1),
            "input": self.input,
            "output": self.output,
        }


def new_name(operation: str) -> str:
    """A name for an execution: operation (one word), UTC time, four random bytes; sorts by time."""
    return f"{operation}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"


def start(session: Session, workflow: Workflow, request: Mapping[str, Any], name: str) -> tuple[Execution, bool]:
    """Start an execution of `workflow` with `request` as its input; (execution, whether it is a new one).

    The same name with the same request finds the execution that is there already, running or ended.

    Raises:
        Failure: the name is taken by an execution with another request.
    """
    client = session.client("stepfunctions")
    try:
        answer = client.start_execution(
            stateMachineArn=session.machine_arn(workflow), name=name, input=json.dumps(request, ensure_ascii=False)
        )
    except client.exceptions.ExecutionAlreadyExists:
        found = describe(session, session.execution_arn(workflow, name))
        if _asked(found.input) != _asked(request):
            raise Failure(
                ExitCode.USAGE,
                "ExecutionAlreadyExists",
                f"there is an execution named {name} already, with another request ({found.status}, started "
                f"{found.started:%Y-%m-%d %H:%M:%S %Z}): choose another --name",
            ) from None
        return found, False
    return describe(session, answer["executionArn"]), True


def _asked(request: Mapping[str, Any]) -> dict[str, Any]:
    # Who asks differs between two deliveries of one request: a role's session name changes.
    return {key: value for key, value in request.items() if key != "requested_by"}


def describe(session: Session, arn: str) -> Execution:
    """One execution by its ARN; botocore's ExecutionDoesNotExist where there is none."""
    told = session.client("stepfunctions").describe_execution(executionArn=arn)
    return Execution(
        arn=told["executionArn"],
        name=told.get("name") or told["executionArn"].rpartition(":")[2],
        status=told["status"],
        started=told["startDate"],
        stopped=told.get("stopDate"),
        input=_object(told.get("input")),
        output=_value(told.get("output")),
        error=told.get("error") or "",
        cause=plain_cause(told.get("cause") or ""),
    )


def find(session: Session, name_or_arn: str) -> Execution | None:
    """An execution of any workflow by its ARN or its name, or None where we have no such execution.

    Raises Failure where several workflows have an execution of that name.
    """
    if name_or_arn.startswith("arn:"):
        arns = [name_or_arn] if is_ours(name_or_arn) else []
    else:
        named = named_by_us(name_or_arn)
        arns = [session.execution_arn(workflow, name_or_arn) for workflow in ((named,) if named else OPERATIONS)]
    found = [execution for arn in arns if (execution := _described(session, arn))]
    if len(found) > 1:
        raise Failure(
            ExitCode.USAGE,
            "Ambiguous",
            f"several workflows have an execution {name_or_arn}: {', '.join(e.arn for e in found)}; give its ARN",
        )
    return found[0] if found else None


def locate(session: Session, name_or_arn: str) -> Execution:
    """`find`, or Failure where there is no such execution."""
    execution = find(session, name_or_arn)
    if execution is None:
        raise Failure(
            ExitCode.UNREACHABLE,
            "ExecutionNotFound",
            f"there is no execution {name_or_arn}; `ops history` lists the recorded ones",
        )
    return execution


def _described(session: Session, arn: str) -> Execution | None:
    client = session.client("stepfunctions")
    try:
        return describe(session, arn)
    except (client.exceptions.ExecutionDoesNotExist, client.exceptions.InvalidArn):
        return None


def running(session: Session, workflows: Iterable[Workflow] = OPERATIONS) -> list[str]:
    """ARNs of the executions of `workflows` under way, newest first.

    A state machine that an older stack has not runs nothing; botocore's StateMachineDoesNotExist if there is none of
    them.
    """
    client = session.client("stepfunctions")
    found: list[tuple[datetime, str]] = []
    missing: list[Exception] = []
    asked = tuple(workflows)
    for workflow in asked:
        pages = client.get_paginator("list_executions").paginate(
            stateMachineArn=session.machine_arn(workflow), statusFilter="RUNNING"
        )
        try:
            found += [(run["startDate"], run["executionArn"]) for page in pages for run in page["executions"]]
        except client.exceptions.StateMachineDoesNotExist as error:
            missing.append(error)
    if len(missing) == len(asked):
        raise missing[0]
    return [arn for _, arn in sorted(found, reverse=True)]


def stop(session: Session, execution: Execution, cause: str) -> None:
    """Stop `execution`; nothing happens if it has ended meanwhile."""
    client = session.client("stepfunctions")
    try:
        # Longer ones are refused: https://docs.aws.amazon.com/step-functions/latest/apireference/API_StopExecution.html
        client.stop_execution(executionArn=execution.arn, error="AbortedByOperator", cause=cause[:32768])
    except client.exceptions.ClientError:
        # The API tells an execution that has ended from other faults only by the words of its message.
        if describe(session, execution.arn).running:
            raise


class History:
    """Reads an execution's events incrementally: each call returns those that are new, in order."""

    def __init__(self, session: Session, arn: str) -> None:
        self._client = session.client("stepfunctions")
        self._arn = arn
        self._last = 0

    def new_events(self) -> list[Mapping[str, Any]]:
        """Events since the last call.

        Read newest first, so that a call costs as much as there is news: the token of a forward listing's
        last page cannot be kept, because it may pin the length that the history had.
        """
        events: dict[int, Mapping[str, Any]] = {}
        pages = self._client.get_paginator("get_execution_history").paginate(
            executionArn=self._arn, reverseOrder=True, PaginationConfig={"PageSize": 100}
        )
        for page in pages:
            events |= {event["id"]: event for event in page["events"] if event["id"] > self._last}
            if any(event["id"] <= self._last for event in page["events"]):
                break
        fresh = []
        # A gap means that the listing has not caught up yet: what lies behind it is read next time.
        while self._last + 1 in events:
            self._last += 1
            fresh.append(events[self._last])
        return fresh


def _object(text: str | None) -> dict[str, Any]:
    value = _value(text)
    return value if isinstance(value, dict) else {}


def _value(text: str | None) -> Any:
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text
