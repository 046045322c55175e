"""Builds histories in the shape of GetExecutionHistory: ids from 1, `previousEventId` along each branch.

https://docs.aws.amazon.com/step-functions/latest/apireference/API_HistoryEvent.html
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


class Story:
    """Events of one execution; each method appends, `after` moves the clock by seconds first."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.now = START
        self.add("ExecutionStarted", executionStartedEventDetails={"input": "{}", "roleArn": "arn:aws:iam::1:role/r"})

    def add(self, kind: str, *, after: float = 0.0, previous: int | None = None, **details: Any) -> int:
        self.now += timedelta(seconds=after)
        number = len(self.events) + 1
        previous = number - 1 if previous is None else previous
        event = {"id": number, "previousEventId": previous, "timestamp": self.now, "type": kind}
        self.events.append(event | details)
        return number

    def enter(self, kind: str, name: str, *, data: Any = None, **where: Any) -> int:
        details = {"name": name, "input": json.dumps(data or {})}
        return self.add(f"{kind}StateEntered", stateEnteredEventDetails=details, **where)

    def exit(self, kind: str, name: str, *, data: Any = None, **where: Any) -> int:
        details = {"name": name, "output": json.dumps(data or {})}
        return self.add(f"{kind}StateExited", stateExitedEventDetails=details, **where)

    def scheduled(self, resource: str = "invoke", **where: Any) -> int:
        details = {"resourceType": "lambda", "resource": resource, "region": "us-east-1", "parameters": "{}"}
        return self.add("TaskScheduled", taskScheduledEventDetails=details, **where)

    def succeeded(self, answer: Any, **where: Any) -> int:
        details = {"resourceType": "lambda", "resource": "invoke"}
        output = json.dumps({"ExecutedVersion": "$LATEST", "Payload": answer, "StatusCode": 200})
        return self.add("TaskSucceeded", taskSucceededEventDetails=details | {"output": output}, **where)

    def failed(self, error: str, message: str, **where: Any) -> int:
        cause = json.dumps({"errorMessage": message, "errorType": error, "stackTrace": []})
        details = {"resourceType": "lambda", "resource": "invoke", "error": error, "cause": cause}
        return self.add("TaskFailed", taskFailedEventDetails=details, **where)

    def task(self, name: str, answer: Any = None, *, seconds: float = 1.0, data: Any = None) -> None:
        """A Task that calls a function once, with success."""
        self.enter("Task", name, data=data)
        self.scheduled()
        self.succeeded(answer if answer is not None else {}, after=seconds)
        self.exit("Task", name, data=data)

    def wait(self, name: str, seconds: float) -> None:
        self.enter("Wait", name)
        self.exit("Wait", name, after=seconds)

    def choice(self, name: str) -> None:
        self.enter("Choice", name)
        self.exit("Choice", name)


def verdict(outcome: str, reason: str) -> dict[str, Any]:
    return {"outcome": outcome, "reason": reason, "facts": {}}
