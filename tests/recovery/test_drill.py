"""A drill that passes: what it shows, what it leaves, and what it never touches."""

import itertools
import threading
from datetime import UTC, datetime

from opskit.decisions.manifest import Kind, Manifest
from sandbox.operator import Operator
from tests.recovery.drills import ROWS, backup, drill, evidence_of, fill, left_behind, operator, record_of, taken
from tests.recovery.snapshots import HOURS, take
from tests.recovery.snapshots import record_of as record_of_run

__all__ = ["backup", "operator", "taken"]

CHANGING = ("rds:*", "elasticache:*", "eks:*", "elasticloadbalancing:*", "ec2:*")


def test_a_drill_from_the_log_passes_with_everything_in_evidence(operator: Operator, backup: Manifest) -> None:
    # Rows that came after the backup: the log has them, the manifest does not.
    operator.sql("INSERT INTO drilled VALUES (100001, 'later') ON CONFLICT DO NOTHING")
    operator.sql("INSERT INTO ops.heartbeat DEFAULT VALUES")
    written = datetime.now(UTC)
    operator.until(
        lambda: operator.database()["LatestRestorableTime"],
        lambda latest: latest > written,
        "the log to have them",
        seconds=30,
    )
    mark = operator.api_mark()
    done = drill(operator, requested_by="tester", reason="to see")
    assert (done.status, done.output.get("outcome")) == ("SUCCEEDED", "PASS"), done
    assert 0 < done.output["rto_seconds"] < 60
    assert 0 <= done.output["rpo_seconds"] < 60

    record, evidence = record_of(operator, done.name), evidence_of(operator, done.name)
    assert (record.outcome, record.requested_by, record.reason) == ("PASS", "tester", "to see")
    assert record.facts["rto_seconds"] == done.output["rto_seconds"]
    assert record.facts["rpo_seconds"] == done.output["rpo_seconds"]
    assert [event.what for event in record.events].count("restore begun") == 2
    assert evidence["plan"]["manifest"]["sha256"] == backup.sha256
    results = {one["component"]: one for one in evidence["results"]}
    assert set(results) == {"database", "cache", "objects"}
    checks = {check["name"]: check for one in results.values() for check in one["checks"]}
    assert {check["outcome"] for check in checks.values()} == {"PASS"}
    assert {"schema", "manifest", "keys", "sampled keys", "rows of public.drilled"} <= set(checks)
    assert checks["rows of public.drilled"]["reason"].startswith(f"{ROWS + 1};")
    for kind in (Kind.CLUSTER, Kind.STATE, Kind.DATA, Kind.CACHE):
        assert any(name.startswith(kind.value) for name in checks), kind
    assert list(evidence["recovery_time"]["facts"]["phases"]) == ["ask", "restore", "verified"]
    assert evidence["recovery_point"]["facts"]["restored_heartbeat"]
    copy = results["database"]["copy"]
    assert copy["name"] == f"drill-{done.output['drill_id']}-{operator.config.name}"
    assert copy["status"] == "available"
    assert copy["arn"].endswith(copy["name"])
    assert left_behind(operator) == []
    assert evidence["teardown"]["outcome"] == "PASS"
    _touched_only_what_is_a_drills(operator, mark, done.output["drill_id"])


def _touched_only_what_is_a_drills(operator: Operator, mark: int, drill_id: str) -> None:
    """By the log of the API: whoever changed anything, it was the drill's own copy, made from what is only read."""
    calls = [call for call in operator.api_calls(*CHANGING, after=mark) if "parameters" in call]
    functions = [call for call in calls if "assumed-role" in str(call["principal"])]
    assert {call["action"].partition(":")[2] for call in functions} == {
        "RestoreDBInstanceToPointInTime",
        "CreateReplicationGroup",
        "DeleteDBInstance",
        "DeleteReplicationGroup",
    }
    for call in functions:
        given = call["parameters"]
        changed = [
            given[name]
            for name in ("TargetDBInstanceIdentifier", "DBInstanceIdentifier", "ReplicationGroupId")
            if name in given
        ]
        assert len(changed) == 1
        assert changed[0].startswith(f"drill-{drill_id}-")
        if "Tags" in given:
            assert {tag["Key"] for tag in given["Tags"]} == {
                "ops:drill-id",
                "ops:expires-at",
                "ops:drill-service",
                "ops:drill-environment",
            }


def test_a_drill_from_the_snapshot_passes(operator: Operator, backup: Manifest) -> None:
    mark = operator.api_mark()
    done = drill(operator, method="snapshot", recovery_point_seconds=86400)
    assert (done.status, done.output.get("outcome")) == ("SUCCEEDED", "PASS"), done
    snapshot = backup.component(Kind.DATABASE)
    (restored,) = operator.api_calls("rds:RestoreDBInstanceFromDBSnapshot", after=mark)
    assert snapshot is not None
    assert restored["parameters"]["DBSnapshotIdentifier"] == snapshot.id
    # What was written after the snapshot is lost, by the heartbeats.
    assert done.output["rpo_seconds"] > 0


def test_a_copy_stands_apart(operator: Operator, backup: Manifest) -> None:
    """Its own network, one zone, no protection, no backups: read from the API while the drill runs."""
    arn = operator.start(workflow="drill", components=["database", "cache"])
    operator.wait_for_state(arn, "VerifyDatabase")
    name = next(one for one in left_behind(operator))
    copy = operator.database(name)
    assert copy["DBSubnetGroup"]["DBSubnetGroupName"] == operator.platform.drill_subnet_group
    assert [g["VpcSecurityGroupId"] for g in copy["VpcSecurityGroups"]] == [operator.platform.drill_security_group_id]
    assert (copy["MultiAZ"], copy["DeletionProtection"], copy["PubliclyAccessible"]) == (False, False, False)
    assert copy["BackupRetentionPeriod"] == 0
    assert "backup" not in {tag["Key"] for tag in copy["TagList"]}
    assert operator.wait(arn).output["outcome"] == "PASS"


def test_a_dry_run_says_what_would_be_done_and_does_nothing(operator: Operator, backup: Manifest) -> None:
    mark = operator.api_mark()
    done = drill(operator, dry_run=True)
    assert (done.status, done.output["outcome"]) == ("SUCCEEDED", "PLANNED")
    plan = done.output["plan"]
    assert plan["decision"] == "PROCEED"
    assert plan["manifest"]["key"] == backup.key
    for words in ("restore drill-", f"the log of {operator.config.name}", "tear down by", "application_data"):
        assert words in plan["reason"]
    calls = operator.api_calls(after=mark)
    assert [call["action"] for call in calls if "assumed-role" in str(call["principal"]) and "parameters" in call] == []
    assert operator.ledger.operation_of("drill", done.name) is None


def test_the_same_scheduled_event_twice_is_one_drill(operator: Operator, backup: Manifest) -> None:
    event = {"scheduled_at": "2026-11-22T03:00:00Z", "components": ["terraform_state"]}
    first, second = (operator.start(workflow="drill", **event) for _ in range(2))
    outcomes = sorted(operator.wait(arn).output["outcome"] for arn in (first, second))
    assert outcomes == ["DUPLICATE", "PASS"]
    again = drill(operator, **event)
    assert (again.status, again.output["outcome"]) == ("SUCCEEDED", "DUPLICATE")


def test_one_drill_at_a_time(operator: Operator, backup: Manifest) -> None:
    first = operator.start(workflow="drill", components=["cache"])
    operator.wait_for_state(first, "Rehearse")
    second = drill(operator, components=["cache"])
    assert (second.status, second.error) == ("FAILED", "DrillFailed")
    assert first.rpartition(":")[2] in str(second.cause)
    assert record_of(operator, second.name).outcome == "FAIL"
    assert operator.wait(first).output["outcome"] == "PASS"


def test_a_drill_of_what_the_hourly_run_has_backed_up(operator: Operator) -> None:
    fill(operator)
    run = take(operator, HOURS.take())
    assert run.output.get("outcome") == "COMPLETE", run
    done = drill(operator)
    assert (done.status, done.output.get("outcome")) == ("SUCCEEDED", "PASS"), done
    evidence = evidence_of(operator, done.name)
    assert evidence["plan"]["manifest"]["key"] == record_of_run(operator, run).facts["manifest"]["key"]
    checks = [check for one in evidence["results"] for check in one["checks"]]
    assert {check["outcome"] for check in checks} == {"PASS"}
    for kind in Kind:
        assert any(kind.value in check["name"] for check in checks) or kind is Kind.DATABASE


def test_a_cache_that_is_in_use_while_it_is_backed_up(operator: Operator) -> None:
    """Keys come, go and are written anew all the time: what moved is not compared, and the rest must be there."""
    over = threading.Event()

    def use() -> None:
        with operator.cache() as client:
            for number in itertools.count():
                if over.is_set():
                    return
                client.set(f"used-{number % 150}", "anew", ex=3600)
                client.set(f"new-{number}", "value", ex=1800)
                client.delete(f"used-{150 + number % 50}")
                over.wait(0.01)

    with operator.cache() as client:
        for number in range(400):
            client.set(f"used-{number}", "value", ex=3600 if number % 3 else None)
    user = threading.Thread(target=use)
    user.start()
    try:
        run = take(operator, HOURS.take())
        assert run.output.get("outcome") == "COMPLETE", run
        done = drill(operator, components=["cache"])
    finally:
        over.set()
        user.join()
        with operator.cache() as client:
            client.flushall()
        fill(operator)
    assert (done.status, done.output.get("outcome")) == ("SUCCEEDED", "PASS"), done
    cache = next(one for one in evidence_of(operator, done.name)["results"] if one["component"] == "cache")
    (sampled,) = [check for check in cache["checks"] if check["name"] == "sampled keys"]
    assert sampled["reason"].startswith("all ")
