"""Restores that go wrong: what failed is deleted, what is good is kept, production is untouched or put back."""

import pytest

from opskit.decisions.status import DATABASE
from tests.recovery.restores import (
    asked,
    backup,
    closed,
    home,
    live_names,
    move,
    names,
    operator,
    replace,
    restore,
    rows,
    sets,
    succeeded,
)

__all__ = ["backup", "home", "operator", "sets"]

# Terminal statuses in which a restore can end; the others are of an instance that was stopped or deleted by someone.
ENDS = sorted(set(DATABASE.terminal) - {"stopped", "stopping", "deleting", "deleted"})


@pytest.mark.parametrize("status", ENDS)
def test_a_database_that_ends_badly_is_deleted_and_the_cache_kept(operator, backup, status):
    before, endpoints = names(operator), operator.endpoints
    operator.engine_fault("rds", operation="RestoreDBInstanceToPointInTime", end_status=status)
    done = restore(operator)
    assert (done.status, done.error) == ("FAILED", "RestoreFailed")
    assert status in done.cause
    record = closed(operator, done, "FAILED")
    operator.until(lambda: names(operator)[0], lambda there: there == before[0], "the failed one to go", seconds=30)
    (kept,) = record.facts["restored"]
    assert (kept["kind"], kept["live"]) == ("cache", False)
    assert names(operator)[1] == {*before[1], kept["name"]}
    assert kept["name"] in done.cause
    assert operator.endpoints == endpoints


def test_a_cache_that_ends_badly_is_deleted_and_the_database_kept(operator, backup):
    before = names(operator)
    operator.engine_fault("elasticache", operation="CreateReplicationGroup", end_status="create-failed")
    done = restore(operator, mode="replace")
    assert (done.status, done.error) == ("FAILED", "RestoreFailed")
    record = closed(operator, done, "FAILED")
    (kept,) = record.facts["restored"]
    assert kept["kind"] == "database"
    operator.until(lambda: names(operator)[1], lambda there: there == before[1], "the failed one to go", seconds=30)
    assert kept["name"] in names(operator)[0]


def test_one_that_takes_too_long_fails(operator, backup):
    operator.engine_fault("rds", operation="RestoreDBInstanceToPointInTime", seconds=600)
    done = operator.run(workflow="restore", components=["database"], seconds=110)
    assert done.error == "RestoreFailed"
    assert "still" in done.cause
    closed(operator, done, "FAILED")


def test_what_aws_refuses_leaves_the_other_component_good(operator, backup):
    operator.engine_fault("elasticache", operation="CreateReplicationGroup", error="InsufficientCacheClusterCapacity")
    done = restore(operator)
    assert done.error == "RestoreFailed"
    assert "InsufficientCacheClusterCapacity" in done.cause
    record = closed(operator, done, "FAILED")
    assert [one["kind"] for one in record.facts["restored"]] == ["database"]


def test_a_copy_that_comes_up_otherwise_than_asked_fails(operator, backup):
    operator.engine_fault("rds", operation="RestoreDBInstanceToPointInTime", set={"PubliclyAccessible": True})
    done = restore(operator, components=["database"])
    assert done.error == "RestoreFailed"
    assert "publicly_accessible is True, not False" in done.cause
    record = closed(operator, done, "FAILED")
    assert record.facts["restored"] == []


def test_a_backup_that_lacks_rows_is_not_put_in_production(operator, backup):
    """The snapshot's manifest says more rows than come back: as if somebody had taken them out of it."""
    part = next(one for one in backup.components if one.kind == "database")
    wrong = {
        when: part.contents[when] | {"rows": part.contents[when]["rows"] | {"public.restored": 51}}
        for when in ("before", "after")
    }
    from tests.recovery.backup_by_hand import take_backup

    tampered = take_backup(operator, database={"contents": part.contents | wrong})
    snapshot = next(one.id for one in tampered.components if one.kind == "database")
    before = operator.endpoints
    done = restore(operator, mode="replace", snapshot=snapshot, components=["database"])
    assert done.error == "RestoreFailed"
    assert "rows of public.restored: 50; 51 expected" in done.cause
    assert operator.endpoints == before
    assert closed(operator, done, "FAILED").facts["restored"][0]["name"] in names(operator)[0]


def test_a_service_that_does_not_work_with_it_is_sent_back(operator, backup):
    """The restored database does not let the service in, so the service is sent back to the one it had."""
    before, live = operator.endpoints, live_names(operator)
    arn = operator.start(workflow="restore", mode="replace", components=["database"])
    question = asked(operator, arn)
    copy = next(iter(names(operator)[0] - {live["database"]}))
    operator.sql("ALTER ROLE detection_api NOLOGIN", instance=copy)
    operator.approve(question)
    done = operator.wait(arn, seconds=150)
    assert (done.status, done.error) == ("FAILED", "RestoreRolledBack")
    assert f"the service is back on {live['database']}" in done.cause
    record = closed(operator, done, "ROLLED_BACK")
    assert operator.endpoints == before
    assert record.facts["swapped"] == []
    assert rows(operator) == 50
    assert operator.database()["TagList"] == operator.database(live["database"])["TagList"]


def test_an_endpoint_that_somebody_moved_meanwhile_is_left_alone(operator, backup):
    arn = operator.start(workflow="restore", mode="replace", components=["cache"])
    question = asked(operator, arn)
    before = operator.endpoint("cache")
    move(operator, "cache", "127.0.0.1:1")
    try:
        operator.approve(question)
        done = operator.wait(arn)
        assert (done.status, done.error) == ("FAILED", "RestoreFailed")
        assert "127.0.0.1:1" in done.cause
        assert operator.endpoint("cache") == "127.0.0.1:1"
        closed(operator, done, "FAILED")
    finally:
        move(operator, "cache", before)


def test_a_release_under_way_refuses_a_restore_that_would_replace_and_lets_an_isolated_one_be(operator, backup):
    owner = operator.machine.replace(":stateMachine:", ":execution:") + ":a-release"
    lock = operator.ledger.acquire(owner, "release of something", 120)
    try:
        done = restore(operator, mode="replace", components=["cache"])
        assert (done.status, done.error) == ("FAILED", "RestoreRefused")
        assert "a-release for release of something" in done.cause
        beside = restore(operator, components=["cache"])
        assert beside.status == "SUCCEEDED", beside.cause
    finally:
        operator.ledger.release(lock)


def test_a_release_is_refused_while_a_restore_replaces(operator, backup):
    arn = operator.start(workflow="restore", mode="replace", components=["cache"])
    asked(operator, arn)
    refused = operator.run(operation="rollback")
    assert (refused.status, refused.error) == ("FAILED", "LockHeldError")
    assert arn.rpartition(":")[2] in refused.cause
    operator.invoke("repair-interrupted", {})
    assert operator.ledger.holder().owner == arn
    operator.approve(operator.ledger.approval(arn.rpartition(":")[2]))
    succeeded(operator, operator.wait(arn), "REPLACED")


def test_production_is_never_deleted_not_even_asked_to_be(operator, backup):
    """The function that deletes may delete what is a restore's by name and tag, and nothing else."""
    live = live_names(operator)
    replaced = replace(operator, components=["cache"])
    assert replaced.status == "SUCCEEDED", replaced.cause
    record = operator.ledger.operation_of("restore", replaced.name)
    part = {"copy": {"name": live_names(operator)["cache"]}}
    event = {
        "execution": {
            "id": record.execution_id,
            "name": record.execution_name,
            "start_time": record.started_at.isoformat(),
        },
        "settings": {},
        "plan": {"restore_id": record.facts["restore_id"], "parts": {"cache": part}},
        "looks": None,
    }
    left = operator.invoke("discard-failed", event, workflow="restore")
    assert left["deleted"] == []
    assert "it is live" in left["left"][0]["reason"]
    assert live["cache"] in names(operator)[1]
