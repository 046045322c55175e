"""A drill's steps against moto: ledger, buckets, databases and caches answer as AWS does; engines are doubles."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from moto.elasticache.models import elasticache_backends

from opskit import clients
from opskit.adapters.cache_state import CacheState
from opskit.adapters.caches import Caches
from opskit.adapters.database_state import DatabaseState
from opskit.adapters.manifests import Manifests
from opskit.clock import timestamp
from opskit.decisions.drill import LOCK, WORKFLOW
from opskit.decisions.manifest import Component, Kind, Manifest
from opskit.decisions.rehearsal import Place, Seen, plan_rehearsal
from opskit.ledger import OperationRecord
from opskit.schema import validate
from opskit.step import Run
from tests.unit.decisions.backups import CACHE, CACHE_CONTENTS, DATABASE, component, manifest

SETTINGS = {
    "poll_seconds": 1,
    "restore_timeout_seconds": 600,
    "teardown_timeout_seconds": 300,
    "lease_seconds": 60,
}
NOTHING_FAILED = {"error": "", "cause": "", "state": ""}


def call(module: Any, event: dict[str, Any], run: Run, **more: Any) -> dict[str, Any]:
    result: dict[str, Any] = module.handler.__wrapped__({**event, **more}, run)
    return result


@pytest.fixture(autouse=True)
def gone_once_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    """moto shows a deleted replication group as `deleting` for ever; here that lasts for one look."""
    describe = Caches.group

    def group(self: Caches, identifier: str) -> CacheState | None:
        found = describe(self, identifier)
        if found is not None and found.status == "deleting":
            del elasticache_backends["000000000000"]["us-east-1"].replication_groups[identifier]
        return found

    monkeypatch.setattr(Caches, "group", group)


@pytest.fixture
def buckets(run: Run) -> None:
    for bucket in (run.platform.backup_bucket, run.platform.cache_export_bucket):
        clients.client("s3").create_bucket(Bucket=bucket)


@pytest.fixture
def whole() -> Manifest:
    """A complete manifest that has everything a drill compares with."""
    return manifest(cache={"contents": {"before": CACHE_CONTENTS.as_dict()}})


def put_on_record(run: Run, written: Manifest, *, complete: bool = True, hours_ago: int = 1) -> None:
    Manifests(run.platform.backup_bucket, run.ledger).write(written)
    started = run.clock.now() - timedelta(hours=hours_ago)
    record = OperationRecord("snapshot", f"arn:{written.run}", written.run, started)
    run.ledger.open_operation(record)
    facts = {"manifest": {"key": written.key, "sha256": written.sha256, "complete": complete}}
    run.ledger.close_operation(record.key, "COMPLETE" if complete else "INCOMPLETE", "", facts=facts)


def part(of: Manifest, kind: Kind) -> Component:
    found = of.component(kind)
    assert found is not None
    return found


@pytest.fixture
def planned(run: Run, buckets: None, whole: Manifest) -> dict[str, Any]:
    """The plan of a drill of everything, and its manifest in the bucket."""
    put_on_record(run, whole)
    arn = "arn:aws:rds:us-east-1:123456789012:db:db"
    database = DatabaseState("db", arn, "db-1", "available", DATABASE, "db.internal", latest_restorable=run.clock.now())
    cache = CacheState("cache", arn.replace("db", "cache"), "available", CACHE, (), "cache.internal")
    place = Place("drill-net", "drill-cache-net", "sg-9")
    plan = plan_rehearsal(
        validate("drill", {}),
        Seen(place, whole, "", database, cache),
        service="detection-api",
        environment="dev",
        execution=run.execution.name,
        started_at=run.execution.started_at,
    )
    return plan.as_dict() | {"planned_at": timestamp(run.clock.now())}


@pytest.fixture
def event(run: Run, planned: dict[str, Any]) -> dict[str, Any]:
    """What a step of a drill that has begun gets: the lock held, the record open."""
    lock = run.ledger.acquire(run.execution.id, "drill", 60, LOCK)
    facts = {"drill_id": planned["drill"], "expires_at": planned["expires_at"], "names": planned["names"]}
    run.ledger.open_operation(
        OperationRecord(WORKFLOW, run.execution.id, run.execution.name, run.execution.started_at, facts=facts)
    )
    return {
        "settings": SETTINGS,
        "input": {},
        "request": validate("drill", {}),
        "plan": planned,
        "lock": lock.as_dict(),
        "results": None,
        "teardown": None,
        "since": None,
        "failure": NOTHING_FAILED,
    }


def make_instance(name: str, tags: dict[str, str], **more: Any) -> None:
    clients.client("rds").create_db_instance(
        DBInstanceIdentifier=name,
        DBInstanceClass="db.t4g.medium",
        Engine="postgres",
        MasterUsername="owner",
        MasterUserPassword="a-long-password",
        AllocatedStorage=20,
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        **more,
    )


def make_group(name: str, tags: dict[str, str]) -> None:
    clients.client("elasticache").create_replication_group(
        ReplicationGroupId=name,
        ReplicationGroupDescription="x",
        Engine="redis",
        CacheNodeType="cache.t4g.medium",
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
    )


def left() -> list[str]:
    """Every DB instance and replication group that is there to stay."""
    rds, elasticache = clients.client("rds"), clients.client("elasticache")
    groups = elasticache.describe_replication_groups()["ReplicationGroups"]
    return sorted(
        [one["DBInstanceIdentifier"] for one in rds.describe_db_instances()["DBInstances"]]
        + [one["ReplicationGroupId"] for one in groups if one["Status"] != "deleting"]
    )


def later(run: Run, seconds: float) -> datetime:
    return run.clock.now() + timedelta(seconds=seconds)


def without(given: Manifest, kind: Kind) -> Manifest:
    return replace(given, components=tuple(one for one in given.components if one.kind is not kind))


__all__ = ["component"]
