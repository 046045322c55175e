"""The chapter about an alarm that repairs what it is about."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from opskit.clock import moment_of
from opskit.ledger import OperationRecord
from opskit.traffic import Colour
from sandbox.demo.stage import Stage

PATIENCE = 60.0


def frozen_pod(stage: Stage) -> Mapping[str, Any]:
    """A pod takes connections and never answers; its alarm has it replaced, within the disruption budget."""
    operator = stage.operator
    colour = operator.weights().whole or Colour.GREEN
    alarm, pods = f"alb-unhealthy-hosts-{colour}", _pods(stage, colour)
    operator.wait_for_alarm(alarm, "OK", PATIENCE)
    with stage.watching() as watched:
        caused_at = datetime.now(UTC)
        with _repairing(stage, alarm), operator.freeze_pod(colour) as frozen:
            stage.say(f"{frozen} is stopped by a signal: it takes connections and never answers")
            found = operator.wait_for_alarm(alarm, seconds=PATIENCE)
            stage.say(f"the alarm fires: {found['AlarmDescription']}")
            record = _closed(stage, alarm, caused_at)
        stage.expect(
            record.outcome == "RESOLVED", f"{record.facts.get('done')}; the alarm is OK", record.outcome_reason
        )
        left = operator.until(
            lambda: _pods(stage, colour),
            lambda names: frozen not in names and len(names) == len(pods),
            "another pod in its place",
            seconds=PATIENCE,
        )
        stage.expect(pods - left == {frozen}, "another pod is in its place, and no other was touched", left)
        seen = watched()
    shown = stage.ops("remediations", "show", record.execution_name)
    judged = len(shown["facts"]["checks"])
    stage.expect(not shown["problem"], f"on record with {judged} guardrails that were judged, and with evidence", shown)
    took = record.facts["seconds"]
    return {
        "cause_to_alarm_seconds": max(
            0.0, round((moment_of(record.facts["alarm_since"]) - caused_at).total_seconds(), 1)
        ),
        "alarm_to_action_seconds": round(took["alarm_to_action"], 1),
        "action_to_ok_seconds": round(took["action_to_ok"], 1),
        "requests": seen.requests,
        "failed_while_it_hung": seen.failed,
    }


def _pods(stage: Stage, colour: Colour) -> set[str]:
    return {str(pod["metadata"]["name"]) for pod in stage.operator.pods(colour)}


def _closed(stage: Stage, alarm: str, since: datetime) -> OperationRecord:
    """The closed record of what the alarm has set off."""

    def look() -> OperationRecord | None:
        for record in stage.operator.ledger.operations("remediate"):
            if record.started_at >= since and record.facts.get("alarm") == alarm and record.outcome != "DUPLICATE":
                return record if record.outcome else None
        return None

    found = stage.operator.until(look, lambda record: record is not None, "the repair to end", seconds=PATIENCE)
    assert found is not None  # noqa: S101 - as waited for
    return found


@contextmanager
def _repairing(stage: Stage, alarm: str) -> Iterator[None]:
    """Meanwhile this alarm, and no other, starts its runbook: other chapters provoke alarms to stop releases."""
    events, name = stage.operator.clients["events"], f"{stage.config.name}-alarm-fired"
    usual = events.describe_rule(Name=name)
    pattern = json.loads(usual["EventPattern"]) | {"resources": [stage.operator.alarm_arn(alarm)]}
    events.put_rule(Name=name, EventPattern=json.dumps(pattern), State="ENABLED")
    try:
        yield
    finally:
        events.put_rule(Name=name, EventPattern=usual["EventPattern"], State=usual["State"])
