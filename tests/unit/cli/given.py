"""What tests of `ops` set up: states of a state machine, records, weights."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import boto3

from opskit.ledger import Ledger, OperationRecord, ReleaseRecord

REGION = "eu-west-1"
ROLE = "arn:aws:iam::123456789012:role/machine"
NAME = "shop-test"
ENDPOINTS = {"database": "shop-test.db.example:5432", "cache": "shop-test.cache.example:6379"}


def task(output: Any, following: str) -> dict[str, Any]:
    """A Task state that does something real and answers `output`."""
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::dynamodb:getItem",
        "Arguments": {"TableName": f"{NAME}-ledger", "Key": {"pk": {"S": "x"}, "sk": {"S": "x"}}},
        "Output": output,
        "Next": following,
    }


def succeed(**output: Any) -> dict[str, Any]:
    return {"Type": "Succeed", "Output": output}


def fail(error: str, cause: str) -> dict[str, Any]:
    return {"Type": "Fail", "Error": error, "Cause": cause}


# Long enough that a test always finds the execution running, which ends with the test's moto.
FOREVER = {"Type": "Wait", "Seconds": 600, "End": True}


def record(name: str, arn: str, **changes: Any) -> ReleaseRecord:
    values: dict[str, Any] = {
        "execution_id": arn,
        "execution_name": name,
        "operation": "release",
        "started_at": datetime.now(UTC),
        "image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop@sha256:" + "a" * 64,
    }
    return ReleaseRecord(**(values | changes))


def shift(platform: Mapping[str, str], *, blue: int, green: int) -> None:
    """Change the weights as a person at the console would."""
    groups = {colour: platform[f"target_group_{colour}_arn"] for colour in ("blue", "green")}
    boto3.client("elbv2", region_name=REGION).modify_listener(
        ListenerArn=platform["listener_arn"], DefaultActions=[forward(groups, blue=blue, green=green)]
    )


def forward(groups: Mapping[str, str], **weights: int) -> Any:
    return {
        "Type": "forward",
        "ForwardConfig": {
            "TargetGroups": [{"TargetGroupArn": groups[c], "Weight": w} for c, w in weights.items()],
        },
    }


def repair(
    ledger: Ledger,
    name: str,
    outcome: str | None = "RESOLVED",
    *,
    acted: bool = True,
    evidence: str | None = None,
    **changes: Any,
) -> OperationRecord:
    """The record of a remediation that ended sessions, if it `acted`; `changes` are its facts'."""
    made = OperationRecord("remediate", f"arn:{name}", name, datetime.now(UTC), facts={"alarm": "database-connections"})
    ledger.open_operation(made)
    if acted:
        ledger.note(made.key, "acting", {"action": "end_sessions"})
    facts: dict[str, Any] = {
        "alarm": "database-connections",
        "action": "end_sessions",
        "acted": acted,
        "done": "70 of 160 sessions of app were ended" if acted else None,
        "seconds": {"alarm_to_action": 61.5, "action_to_ok": 100.0},
        "checks": [{"guard": "switch", "verdict": "ACT", "reason": "not paused"}],
    }
    if outcome:
        ledger.close_operation(made.key, outcome, f"because of {name}", facts=facts | changes, evidence=evidence)
    return made
