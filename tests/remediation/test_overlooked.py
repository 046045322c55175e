"""A repair that ended without anybody being told is found by the schedule: AWS sends status events with best effort."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from sandbox.operator import Operator
from tests.remediation.nodes import ALARM, Nodes, nodes, unheard
from tests.remediation.repairs import PATIENCE, closed

__all__ = ["nodes"]

NAMES = ("Name", "GroupName", "ScheduleExpression", "FlexibleTimeWindow", "Target", "State", "Description")


@contextmanager
def only_the_schedule(operator: Operator) -> Iterator[None]:
    """No event tells of an end; the schedule comes every minute, not every fifteen."""
    rule, scheduler = operator.rule_of("SettleInterrupted"), operator.clients["scheduler"]
    found = scheduler.get_schedule(Name=f"{operator.config.name}-settle-overlooked")
    usual = {name: found[name] for name in NAMES if found.get(name)}
    operator.clients["events"].disable_rule(Name=rule)
    scheduler.update_schedule(**usual | {"ScheduleExpression": "rate(1 minute)"})
    try:
        yield
    finally:
        scheduler.update_schedule(**usual)
        operator.clients["events"].enable_rule(Name=rule)


def test_a_repair_whose_end_nobody_heard_of_is_found_by_the_schedule(operator: Operator, nodes: Nodes) -> None:
    with unheard(operator), only_the_schedule(operator), nodes.full():
        arn = operator.start(workflow="remediate", alarm=ALARM, requested_by="a person")
        operator.wait_for_state(arn, "WaitForAlarm", PATIENCE)
        operator.clients["stepfunctions"].stop_execution(executionArn=arn, cause="nobody heard of it")
        found = operator.ledger.operation_of("remediate", arn.rpartition(":")[2])
        assert found is not None
        record = closed(operator, found)
    assert record.outcome == "INTERRUPTED"
    assert "nobody heard of it" in (record.outcome_reason or "")
    assert nodes.added == 1
    # The lock is no longer its own, and runs out once an action that was under way must have ended.
    lock = operator.ledger.holder("remedy:cluster")
    assert lock is not None
    assert lock.owner != arn
    assert lock.lease_until - lock.acquired_at <= timedelta(seconds=65)
