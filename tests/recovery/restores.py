"""What the tests of restores share: data, a set of backups, and a sandbox that is settled before and after."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from opskit.decisions.manifest import Manifest
from opskit.ledger import Approval, OperationRecord
from opskit.platform import endpoint_parameter
from sandbox.operator import Execution, Operator
from sandbox.provision import cache, keys, network
from tests.recovery.backup_by_hand import take_backup
from tests.recovery.engines import calm

ROWS = 50


@pytest.fixture
def operator(everyone: Operator) -> Iterator[Operator]:
    """No restore runs, the lock is free, nothing is wrong with the engines, and only what is live is there."""
    settle(everyone)
    yield everyone
    settle(everyone)


@pytest.fixture(scope="module", autouse=True)
def home(everyone: Operator) -> Iterator[None]:
    """The tests of other files, which may come next in the same sandbox, find everything under its old name."""
    yield
    go_home(everyone)


@pytest.fixture(scope="package")
def sets() -> dict[str, Manifest]:
    """The sets of backups that were taken so far, by what they are of: a node takes 20 backups a day."""
    return {}


@pytest.fixture
def backup(operator: Operator, sets: dict[str, Manifest]) -> Manifest:
    """A complete set of what is live: a table with rows, keys of which some expire, and a heartbeat."""
    fill(operator)
    of = " ".join(operator.endpoints.values())
    if of not in sets or not _is_whole(operator, sets[of]):
        sets[of] = take_backup(operator)
    log_reaches(operator, now(operator))
    return sets[of]


def _is_whole(operator: Operator, manifest: Manifest) -> bool:
    there = {one["SnapshotName"] for one in operator.clients["elasticache"].describe_snapshots()["Snapshots"]}
    return manifest.components[1].id in there


def fill(operator: Operator) -> None:
    """Data of the test's own, in the live database and cache."""
    operator.sql("CREATE TABLE IF NOT EXISTS restored (id int PRIMARY KEY, body text NOT NULL)")
    operator.sql("DELETE FROM restored")
    operator.sql("INSERT INTO restored SELECT n, md5(n::text) FROM generate_series(1, :rows) AS n", rows=ROWS)
    operator.sql("INSERT INTO ops.heartbeat DEFAULT VALUES")
    with operator.cache() as client:
        client.flushall()
        for number in range(30):
            client.set(f"key-{number}", "value", ex=3600 if number % 3 else None)


def now(operator: Operator) -> str:
    """The database's own time, after all that was committed so far."""
    moment: datetime = operator.sql("SELECT clock_timestamp()")[0][0]
    return moment.astimezone(UTC).isoformat()


def log_reaches(operator: Operator, moment: str) -> None:
    """Wait until the live database can be restored to `moment`: its log must go on beyond it."""

    def latest() -> datetime:
        operator.sql("INSERT INTO ops.heartbeat DEFAULT VALUES")
        return operator.database()["LatestRestorableTime"]  # type: ignore[no-any-return]

    operator.until(latest, lambda at: at > datetime.fromisoformat(moment), "the log to reach it", seconds=60)


def restore(operator: Operator, **given: Any) -> Execution:
    """Run a restore to its end."""
    return operator.run(workflow="restore", **given)


def asked(operator: Operator, arn: str) -> Approval:
    """The approval that an execution waits for."""

    def question() -> Approval | None:
        found = operator.ledger.approval(arn.rpartition(":")[2])
        if found is None and (ended := operator.execution(arn)).status != "RUNNING":
            raise AssertionError(f"{ended.name} {ended.status} without asking: {ended.cause}")
        return found

    found = operator.until(question, lambda approval: approval is not None, "a request for approval", seconds=60)
    assert found is not None
    return found


def replace(operator: Operator, **given: Any) -> Execution:
    """A restore in place of production, approved."""
    arn = operator.start(workflow="restore", mode="replace", **given)
    operator.approve(asked(operator, arn))
    return operator.wait(arn)


def closed(operator: Operator, execution: Execution, outcome: str) -> OperationRecord:
    """The record of the execution, closed with this outcome, and with evidence; the lock is free."""
    record = operator.ledger.operation_of("restore", execution.name)
    assert record is not None
    assert (record.outcome, record.ended_at is not None) == (outcome, True), record.outcome_reason
    assert record.evidence
    assert operator.ledger.holder() is None
    return record


def succeeded(operator: Operator, execution: Execution, outcome: str) -> dict[str, Any]:
    """The output of an execution that ended well, with this outcome."""
    assert execution.status == "SUCCEEDED", execution.cause
    assert execution.output["outcome"] == outcome
    closed(operator, execution, outcome)
    return execution.output


def rows(operator: Operator, instance: str | None = None) -> int:
    """Of the test's own table."""
    return int(operator.sql("SELECT count(*) FROM restored", instance=instance)[0][0])


def names(operator: Operator) -> tuple[set[str], set[str]]:
    """The DB instances and the replication groups that are there, but for those that are being deleted."""
    instances = operator.clients["rds"].describe_db_instances()["DBInstances"]
    groups = operator.clients["elasticache"].describe_replication_groups()["ReplicationGroups"]
    return (
        {one["DBInstanceIdentifier"] for one in instances if one["DBInstanceStatus"] != "deleting"},
        {one["ReplicationGroupId"] for one in groups if one["Status"] != "deleting"},
    )


def live_names(operator: Operator) -> dict[str, str]:
    """What the service uses, by kind."""
    groups = operator.clients["elasticache"].describe_replication_groups()["ReplicationGroups"]
    where = operator.endpoint("cache")
    (group,) = [one["ReplicationGroupId"] for one in groups if _endpoint(one) == where]
    return {"database": str(operator.database()["DBInstanceIdentifier"]), "cache": str(group)}


def tags_of(operator: Operator, instance: str) -> dict[str, str]:
    """The tags of a DB instance."""
    return {tag["Key"]: tag["Value"] for tag in operator.database(instance)["TagList"]}


def settle(operator: Operator) -> None:
    """Stop what runs, take faults back, free the lock, and delete what restores have left that is not live."""
    for arn in operator.running("restore"):
        operator.clients["stepfunctions"].stop_execution(executionArn=arn, cause="the test is over")
    calm(operator)
    operator.until(operator.ledger.holder, lambda holder: holder is None, "the lock to be free", seconds=120)
    live = live_names(operator)
    operator.until(lambda: _left(operator, live), lambda left: not left, "what is not live to be gone", seconds=60)


def _left(operator: Operator, live: dict[str, str]) -> set[str]:
    rds, elasticache = operator.clients["rds"], operator.clients["elasticache"]
    left = set()
    for one in rds.describe_db_instances()["DBInstances"]:
        name, status = one["DBInstanceIdentifier"], one["DBInstanceStatus"]
        if name != live["database"] and _of_restores(operator, name):
            left.add(name)
            if status == "available" and one["DeletionProtection"]:
                rds.modify_db_instance(DBInstanceIdentifier=name, DeletionProtection=False, ApplyImmediately=True)
            if status not in ("deleting", "creating", "modifying"):
                rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)
    for one in elasticache.describe_replication_groups()["ReplicationGroups"]:
        name, status = one["ReplicationGroupId"], one["Status"]
        if name != live["cache"] and _of_restores(operator, name):
            left.add(name)
            if status not in ("deleting", "creating", "modifying"):
                elasticache.delete_replication_group(ReplicationGroupId=name)
    return left


def _of_restores(operator: Operator, name: str) -> bool:
    """A copy of a restore, or what one has replaced."""
    return name == operator.config.name or name.startswith(f"{operator.config.name}-r2")


def go_home(operator: Operator) -> None:
    """The live database and cache under the names that they were provisioned with, and none of the tests' data."""
    settle(operator)
    live, name, rds = live_names(operator), operator.config.name, operator.clients["rds"]
    operator.sql("DROP TABLE IF EXISTS restored")
    if live["database"] != name:
        rds.modify_db_instance(
            DBInstanceIdentifier=live["database"],
            NewDBInstanceIdentifier=name,
            DeletionProtection=True,
            ApplyImmediately=True,
        )
        found = operator.until(lambda: _available(operator, name), bool, "the database to be renamed", seconds=60)
        own = [key for key in tags_of(operator, name) if key.startswith("ops:")]
        if own:
            rds.remove_tags_from_resource(ResourceName=found["DBInstanceArn"], TagKeys=own)
        move(operator, "database", f"{found['Endpoint']['Address']}:{found['Endpoint']['Port']}")
    if live["cache"] != name:
        clients = operator.clients
        made = cache.provision(clients, network.provision(clients), kms_key=keys.provision(clients).cache)
        move(operator, "cache", f"{made.host}:{made.port}")
        settle(operator)


def move(operator: Operator, kind: str, endpoint: str) -> None:
    """Change an endpoint by hand, past the workflow."""
    name = endpoint_parameter(operator.config.service, operator.config.environment, kind)
    operator.clients["ssm"].put_parameter(Name=name, Value=endpoint, Type="String", Overwrite=True)


def _available(operator: Operator, name: str) -> dict[str, Any] | None:
    try:
        found = operator.database(name)
    except LookupError:
        return None
    return found if found["DBInstanceStatus"] == "available" else None


def _endpoint(group: dict[str, Any]) -> str:
    endpoint = group.get("NodeGroups", [{}])[0].get("PrimaryEndpoint", {})
    return f"{endpoint.get('Address')}:{endpoint.get('Port')}"
