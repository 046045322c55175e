"""Releases that are stopped from outside, or lose their lock: the weights become whole and the lock free."""

import pytest

from opskit.traffic import Weights
from tests.workflow.seen import closed, nobody_suffered

CANARY = {"strategy": "canary", "steps": [{"weight": 10, "bake_seconds": 60}, {"weight": 100}]}


def stop(operator, arn):
    operator.clients["stepfunctions"].stop_execution(executionArn=arn, cause="a person pulled the plug")


def repaired(operator, live):
    """Within 30 s, as promised."""
    operator.until(
        lambda: (operator.weights(), operator.ledger.holder()),
        lambda seen: seen == (Weights.all_to(live.colour), None),
        "whole weights and a free lock",
        seconds=30,
    )


@pytest.mark.parametrize("state", ["WaitForRollout", "ShiftTraffic", "Bake"])
def test_an_execution_stopped_from_outside_is_repaired(operator, live, load, version, state):
    arn = operator.start(image=version(), **CANARY)
    operator.wait_for_state(arn, state)
    stop(operator, arn)
    repaired(operator, live)
    done = operator.execution(arn)
    assert done.status == "ABORTED"
    record = closed(operator, done, "ABORTED")
    assert "pulled the plug" in record.outcome_reason
    nobody_suffered(load)
    operator.until(lambda: operator.targets(live.colour.other).healthy, lambda n: n == 0, "idle pods gone", seconds=30)


def test_one_stopped_while_it_waits_for_approval_frees_the_lock(operator, live, version):
    arn = operator.start(image=version(), approval=True)
    operator.wait_for_state(arn, "RequestApproval")
    stop(operator, arn)
    repaired(operator, live)


def test_the_next_release_goes_through_after_a_repair(operator, live, version):
    arn = operator.start(image=version(), **CANARY)
    operator.wait_for_state(arn, "Bake")
    stop(operator, arn)
    repaired(operator, live)
    done = operator.run(image=version(), bake_seconds=0)
    assert done.status == "SUCCEEDED", done.cause


def test_a_release_whose_lock_was_taken_changes_nothing_any_more(operator, live, version):
    arn = operator.start(image=version(), approval=True)
    operator.wait_for_state(arn, "RequestApproval")
    approval = operator.until(
        lambda: operator.ledger.approval(arn.rpartition(":")[2]), lambda a: a is not None, "the request", seconds=20
    )
    taken = operator.ledger.seize(arn, owner="somebody-else", purpose="a test", lease_seconds=60)
    assert taken is not None
    try:
        operator.approve(approval)
        done = operator.wait(arn)
        assert (done.status, done.error) == ("FAILED", "LockLostError")
        assert "DeployColour" not in done.states
        assert "RestoreTraffic" not in done.states
    finally:
        operator.ledger.release(taken)


def test_one_that_loses_its_lock_in_mid_shift_leaves_the_traffic_to_whoever_has_it(operator, live, load, version):
    arn = operator.start(image=version(), **CANARY)
    operator.wait_for_state(arn, "JudgeBake")
    taken = operator.ledger.seize(arn, owner="somebody-else", purpose="a test", lease_seconds=60)
    try:
        done = operator.wait(arn)
        assert (done.status, done.error) == ("FAILED", "LockLostError"), done.cause
        assert "RestoreTraffic" not in done.states
        assert operator.weights() == Weights.split(live.colour.other, 10)
        closed(operator, done, "SUPERSEDED")
    finally:
        operator.ledger.release(taken)
    nobody_suffered(load)


def test_a_lock_whose_execution_ended_unheard_is_found_on_schedule(operator, live, version):
    """Status events are sent with best effort: here the rule is off, so that none arrives."""
    rule = operator.rule_of("RepairInterrupted")
    operator.clients["events"].disable_rule(Name=rule)
    try:
        arn = operator.start(image=version(), approval=True)
        operator.wait_for_state(arn, "RequestApproval")
        stop(operator, arn)
        assert operator.ledger.holder() is not None
        operator.invoke("repair-interrupted", {})
        assert operator.ledger.holder() is None
        closed(operator, operator.execution(arn), "ABORTED")
    finally:
        operator.clients["events"].enable_rule(Name=rule)
