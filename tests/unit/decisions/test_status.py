"""How waits for RDS and ElastiCache end."""

import botocore.session
import pytest

from opskit.decisions.status import (
    CACHE,
    CACHE_SNAPSHOT,
    DATABASE,
    DATABASE_SNAPSHOT,
    Statuses,
    judge_source,
    judge_status,
)
from opskit.verdict import Outcome


@pytest.mark.parametrize(
    ("statuses", "status", "waited", "outcome"),
    [
        (DATABASE, "available", 5, Outcome.PASS),
        (DATABASE, "storage-optimization", 5, Outcome.PASS),
        (DATABASE, "creating", 5, Outcome.WAIT),
        (DATABASE, "a-status-of-next-year", 5, Outcome.WAIT),
        (DATABASE, "creating", 1800, Outcome.FAIL),
        (DATABASE, "available", 1800, Outcome.PASS),  # in time or not: it is there
        (DATABASE, "restore-error", 5, Outcome.FAIL),
        (DATABASE, "incompatible-restore", 5, Outcome.FAIL),
        (DATABASE, "incompatible-network", 5, Outcome.FAIL),
        (DATABASE, "incompatible-parameters", 5, Outcome.FAIL),
        (DATABASE, "insufficient-capacity", 5, Outcome.FAIL),
        (DATABASE, "failed", 5, Outcome.FAIL),
        (DATABASE, None, 60, Outcome.WAIT),
        (DATABASE, None, 61, Outcome.FAIL),
        (DATABASE_SNAPSHOT, "creating", 5, Outcome.WAIT),
        (DATABASE_SNAPSHOT, "available", 5, Outcome.PASS),
        (DATABASE_SNAPSHOT, "failed", 5, Outcome.FAIL),
        (CACHE, "snapshotting", 5, Outcome.WAIT),
        (CACHE, "create-failed", 5, Outcome.FAIL),
        (CACHE_SNAPSHOT, "copying", 5, Outcome.PASS),
        (CACHE_SNAPSHOT, "creating", 1800, Outcome.FAIL),
    ],
)
def test_a_wait_ends_well_badly_or_not_yet(
    statuses: Statuses, status: str | None, waited: float, outcome: Outcome
) -> None:
    verdict = judge_status(statuses, "copy-1", status, waited_seconds=waited, limit_seconds=1800)
    assert verdict.outcome is outcome
    assert "copy-1" in verdict.reason
    assert verdict.facts["status"] == status


@pytest.mark.parametrize(
    ("service", "waiter", "statuses"),
    [
        ("rds", "DBInstanceAvailable", DATABASE),
        ("rds", "DBSnapshotAvailable", DATABASE_SNAPSHOT),
        ("elasticache", "ReplicationGroupAvailable", CACHE),
    ],
)
def test_knows_every_terminal_status_that_the_stock_waiters_know(service: str, waiter: str, statuses: Statuses) -> None:
    loader = botocore.session.get_session().get_component("data_loader")
    acceptors = loader.load_service_model(service, "waiters-2")["waiters"][waiter]["acceptors"]
    failures = {one["expected"] for one in acceptors if one["state"] == "failure"}
    assert failures
    assert failures <= set(statuses.terminal)


@pytest.mark.parametrize("statuses", [DATABASE, DATABASE_SNAPSHOT, CACHE, CACHE_SNAPSHOT])
def test_no_status_is_both_good_and_terminal(statuses: Statuses) -> None:
    assert not statuses.good & set(statuses.terminal)
    assert all(statuses.terminal.values())


@pytest.mark.parametrize(
    ("status", "waited", "outcome", "words"),
    [
        ("available", 0, Outcome.PASS, "is available"),
        ("storage-optimization", 0, Outcome.PASS, "is storage-optimization"),
        ("backing-up", 0, Outcome.WAIT, "is backing-up"),
        ("modifying", 599, Outcome.WAIT, "is modifying"),
        ("modifying", 600, Outcome.FAIL, "was modifying and not available for 600 s"),
        ("stopped", 0, Outcome.FAIL, "it was stopped"),
        ("storage-full", 0, Outcome.FAIL, "its storage is full"),
    ],
)
def test_whether_a_source_can_be_taken_now(status: str, waited: float, outcome: Outcome, words: str) -> None:
    verdict = judge_source(DATABASE, "db", status, waited_seconds=waited, limit_seconds=600)
    assert verdict.outcome is outcome
    assert words in verdict.reason


def test_a_replica_is_backed_up_with_its_source() -> None:
    verdict = judge_source(DATABASE, "db-2", "available", waited_seconds=0, limit_seconds=600, replica_of="db")
    assert verdict.outcome is Outcome.FAIL
    assert verdict.reason == "db-2 is a replica of db, which is backed up itself"


def test_a_cache_that_is_being_snapshotted_is_waited_for() -> None:
    assert judge_source(CACHE, "c", "snapshotting", waited_seconds=1, limit_seconds=9).outcome is Outcome.WAIT
