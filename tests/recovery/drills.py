"""What the tests of drills share: data to back up, a set of backups, and a sandbox without drills before and after."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from opskit.decisions.manifest import Manifest
from opskit.ledger import OperationRecord
from sandbox.operator import Execution, Operator
from tests.recovery.backup_by_hand import put_on_record, take_backup
from tests.recovery.engines import calm

ROWS = 200
# Few enough for a run's sample to have all of them, with those that other tests look for.
KEYS = 100


@pytest.fixture
def operator(everyone: Operator) -> Iterator[Operator]:
    """No drill runs, nothing is wrong with the engines, and the heart beats."""
    settle(everyone)
    everyone.sql("INSERT INTO ops.heartbeat DEFAULT VALUES")
    yield everyone
    settle(everyone)


@pytest.fixture(scope="package")
def taken(everyone: Operator) -> Manifest:
    """A complete set of a database with rows and a cache with keys, some of which expire."""
    fill(everyone)
    return take_backup(everyone)


@pytest.fixture
def backup(everyone: Operator, taken: Manifest) -> Manifest:
    """The set that was taken, as the newest on record: tests leave others behind, which are not as they should be."""
    put_on_record(everyone, taken)
    return taken


def fill(operator: Operator) -> None:
    operator.sql("CREATE TABLE IF NOT EXISTS drilled (id int PRIMARY KEY, body text NOT NULL)")
    operator.sql(
        "INSERT INTO drilled SELECT n, md5(n::text) FROM generate_series(1, :rows) AS n ON CONFLICT DO NOTHING",
        rows=ROWS,
    )
    operator.sql("INSERT INTO ops.heartbeat DEFAULT VALUES")
    with operator.cache() as client:
        for number in range(KEYS):
            client.set(f"key-{number}", "value", ex=3600 if number % 3 else None)


def settle(operator: Operator) -> None:
    for arn in operator.running("drill"):
        stop(operator, arn, "the test is over")
    calm(operator)
    operator.until(lambda: reaped(operator), lambda left: not left, "the reaper to have left nothing", seconds=150)


def stop(operator: Operator, arn: str, cause: str) -> None:
    """Stop an execution, unless it was quicker."""
    try:
        operator.clients["stepfunctions"].stop_execution(executionArn=arn, cause=cause)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationException":
            raise


def reaped(operator: Operator) -> list[str]:
    """Let the reaper look; what is left of drills, their lock included."""
    if not left_behind(operator) and operator.ledger.holder("drill") is None:
        return []
    operator.call("drill-reap-survivors", {})
    holder = operator.ledger.holder("drill")
    return left_behind(operator) + ([holder.owner] if holder else [])


def left_behind(operator: Operator) -> list[str]:
    """Every DB instance, replication group and snapshot that is called as a drill's."""
    rds, elasticache = operator.clients["rds"], operator.clients["elasticache"]
    names = [
        *(one["DBInstanceIdentifier"] for one in rds.describe_db_instances()["DBInstances"]),
        *(one["DBSnapshotIdentifier"] for one in rds.describe_db_snapshots()["DBSnapshots"]),
        *(one["ReplicationGroupId"] for one in elasticache.describe_replication_groups()["ReplicationGroups"]),
        *(one["SnapshotName"] for one in elasticache.describe_snapshots()["Snapshots"]),
    ]
    return [name for name in names if name.startswith(("drill-", "rds:drill-"))]


def drill(operator: Operator, **given: Any) -> Execution:
    return operator.run(workflow="drill", **given)


def record_of(operator: Operator, name: str) -> OperationRecord:
    found = operator.ledger.operation_of("drill", name)
    assert found is not None
    return found


def evidence_of(operator: Operator, name: str) -> dict[str, Any]:
    """The evidence that the record names; as a drill's `body`."""
    key = record_of(operator, name).evidence
    assert key is not None
    config = operator.config
    return dict(json.loads(operator.read(key, f"{config.name}-evidence-{config.account}"))["body"])


def failed(operator: Operator, done: Execution) -> str:
    """That it failed as a drill should: with a cause, a record, evidence, and nothing left; returns the cause."""
    assert (done.status, done.error) == ("FAILED", "DrillFailed"), done
    record = record_of(operator, done.name)
    assert (record.outcome, record.outcome_reason) == ("FAIL", done.cause)
    evidence = evidence_of(operator, done.name)
    assert (evidence["outcome"], evidence["outcome_reason"]) == ("FAIL", done.cause)
    assert left_behind(operator) == []
    assert operator.ledger.holder("drill") is None
    assert done.cause is not None
    return done.cause
