"""Restores that are stopped from outside: the endpoints are whole, the record closed, the lock free, people told."""

import pytest

from tests.recovery.restores import (
    asked,
    backup,
    home,
    live_names,
    names,
    operator,
    replace,
    restore,
    sets,
    succeeded,
)

__all__ = ["backup", "home", "operator", "sets"]


def stop(operator, arn):
    operator.clients["stepfunctions"].stop_execution(executionArn=arn, cause="a person pulled the plug")


def repaired(operator, arn, seconds=30):
    """The record of an execution that was stopped, once the repair has closed it; the lock is free then."""
    name = arn.rpartition(":")[2]
    record = operator.until(
        lambda: operator.ledger.operation_of("restore", name),
        lambda found: found is not None and found.outcome is not None,
        "the repair",
        seconds=seconds,
    )
    assert record.outcome == "INTERRUPTED"
    assert "a person pulled the plug" in record.outcome_reason
    assert record.evidence
    operator.until(operator.ledger.holder, lambda holder: holder is None, "a free lock", seconds=10)
    return record


@pytest.mark.parametrize("mode", ["isolated", "replace"])
def test_one_stopped_while_it_restores_moves_nothing_and_names_its_copies(operator, backup, mode):
    before = operator.endpoints
    operator.engine_fault("rds", operation="RestoreDBInstanceToPointInTime", seconds=6)
    arn = operator.start(workflow="restore", mode=mode)
    operator.wait_for_state(arn, "CheckCopies")
    stop(operator, arn)
    record = repaired(operator, arn)
    assert operator.endpoints == before
    assert "nothing had been cut over" in record.outcome_reason
    assert set(record.facts["copies"].values()) <= set.union(*names(operator))


def test_one_stopped_while_it_waits_for_approval(operator, backup):
    before = operator.endpoints
    arn = operator.start(workflow="restore", mode="replace", components=["cache"])
    asked(operator, arn)
    stop(operator, arn)
    repaired(operator, arn)
    assert operator.endpoints == before


def test_one_stopped_after_the_cut_over_and_before_it_was_verified_goes_back(operator, backup):
    before, live = operator.endpoints, live_names(operator)
    arn = operator.start(workflow="restore", mode="replace")
    question = asked(operator, arn)
    copy = next(iter(names(operator)[0] - {live["database"]}))
    operator.sql("ALTER ROLE detection_api NOLOGIN", instance=copy)
    operator.approve(question)
    operator.wait_for_state(arn, "VerifyService")
    assert operator.endpoints != before
    stop(operator, arn)
    record = repaired(operator, arn)
    assert operator.endpoints == before
    assert record.facts["swapped"] == []
    assert "the service is back on" in record.outcome_reason


def test_a_restore_whose_end_nobody_heard_of_is_found_on_schedule(operator, backup):
    rule = operator.rule_of("RepairInterruptedRestore")
    operator.clients["events"].disable_rule(Name=rule)
    try:
        replacing = operator.start(workflow="restore", mode="replace", components=["cache"])
        asked(operator, replacing)
        operator.engine_fault("elasticache", operation="CreateReplicationGroup", seconds=6)
        beside = operator.start(workflow="restore", components=["cache"])
        operator.wait_for_state(beside, "CheckCopies")
        for arn in (replacing, beside):
            stop(operator, arn)
        assert operator.ledger.holder() is not None
        done = operator.invoke("repair-interrupted-restore", {}, workflow="restore")
        assert {one["execution"] for one in done["repaired"]} == {a.rpartition(":")[2] for a in (replacing, beside)}
        for arn in (replacing, beside):
            repaired(operator, arn)
        assert operator.invoke("repair-interrupted-restore", {}, workflow="restore") == {"repaired": []}
    finally:
        operator.clients["events"].enable_rule(Name=rule)


def test_the_next_restore_goes_through_after_a_repair(operator, backup):
    arn = operator.start(workflow="restore", mode="replace", components=["cache"])
    asked(operator, arn)
    stop(operator, arn)
    repaired(operator, arn)
    succeeded(operator, replace(operator, components=["cache"]), "REPLACED")


def test_an_event_of_one_that_closed_itself_repairs_nothing(operator, backup):
    done = restore(operator, moment="2020-01-01T00:00:00Z")
    event = {"detail": {"executionArn": done.arn, "name": done.name, "status": "FAILED"}}
    assert operator.invoke("repair-interrupted-restore", event, workflow="restore") == {"repaired": []}
