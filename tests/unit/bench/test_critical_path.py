"""The reckoning of a recovery's path and of what comes on top of it."""

from datetime import UTC, datetime, timedelta

import pytest

from sandbox.bench.critical_path import Look, Operation, Overhead, longest_chain, operations_of, reckon

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds):
    return BEGAN + timedelta(seconds=seconds)


def call(action, seconds, error=None, **parameters):
    return {"action": action, "time": at(seconds).isoformat(), "error": error, "parameters": parameters}


def operation(resource, began, ended):
    return Operation("rds:Something", resource, at(began), at(ended))


def test_the_longest_chain_is_of_the_resource_with_most_work():
    chain = longest_chain([operation("a", 0, 100), operation("b", 0, 60), operation("b", 70, 120)])
    assert (chain.resource, chain.seconds) == ("b", 110)
    assert [one.seconds for one in chain.operations] == [60, 50]


def test_what_overlaps_on_a_resource_counts_once():
    chain = longest_chain([operation("a", 0, 100), operation("a", 50, 80), operation("a", 90, 120)])
    assert chain.seconds == 120


def test_without_operations_there_is_no_chain():
    with pytest.raises(ValueError, match="no engine did anything"):
        longest_chain([])


def test_an_operation_ends_when_its_resource_was_last_seen_busy():
    looks = [
        Look("rds:copy", at(-1), ready=False),
        Look("rds:copy", at(10), ready=False),
        Look("rds:copy", at(20), ready=False),
        Look("rds:other", at(21), ready=False),
        Look("rds:copy", at(21), ready=True),
        Look("rds:copy", at(30), ready=False),  # something else that is done to it
    ]
    (found,) = operations_of(
        [call("rds:RestoreDBInstanceFromDBSnapshot", 0, DBInstanceIdentifier="copy")], looks, at(60)
    )
    assert (found.resource, found.seconds) == ("rds:copy", 20)


def test_a_database_and_a_cache_of_the_same_name_are_two():
    looks = [
        Look("rds:copy", at(9), ready=False),
        Look("elasticache:copy", at(5), ready=False),
        Look("elasticache:copy", at(6), ready=True),
        Look("rds:copy", at(10), ready=True),
    ]
    calls = [
        call(
            "rds:RestoreDBInstanceToPointInTime", 0, SourceDBInstanceIdentifier="x", TargetDBInstanceIdentifier="copy"
        ),
        call("elasticache:CreateReplicationGroup", 1, ReplicationGroupId="copy"),
    ]
    assert [one.seconds for one in operations_of(calls, looks, at(60))] == [9, 4]


def test_reads_refusals_other_services_and_what_comes_after_are_no_part_of_it():
    calls = [
        call("rds:DescribeDBInstances", 0),
        call("elasticache:ListTagsForResource", 0),
        call("rds:ModifyDBInstance", 0, error="InvalidDBInstanceState", DBInstanceIdentifier="copy"),
        call("elasticloadbalancing:ModifyRule", 0),
        call("rds:ModifyDBInstance", 60, DBInstanceIdentifier="copy"),
    ]
    assert operations_of(calls, [Look("rds:copy", at(1), ready=False)], at(60)) == ()


def test_an_operation_that_was_never_seen_takes_no_time():
    (found,) = operations_of([call("rds:AddTagsToResource", 5, ResourceName="arn")], [], at(60))
    assert found.seconds == 0


def test_all_counts_scale_times_as_measured_and_work_once_as_production():
    overhead = Overhead(seconds=4, waited=2.5, late=1.5)
    assert overhead.worked == 1.5
    found = reckon(158, 162, overhead, scale=5, poll_seconds=2, cold_starts_seconds=6)
    assert found["path_seconds"] == 790
    assert found["as_measured"] == {"recovery_seconds": 810, "ratio": 1.0253}
    # The path, the longest wait for somebody to look (2 s) and the other waits (1 s) five times, work, cold starts.
    assert found["as_production"] == {"recovery_seconds": 812.5, "ratio": 1.0285}


def test_a_path_without_length_is_no_measurement():
    with pytest.raises(ValueError, match="nothing was measured"):
        reckon(0, 10, Overhead(10, 0, 0), scale=5, poll_seconds=2, cold_starts_seconds=0)
