"""One execution's status and history."""

import json
import threading
from datetime import datetime
from typing import Any

from ministack.core.responses import now_iso
from ministack.services import stepfunctions

from sandbox.automation.endpoints import put_event
from sandbox.automation.states.lifetime import Abandoned, Lifetime

REDRIVABLE = ("FAILED", "TIMED_OUT", "ABORTED")
"""https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html"""


NOT_OF_EXPRESS = "Invalid Arn: 'Resource type not valid in this context: express'"
"""What AWS says of the ARN of an express execution where only a standard one will do."""


def _milliseconds(stamp: str | None) -> int | None:
    return None if stamp is None else int(datetime.fromisoformat(stamp).timestamp() * 1000)


def is_express(execution: dict[str, Any]) -> bool:
    """Whether it is of a state machine of the type EXPRESS."""
    machine = stepfunctions._state_machines.get(execution["stateMachineArn"])
    return machine is not None and machine["type"] == "EXPRESS"


def publish_status(execution: dict[str, Any]) -> None:
    """Put "Step Functions Execution Status Change" on the default bus.

    https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html: standard workflows
    only; `output` is null unless the execution succeeded.
    """
    if execution.get("sync") or is_express(execution):
        return
    status = execution["status"]
    succeeded = status == "SUCCEEDED"
    detail = {
        **{name: execution[name] for name in ("executionArn", "stateMachineArn", "name", "status", "input")},
        "startDate": _milliseconds(execution["startDate"]),
        "stopDate": _milliseconds(execution["stopDate"]),
        "inputDetails": {"included": True},
        "output": execution["output"] if succeeded else None,
        "outputDetails": {"included": True} if succeeded else None,
        "stateMachineVersionArn": None,
        "stateMachineAliasArn": None,
        "redriveCount": 0,
        "redriveDate": None,
        "redriveStatus": "REDRIVABLE" if status in REDRIVABLE else "NOT_REDRIVABLE",
        "redriveStatusReason": None if status in REDRIVABLE else f"Execution is {status} and cannot be redriven",
        "error": execution.get("error"),
        "cause": execution.get("cause"),
    }
    put_event("aws.states", "Step Functions Execution Status Change", detail, [execution["executionArn"]])


class Record:
    """Guards the dictionary that ministack keeps of an execution: it ends once, and nothing follows its end."""

    def __init__(self, execution: dict[str, Any]) -> None:
        self.execution = execution
        self.lifetime = Lifetime()
        self._lock = threading.Lock()

    def _append(self, kind: str, previous: int, details: dict[str, Any]) -> int:
        events = self.execution["events"]
        identifier = len(events) + 1
        events.append(
            {
                "id": identifier,
                "previousEventId": previous,
                "type": kind,
                "timestamp": now_iso(),
                **details,
            }
        )
        return identifier

    def add(self, kind: str, previous: int, details: dict[str, Any]) -> int:
        """Append a history event after the event `previous` and return its id; raises `Abandoned`."""
        with self._lock:
            if self.execution["status"] != "RUNNING":
                raise Abandoned
            return self._append(kind, previous, details)

    def finish(
        self,
        status: str,
        *,
        previous: int | None = None,
        output: str | None = None,
        error: str | None = None,
        cause: str | None = None,
    ) -> bool:
        """End the execution with `status`, its last history event and its status event.

        False, and nothing done, when it had already ended.
        """
        name = {
            "SUCCEEDED": "ExecutionSucceeded",
            "FAILED": "ExecutionFailed",
            "TIMED_OUT": "ExecutionTimedOut",
            "ABORTED": "ExecutionAborted",
        }[status]
        details = {"output": output} if status == "SUCCEEDED" else {"error": error, "cause": cause}
        known = {key: value for key, value in details.items() if value is not None}
        with self._lock:
            if self.execution["status"] != "RUNNING":
                return False
            after = len(self.execution["events"]) if previous is None else previous
            self._append(name, after, {f"{name[0].lower()}{name[1:]}EventDetails": known})
            self.execution.update(stopDate=now_iso(), output=output, error=error, cause=cause)
            self.execution["status"] = status
        self.lifetime.end()
        publish_status(self.execution)
        return True


_records: dict[str, Record] = {}
_records_lock = threading.Lock()


def record_of(execution: dict[str, Any]) -> Record:
    """The one record of an execution."""
    with _records_lock:
        record = _records.get(execution["executionArn"])
        if record is None or record.execution is not execution:
            record = _records[execution["executionArn"]] = Record(execution)
        return record


def as_json(value: Any) -> str:
    """Compact JSON, as Step Functions writes inputs and outputs."""
    return json.dumps(value, separators=(",", ":"))
