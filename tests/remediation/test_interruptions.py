"""Repairs that are stopped, or that nobody agrees to: nothing is left open, locked, or done twice."""

import json
from typing import Any

import pytest

from opskit.ledger import OperationRecord
from sandbox.operator import Operator
from tests.remediation.alarms import altered
from tests.remediation.calm import switch
from tests.remediation.functions import held, throttled
from tests.remediation.nodes import ALARM, Nodes, nodes, unheard
from tests.remediation.repairs import PATIENCE, acted, ask, asked, check, closed, recorded, start

__all__ = ["nodes"]

pytestmark = pytest.mark.timeout(1200)  # where a machine does other things

LOCK = "remedy:cluster"
BY = "a person pulled the plug"


def stopped(operator: Operator, arn: str) -> OperationRecord:
    """The record of an execution that is stopped now, once it has been settled."""
    operator.clients["stepfunctions"].stop_execution(executionArn=arn, cause=BY)
    found = closed(operator, recorded(operator, arn))
    assert found.outcome == "INTERRUPTED"
    assert BY in (found.outcome_reason or "")
    assert found.evidence
    return found


def free(operator: Operator, lock: str) -> None:
    """The lock is free, or will be by itself; an action that was under way has a minute for its end."""
    operator.until(lambda: operator.ledger.holder(lock), lambda one: one is None or one.expired, lock, seconds=120)


def free_at_once(operator: Operator, lock: str) -> None:
    """Nobody has the lock, nor has it run out."""
    operator.until(lambda: operator.ledger.holder(lock), lambda one: one is None, lock, seconds=30)


def test_one_stopped_before_it_looks_has_changed_nothing(operator: Operator, nodes: Nodes) -> None:
    with unheard(operator), nodes.full():
        arn = start(operator, ALARM)
        operator.wait_for_state(arn, "Settle", PATIENCE)
        record = stopped(operator, arn)
    assert not acted(record)
    assert "it had not acted" in (record.outcome_reason or "")
    assert nodes.added == 0
    free_at_once(operator, LOCK)
    assert operator.ledger.actions(360) == []


# What was under way when its execution was stopped runs on; each is held back until then, and comes after it.
LATE = {"PlanRemedy": "plan-remedy", "ReserveRemedy": "reserve-remedy", "ScaleNodeGroup": "scale-node-group"}


@pytest.mark.parametrize("state", LATE)
def test_what_comes_after_its_execution_was_stopped_does_nothing(operator: Operator, nodes: Nodes, state: str) -> None:
    with unheard(operator), nodes.full():
        with held(operator, LATE[state]):
            arn = start(operator, ALARM)
            throttled(operator, arn, state)
            record = stopped(operator, arn)
        assert not acted(record)
        assert "it had not acted" in (record.outcome_reason or "")
        free_at_once(operator, LOCK)
        # Its place under the cap is all that one leaves behind that was about to act, and its cooldown.
        places = [arn.rpartition(":")[2]] if state == "ScaleNodeGroup" else []
        given = payload(operator, arn, state)
        match state:
            case "PlanRemedy":
                assert operator.invoke("plan-remedy", given, workflow="remediate")["verdict"] == "ACT"
            case "ReserveRemedy":
                late = operator.invoke("reserve-remedy", given, workflow="remediate")
                assert (late["verdict"], late["lock"]) == ("ESCALATE", None)
                assert "INTERRUPTED" in late["reason"]
            case _:
                with pytest.raises(AssertionError, match="LockLostError"):
                    operator.invoke("scale-node-group", given, workflow="remediate")
        assert nodes.added == 0
        assert operator.ledger.holder(LOCK) is None
        assert [one["execution"] for one in operator.ledger.actions(360)] == places
        assert operator.running("remediate") == []
        after = recorded(operator, arn)
        assert (after.outcome, acted(after)) == ("INTERRUPTED", False)
        # The next one finds nothing in its way.
        verdicts = {one["guard"]: one["verdict"] for one in ask(operator, ALARM, dry_run=True).facts["checks"]}
        assert verdicts.pop("dry run") == "PLANNED"
        assert verdicts.pop("cooldown") == ("WAIT" if places else "ACT")
        assert set(verdicts.values()) == {"ACT"}, verdicts
    assert nodes.added == 0


def test_one_stopped_while_it_waits_for_something_else(operator: Operator, nodes: Nodes) -> None:
    held = operator.ledger.acquire("arn:aws:states:us-east-1:000000000000:execution:a:release", "a release", 600)
    try:
        with unheard(operator), nodes.full():
            arn = start(operator, ALARM)
            operator.wait_for_state(arn, "Defer", PATIENCE)
            assert not acted(stopped(operator, arn))
    finally:
        operator.ledger.release(held)
    assert nodes.added == 0


def test_one_stopped_after_it_has_acted_keeps_what_it_did_and_frees_its_lock(operator: Operator, nodes: Nodes) -> None:
    with unheard(operator), nodes.full():
        arn = start(operator, ALARM)
        operator.wait_for_state(arn, "WaitForAlarm", PATIENCE)
        record = stopped(operator, arn)
        assert acted(record)
        assert "was not seen" in (record.outcome_reason or "")
        free(operator, LOCK)
        # Who stops one has looked at it: no strike, but the cooldown runs.
        assert operator.ledger.remedy_state(ALARM).strikes == 0
        assert check(ask(operator, ALARM, dry_run=True), "cooldown")["verdict"] == "WAIT"
    assert nodes.added == 1


def test_an_action_that_is_tried_again_does_the_same_once(operator: Operator, nodes: Nodes) -> None:
    with unheard(operator), nodes.full():
        arn = start(operator, ALARM)
        operator.wait_for_state(arn, "WaitForAlarm", PATIENCE)
        given = payload(operator, arn, "ScaleNodeGroup")
        for _ in range(2):
            assert operator.invoke("scale-node-group", given, workflow="remediate")["done"]
        assert nodes.added == 1
        again = operator.invoke("reserve-remedy", payload(operator, arn, "ReserveRemedy"), workflow="remediate")
        assert again["verdict"] == "RESERVED"
        assert len(operator.ledger.actions(360)) == 1, "an execution has one place under the cap"
        record = stopped(operator, arn)
        assert [event.what for event in record.events].count("acting") == 1
        # Once it is settled another may have the lock: what comes late does nothing.
        with pytest.raises(AssertionError, match="LockLostError"):
            operator.invoke("scale-node-group", given, workflow="remediate")
    assert nodes.added == 1


def payload(operator: Operator, arn: str, state: str) -> dict[str, Any]:
    """What an execution gave the function of a state."""
    pages = operator.clients["stepfunctions"].get_paginator("get_execution_history").paginate(executionArn=arn)
    inside = None
    for event in (event for page in pages for event in page["events"]):
        if "stateEnteredEventDetails" in event:
            inside = event["stateEnteredEventDetails"]["name"]
        elif inside == state and "taskScheduledEventDetails" in event:
            return dict(json.loads(event["taskScheduledEventDetails"]["parameters"])["Payload"])
    raise AssertionError(f"{arn} has scheduled no task in {state}")


@pytest.mark.parametrize("answer", ["rejected", "nobody answers", "stopped", "paused meanwhile"])
def test_what_needs_a_person_is_not_done_without_one(operator: Operator, answer: str) -> None:
    mark = operator.api_mark()
    with unheard(operator), altered(operator, "cache-evictions", Threshold=-1.0):
        operator.wait_for_alarm("cache-evictions", seconds=PATIENCE)
        arn = start(operator, "cache-evictions")
        record = recorded(operator, arn)
        question = asked(operator, record)
        match answer:
            case "rejected":
                operator.reject(question, "not today")
                record, expected = closed(operator, record), ("REFUSED", "not today")
            case "nobody answers":
                record, expected = closed(operator, record), ("REFUSED", "nobody approved in time")
            case "stopped":
                record, expected = stopped(operator, arn), ("INTERRUPTED", BY)
            case _:
                switch(operator, paused=True, reason="a move")
                operator.approve(question)
                record, expected = closed(operator, record), ("SUPPRESSED", "a move")
    assert record.outcome == expected[0], record.outcome_reason
    assert expected[1] in (record.outcome_reason or "")
    assert not acted(record)
    assert operator.api_calls("elasticache:Modify*", after=mark) == []
    free(operator, "remedy:cache")
