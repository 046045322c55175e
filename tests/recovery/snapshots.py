"""What the tests of snapshots share: hours that are over, each used once, and what a run has left."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from opskit.adapters.manifests import Manifests
from opskit.adapters.objects import Objects
from opskit.clock import timestamp
from opskit.decisions.manifest import Component, Kind, Manifest
from opskit.decisions.snapshot import hour_of
from opskit.ledger import OperationRecord
from sandbox.operator import Execution, Operator
from tests.recovery.engines import calm


class Hours:
    """Hours of last week, one after the other; a run's hour is later than that of every run before it."""

    def __init__(self) -> None:
        self._next = hour_of(datetime.now(UTC)) - timedelta(hours=240)

    def take(self, skip: int = 0) -> datetime:
        """The next hour; `skip`: so many lie between it and the last."""
        taken = self._next + timedelta(hours=skip)
        self._next = taken + timedelta(hours=1)
        return taken


HOURS = Hours()


def take(operator: Operator, hour: datetime, **given: Any) -> Execution:
    """Run the snapshots of `hour`."""
    return operator.run(workflow="snapshot", scheduled_at=timestamp(hour), **given)


def begin(operator: Operator, hour: datetime, **given: Any) -> str:
    return operator.start(workflow="snapshot", scheduled_at=timestamp(hour), **given)


def record_of(operator: Operator, done: Execution) -> OperationRecord:
    found = operator.ledger.operation_of("snapshot", done.name)
    assert found is not None
    return found


def manifest_of(operator: Operator, done: Execution) -> Manifest:
    """The manifest that the run has put on record, read back with the hash on record."""
    recorded = record_of(operator, done).facts["manifest"]
    found = _manifests(operator).read(recorded["key"], sha256=recorded["sha256"])
    assert found.complete is recorded["complete"]
    return found


def part(manifest: Manifest, kind: Kind, resource: str | None = None) -> Component:
    found = [one for one in manifest.components if one.kind is kind and resource in (None, one.resource)]
    assert len(found) == 1, found
    return found[0]


def database_snapshots(operator: Operator, hour: datetime | None = None) -> dict[str, dict[str, Any]]:
    """The manual DB snapshots there are (of an hour), by name."""
    pages = operator.clients["rds"].get_paginator("describe_db_snapshots").paginate(SnapshotType="manual")
    ending = f"-{hour:%Y%m%d%H}" if hour else ""
    found = [one for page in pages for one in page["DBSnapshots"]]
    return {one["DBSnapshotIdentifier"]: one for one in found if one["DBSnapshotIdentifier"].endswith(ending)}


def evidence_of(operator: Operator, done: Execution) -> dict[str, Any]:
    key = record_of(operator, done).evidence
    assert key is not None
    bucket = f"{operator.config.name}-evidence-{operator.config.account}"
    found: dict[str, Any] = json.loads(operator.read(key, bucket))
    return found


def settle(operator: Operator) -> None:
    """Nothing runs, nothing is wrong with the engines, and every database is available."""
    for arn in operator.running("snapshot"):
        operator.clients["stepfunctions"].stop_execution(executionArn=arn, cause="the test is over")
    calm(operator)
    operator.until(lambda: _busy(operator), lambda busy: not busy, "the engines to be available", seconds=30)


def _busy(operator: Operator) -> list[str]:
    instances = operator.clients["rds"].describe_db_instances()["DBInstances"]
    groups = operator.clients["elasticache"].describe_replication_groups()["ReplicationGroups"]
    states = [(one["DBInstanceIdentifier"], one["DBInstanceStatus"]) for one in instances]
    states += [(one["ReplicationGroupId"], one["Status"]) for one in groups]
    return [name for name, status in states if status != "available"]


def _manifests(operator: Operator) -> Manifests:
    bucket = operator.platform.backup_bucket
    return Manifests(bucket, operator.ledger, Objects(bucket, operator.clients["s3"]))
