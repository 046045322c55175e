"""Restores in place of production: approved, cut over, verified through the service; and the way back."""

from datetime import UTC, datetime

import pytest
import urllib3

from sandbox.load import Load, Plan, ids_of, missing
from tests.recovery.restores import (
    ROWS,
    asked,
    backup,
    closed,
    home,
    live_names,
    log_reaches,
    names,
    now,
    operator,
    replace,
    restore,
    rows,
    sets,
    succeeded,
    tags_of,
)

__all__ = ["backup", "home", "operator", "sets"]

# The service's own cache answers for a moment after the database has changed places.
CACHE_SECONDS = 6.0


def ready(operator):
    return urllib3.request("GET", f"{operator.config.service_url}/ready", timeout=10).json()


def test_a_disaster_under_load_is_undone_to_just_before_and_the_service_works_again(operator, backup):
    """Rows deleted, a table dropped, clients writing: nothing that was acknowledged before the moment is lost."""
    before, live = operator.endpoints, live_names(operator)
    with (
        operator.pulse(0.5),
        Load(Plan(url=operator.config.service_url, seconds=240, rate=40), track_writes=True) as load,
    ):
        log_reaches(operator, now(operator))
        moment = now(operator)
        operator.sql("DELETE FROM restored")
        operator.sql("DROP TABLE detections CASCADE")
        dropped = datetime.now(UTC).isoformat()
        log_reaches(operator, now(operator))
        arn = operator.start(workflow="restore", mode="replace", moment=moment, declared_at=moment, keep_old_hours=5)
        question = asked(operator, arn)
        assert operator.endpoints == before, "nothing is cut over before somebody has approved"
        assert question.workflow == "restore"
        assert before["database"] in question.subject
        operator.approve(question)
        output = succeeded(operator, operator.wait(arn), "REPLACED")
        assert ready(operator) | {"queued": 0} == ready(operator) | {
            "ready": True, "read": True, "write": "stored", "database": output["endpoints"]["database"], "queued": 0,
        }  # fmt: skip
        report = load.stop()
    assert rows(operator) == ROWS
    assert operator.endpoints == output["endpoints"] != before
    # Seen by the clients: every write was taken, stored or queued, and after the recovery none fails.
    verified = _moment(operator, arn, "verified through the service")
    assert report.writes.requests > 0
    assert report.last_failure_at is None or report.last_failure_at < verified
    present = operator.until(
        lambda: ids_of(operator.config.service_url),
        lambda ids: not [one for one in missing(load.acknowledged(), ids) if one.at < moment or one.at > verified],
        "what was acknowledged before the moment, and after the recovery",
        seconds=CACHE_SECONDS + 20,
    )
    lost = missing(load.acknowledged(), present)
    assert all(moment <= one.at for one in lost)
    # What the workflow measured: lost are the heartbeats between the moment and the cut, and the time is the outage's.
    facts = output["recovery_point"]["facts"]
    assert facts["restored_heartbeat"] <= moment < facts["source_heartbeat"]
    seconds = output["recovery_time"]["facts"]["seconds"]
    assert sum(output["recovery_time"]["facts"]["phases"].values()) == pytest.approx(seconds, abs=0.1)
    outage = (datetime.fromisoformat(verified) - datetime.fromisoformat(dropped)).total_seconds()
    assert seconds >= outage
    # What was replaced is kept and no longer backed up; what is live is backed up, and protected.
    old, new = tags_of(operator, live["database"]), tags_of(operator, live_names(operator)["database"])
    assert "backup" not in old
    assert (old["ops:replaced-by"], old["ops:keep-until"]) == (live_names(operator)["database"], output["keep_until"])
    assert new["backup"] == "true"
    assert "ops:expires-at" not in new
    assert operator.database()["DeletionProtection"]


def _moment(operator, arn, what):
    record = operator.ledger.operation_of("restore", arn.rpartition(":")[2])
    return next(event.at for event in record.events if event.what == what).isoformat()


def test_the_cache_alone_when_it_is_lost(operator, backup):
    database, group = operator.endpoint("database"), live_names(operator)["cache"]
    where = operator.endpoint("cache")
    operator.clients["elasticache"].delete_replication_group(ReplicationGroupId=group)
    operator.until(lambda: group in names(operator)[1], lambda there: not there, "the cache to be gone", seconds=30)
    output = succeeded(operator, restore(operator, mode="replace", components=["cache"], approval=False), "REPLACED")
    assert operator.endpoint("database") == database
    assert operator.endpoint("cache") == output["endpoints"]["cache"] != where
    assert output["kept"] == []
    with operator.cache() as client:
        assert client.get("key-0") == b"value"
    assert ready(operator)["cache"]


def test_a_database_that_was_deleted_comes_back_by_its_retained_log(operator, backup):
    name, where = live_names(operator)["database"], operator.endpoint("database")
    operator.sql("INSERT INTO restored VALUES (1001, 'after the backup')")
    log_reaches(operator, now(operator))
    rds = operator.clients["rds"]
    rds.modify_db_instance(DBInstanceIdentifier=name, DeletionProtection=False, ApplyImmediately=True)
    rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True, DeleteAutomatedBackups=False)
    operator.until(lambda: name in names(operator)[0], lambda there: not there, "the database to be gone", seconds=30)
    output = succeeded(operator, replace(operator, components=["database"]), "REPLACED")
    assert rows(operator) == ROWS + 1
    assert operator.endpoint("database") != where
    assert output["recovery_point"]["outcome"] == "INCONCLUSIVE"
    assert tags_of(operator, live_names(operator)["database"])["backup"] == "true"
    assert ready(operator)["ready"]


def test_a_rejected_cut_over_leaves_what_was_restored_beside_production(operator, backup):
    before = operator.endpoints
    arn = operator.start(workflow="restore", mode="replace", components=["database"])
    operator.reject(asked(operator, arn), "it was a false alarm")
    done = operator.wait(arn)
    assert (done.status, done.error) == ("FAILED", "RestoreRefused")
    assert "it was a false alarm" in done.cause
    assert "Kept, beside production" in done.cause
    record = closed(operator, done, "REFUSED")
    assert operator.endpoints == before
    assert record.facts["restored"][0]["name"] in names(operator)[0]


def test_an_approval_that_nobody_gives_expires(operator, backup):
    before = operator.endpoints
    done = restore(operator, mode="replace", components=["cache"], approval_seconds=2)
    assert (done.status, done.error) == ("FAILED", "RestoreRefused")
    assert "nobody approved within 2 s" in done.cause
    closed(operator, done, "REFUSED")
    assert operator.endpoints == before


def test_an_approval_of_something_else_does_not_count(operator, backup):
    before = operator.endpoints
    arn = operator.start(workflow="restore", mode="replace", components=["cache"])
    operator.answer(asked(operator, arn), {"approved_by": "the captain", "digest": "sha256:" + "0" * 64})
    done = operator.wait(arn)
    assert (done.status, done.error) == ("FAILED", "RestoreFailed")
    assert "not what would be cut over" in done.cause
    assert operator.endpoints == before
    closed(operator, done, "FAILED")


def test_the_way_back_and_the_way_back_from_that(operator, backup):
    before, first = operator.endpoints, live_names(operator)
    replaced = replace(operator)
    after = operator.endpoints
    succeeded(operator, replaced, "REPLACED")
    operator.sql("INSERT INTO restored VALUES (2002, 'since the restore')")
    arn = operator.start(workflow="restore", undo=replaced.name)
    question = asked(operator, arn)
    assert operator.endpoints == after
    operator.approve(question)
    undone = operator.wait(arn)
    output = succeeded(operator, undone, "UNDONE")
    assert operator.endpoints == before
    assert rows(operator) == ROWS
    assert tags_of(operator, first["database"])["backup"] == "true"
    assert "ops:replaced-by" not in tags_of(operator, first["database"])
    assert {one["kind"] for one in output["kept"]} == {"database", "cache"}
    # Undoing it twice is refused: what is live now is not that restore's.
    again = restore(operator, undo=replaced.name)
    assert again.error == "RestoreRefused"
    assert "undo what came after it first" in again.cause
    succeeded(operator, restore(operator, undo=undone.name, approval=False), "UNDONE")
    assert operator.endpoints == after
    assert rows(operator) == ROWS + 1


def test_no_way_back_to_what_is_gone(operator, backup):
    old = live_names(operator)["cache"]
    done = restore(operator, mode="replace", components=["cache"], approval=False)
    succeeded(operator, done, "REPLACED")
    operator.clients["elasticache"].delete_replication_group(ReplicationGroupId=old)
    operator.until(lambda: old in names(operator)[1], lambda there: not there, "it to be gone", seconds=30)
    refused = restore(operator, undo=done.name)
    assert refused.error == "RestoreRefused"
    assert f"{old}, which {done.name} replaced, is gone" in refused.cause


def test_a_second_restore_reaches_back_beyond_the_first(operator, backup):
    """The first moment was not early enough: what was live then, and its backups, still count."""
    log_reaches(operator, now(operator))
    good = now(operator)
    operator.sql("DELETE FROM restored WHERE id <= 10")
    log_reaches(operator, now(operator))
    late = now(operator)
    operator.sql("DELETE FROM restored")
    log_reaches(operator, now(operator))
    first = live_names(operator)
    succeeded(operator, replace(operator, moment=late), "REPLACED")
    assert rows(operator) == ROWS - 10
    output = succeeded(operator, replace(operator, moment=good), "REPLACED")
    assert rows(operator) == ROWS
    assert output["endpoints"] == operator.endpoints
    assert first["database"] not in live_names(operator).values()
    beside = succeeded(operator, restore(operator, snapshot=backup.components[0].id), "ISOLATED")
    assert rows(operator, beside["restored"][0]["name"]) == ROWS
    assert {check["outcome"] for check in beside["checks"]} == {"PASS"}
