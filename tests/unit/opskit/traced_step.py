"""Runs a step once, in a process of its own, and prints what X-Ray would be sent of it."""

import json
import os
import sys
from dataclasses import dataclass
from typing import Any

from opskit.step import Run, step


@dataclass
class Context:
    aws_request_id: str = "request-1"
    invoked_function_arn: str = "arn:aws:lambda:eu-west-1:1:function:shift-traffic"


def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    return {}


handler.__module__ = "shift_traffic"


def main() -> None:
    for name in ("OPS_SERVICE", "OPS_ENVIRONMENT", "LEDGER_TABLE", "EVIDENCE_BUCKET", "TOPIC_ARN"):
        os.environ[name] = "shop"
    sent: list[str] = []
    if "Sampled=1" in os.environ["_X_AMZN_TRACE_ID"] and "POWERTOOLS_TRACE_DISABLED" not in os.environ:
        from aws_xray_sdk.core import xray_recorder

        xray_recorder.emitter.send_entity = lambda entity: sent.append(entity.name)
    step(handler)({"execution": {"id": "id", "name": "first", "start_time": "2026-11-23T12:00:00Z"}}, Context())
    print(json.dumps({"loaded": "aws_xray_sdk" in sys.modules, "subsegments": sent}))  # noqa: T201 - the answer


main()
