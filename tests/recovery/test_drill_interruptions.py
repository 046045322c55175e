"""A drill that is killed at any step leaves nothing after the reaper, and the reaper says that it had work to do."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from opskit.adapters.databases import Databases
from opskit.decisions.drill import drill_tags
from opskit.decisions.manifest import Manifest
from sandbox.operator import Operator
from tests.recovery.drills import backup, left_behind, operator, reaped, record_of, stop, taken

__all__ = ["backup", "operator", "taken"]

STATES = (
    "PlanDrill",
    "BeginDrill",
    "RestoreDatabase",
    "RestoreCache",
    "WaitForDatabase",
    "CheckDatabase",
    "VerifyDatabase",
    "TearDownDrill",
    "CloseDrill",
)


@pytest.mark.parametrize("state", STATES)
def test_killed_at_any_step_nothing_is_left_after_the_reaper(operator: Operator, backup: Manifest, state: str) -> None:
    arn = operator.start(workflow="drill")
    operator.wait_for_state(arn, state)
    stop(operator, arn, "pulled the plug")
    operator.until(lambda: reaped(operator), lambda left: not left, "nothing to be left", seconds=150)
    record = operator.ledger.operation_of("drill", arn.rpartition(":")[2])
    if record is not None:
        assert record.outcome in {"INTERRUPTED", "PASS"}
        assert record.evidence is not None
        if record.outcome == "INTERRUPTED":
            assert "pulled the plug" in str(record.outcome_reason)
    # And the next one is not in its way.
    done = operator.run(workflow="drill", components=["terraform_state"])
    assert done.output.get("outcome") == "PASS", done


def test_the_reaper_comes_by_itself_when_a_drill_was_stopped(operator: Operator, backup: Manifest) -> None:
    arn = operator.start(workflow="drill")
    operator.wait_for_state(arn, "WaitForDatabase")
    stop(operator, arn, "pulled the plug")
    name = arn.rpartition(":")[2]
    operator.until(
        lambda: record_of(operator, name), lambda record: record.outcome == "INTERRUPTED", "the reaper", seconds=90
    )
    operator.until(lambda: left_behind(operator), lambda left: not left, "nothing to be left", seconds=60)


def test_a_drill_that_runs_is_left_alone_by_the_reaper(operator: Operator, backup: Manifest) -> None:
    arn = operator.start(workflow="drill")
    operator.wait_for_state(arn, "CheckDatabase")
    assert operator.call("drill-reap-survivors", {}) == {"survivors": [], "interrupted": [], "evidence": None}
    assert operator.wait(arn).output["outcome"] == "PASS"


def test_a_drill_that_could_not_be_closed_is_closed_by_the_reaper(operator: Operator, backup: Manifest) -> None:
    """The ledger refuses its end, so that is not on record: it fails, and the reaper says so.

    Refused evidence would not do: whoever appends next writes what was left pending, and the retry finds it done.
    """
    config, iam = operator.config, operator.clients["iam"]
    function = f"{config.name}-drill-close-drill"
    role = operator.clients["lambda"].get_function_configuration(FunctionName=function)["Role"].rpartition("/")[2]
    denied = {"Effect": "Deny", "Action": ["dynamodb:PutItem", "dynamodb:UpdateItem"], "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [denied]})
    iam.put_role_policy(RoleName=role, PolicyName="denied", PolicyDocument=document)
    try:
        done = operator.run(workflow="drill", components=["terraform_state"])
    finally:
        iam.delete_role_policy(RoleName=role, PolicyName="denied")
    assert (done.status, done.error) == ("FAILED", "DrillFailed"), done
    assert str(done.cause).startswith("CloseDrill: ")
    record = operator.until(
        lambda: (reaped(operator), record_of(operator, done.name))[1],
        lambda record: record.outcome is not None,
        "the reaper to close it",
        seconds=60,
    )
    assert record.outcome == "INTERRUPTED"
    assert operator.run(workflow="drill", components=["terraform_state"]).output["outcome"] == "PASS"


def test_what_outlives_its_time_is_deleted_and_alarms(operator: Operator, backup: Manifest) -> None:
    """A copy that no workflow knows of any more; and one that only looks like a drill's is told, and left."""
    config, rds = operator.config, operator.clients["rds"]
    identity = "0123456789ab"
    yesterday = datetime.now(UTC) - timedelta(days=1)
    tags = drill_tags(identity, yesterday, service=config.service, environment=config.environment)
    source = rds.describe_db_instances(DBInstanceIdentifier=config.name)["DBInstances"][0]
    common = {
        "SourceDBInstanceIdentifier": config.name,
        "UseLatestRestorableTime": True,
        "DBSubnetGroupName": source["DBSubnetGroup"]["DBSubnetGroupName"],
        "DeletionProtection": False,
        "BackupRetentionPeriod": 0,
    }
    given = [{"Key": key, "Value": value} for key, value in tags.items()]
    rds.restore_db_instance_to_point_in_time(TargetDBInstanceIdentifier=f"drill-{identity}-db", Tags=given, **common)
    rds.restore_db_instance_to_point_in_time(TargetDBInstanceIdentifier="drill-by-hand", Tags=[], **common)
    try:
        done = operator.call("drill-reap-survivors", {})
        decisions = {one["identifier"]: one["decision"] for one in done["survivors"]}
        assert decisions == {f"drill-{identity}-db": "DELETE", "drill-by-hand": "ALARM"}
        operator.until(
            lambda: left_behind(operator), lambda left: left == ["drill-by-hand"], "one to be left", seconds=60
        )
        name = f"{config.name}-drill-survivors"
        operator.until(
            lambda: operator.clients["cloudwatch"].describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["StateValue"],
            lambda state: state == "ALARM",
            f"{name} to fire",
            seconds=30,
        )
        databases = Databases(rds)
        operator.until(
            lambda: databases.instance("drill-by-hand"),
            lambda one: bool(one and one.status == "available"),
            "drill-by-hand to be available",
            seconds=60,
        )
    finally:
        rds.delete_db_instance(DBInstanceIdentifier="drill-by-hand", SkipFinalSnapshot=True)
