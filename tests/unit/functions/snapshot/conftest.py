"""A small fleet in moto, and the steps called one after the other as the state machine does."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from functions.snapshot import close_snapshot, plan_snapshots, prune_snapshots, take_snapshots, write_manifest
from opskit import clients
from opskit.adapters.databases import Databases
from opskit.clock import timestamp
from opskit.decisions.snapshot import Quota
from opskit.ledger import OperationRecord
from opskit.platform import Platform
from opskit.step import Execution, Run
from tests.unit.functions.conftest import FixedClock

ARN = "arn:aws:states:us-east-1:000000000000:execution:detection-api-dev-snapshot"
SETTINGS = {
    "event_age_seconds": 900,
    "poll_seconds": 60,
    "source_wait_seconds": 600,
    "snapshot_timeout_seconds": 1800,
    "lease_seconds": 420,
    "dump_age_seconds": 1800,
    "retention": "hourly=3,daily=1",
}
SEEN = {"inline": {"database": {"identifier": "orders", "contents": {"schema_sha256": "5c", "rows": {"public.t": 3}}}}}
FOUND = {"component": {"kind": "cluster_configuration", "resource": "n", "status": "VERIFIED", "id": "k"}}
COPIED = {
    "components": [
        {"kind": "terraform_state", "resource": "s", "status": "VERIFIED", "id": "t"},
        {"kind": "application_data", "resource": "q", "status": "VERIFIED", "id": "d"},
    ]
}


@dataclass
class Machine:
    """The state machine's way through the steps; `seen` is what each has returned."""

    run: Run
    clock: FixedClock
    input: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=lambda: dict(SETTINGS))
    seen: dict[str, Any] = field(default_factory=dict)

    def event(self, **more: Any) -> dict[str, Any]:
        plan = self.seen.get("plan")
        return {"settings": self.settings, "input": self.input, "plan": plan, "lock": plan and plan["lock"], **more}

    def plan(self) -> dict[str, Any]:
        self.seen["plan"] = plan_snapshots.handler.__wrapped__(self.event(), self.run)
        self.seen["parts"] = self.seen["plan"].get("parts")
        return self.seen["plan"]

    def take(self, *, first: bool) -> dict[str, Any]:
        done = take_snapshots.handler.__wrapped__(self.event(parts=self.seen["parts"], first=first), self.run)
        self.seen["parts"] = done["parts"]
        return done

    def take_all(self, looks: int = 5) -> dict[str, Any]:
        done = self.take(first=True)
        for _ in range(looks):
            if not done["pending"]:
                break
            self.clock.advance(20)
            done = self.take(first=False)
        return done

    def write(self, **more: Any) -> dict[str, Any]:
        given = {"before": SEEN, "after": SEEN, "cluster": FOUND, "objects": COPIED, "trouble": ""} | more
        finished = timestamp(self.clock.now())
        event = self.event(parts=self.seen["parts"], finished_at=finished, **given)
        self.seen["manifest"] = write_manifest.handler.__wrapped__(event, self.run)
        return self.seen["manifest"]

    def prune(self, stage: str = "last") -> dict[str, Any]:
        name = "pruned_first" if stage == "first" else "pruned"
        event = self.event(stage=stage, manifest=self.seen.get("manifest"), pruned_first=self.seen.get("pruned_first"))
        self.seen[name] = prune_snapshots.handler.__wrapped__(event, self.run)
        return self.seen[name]

    def close(self, outcome: str | None = None, reason: str = "because") -> dict[str, Any]:
        manifest = self.seen.get("manifest")
        outcome = outcome or ("COMPLETE" if manifest and manifest["complete"] else "INCOMPLETE")
        seen = {name: self.seen.get(name) for name in ("manifest", "pruned", "pruned_first")}
        return close_snapshot.handler.__wrapped__(self.event(outcome=outcome, reason=reason, **seen), self.run)

    def all(self, **more: Any) -> dict[str, Any]:
        """A whole run."""
        if self.plan()["decision"] == "PRUNE_FIRST":
            self.prune("first")
        self.take_all()
        self.write(**more)
        self.prune()
        return self.close()

    def record(self) -> OperationRecord:
        found = self.run.ledger.operation_of("snapshot", self.run.execution.name)
        assert found is not None
        return found


@pytest.fixture
def create(platform: Platform) -> Callable[..., None]:
    """Create a database that is to be backed up."""

    def make(name: str, **changes: Any) -> None:
        given: dict[str, Any] = {
            "DBInstanceIdentifier": name,
            "DBInstanceClass": "db.t4g.medium",
            "Engine": "postgres",
            "MasterUsername": "operator",
            "MasterUserPassword": "not-a-secret",
            "AllocatedStorage": 20,
            "Port": 5432,
            "StorageEncrypted": True,
            "Tags": [{"Key": "backup", "Value": "true"}],
        }
        clients.client("rds").create_db_instance(**given | changes)

    return make


@pytest.fixture
def fleet(create: Callable[..., None], platform: Platform) -> None:
    """The service's database `orders` and one more; buckets; no cache."""
    create("orders")
    create("billing")
    found = clients.client("rds").describe_db_instances(DBInstanceIdentifier="orders")["DBInstances"][0]["Endpoint"]
    ssm, s3 = clients.client("ssm"), clients.client("s3")
    for kind, value in (("database", f"{found['Address']}:{found['Port']}"), ("cache", "nowhere:6379")):
        ssm.put_parameter(Name=f"/detection-api/dev/endpoints/{kind}", Value=value, Type="String")
    for bucket in (platform.backup_bucket, platform.cache_export_bucket, platform.terraform_state_bucket):
        s3.create_bucket(Bucket=bucket)


@pytest.fixture
def begin(fleet: None, run: Run, clock: FixedClock, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Machine]:
    """Begin a run; each begins at the hour after the last."""
    hours = [0]
    monkeypatch.setattr(plan_snapshots, "ended_execution", lambda _: None)
    # moto does not know DescribeAccountAttributes.
    monkeypatch.setattr(Databases, "snapshot_quota", lambda _: Quota(used=0, maximum=100))

    def start(name: str | None = None, *, hours_later: int = 1, **given: Any) -> Machine:
        hours[0] += hours_later
        clock.at = datetime(2026, 11, 23, tzinfo=UTC) + timedelta(hours=hours[0], seconds=5)
        name = name or f"run-{hours[0]}"
        own = replace(run, execution=Execution(f"{ARN}:{name}", name, clock.at))
        settings = SETTINGS | given.pop("settings", {})
        return Machine(own, clock, {"scheduled_at": timestamp(clock.at), **given}, settings)

    return start
