"""Manifests, contents and configurations to decide on, with one thing changed at a time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from opskit.adapters.cache_state import CacheConfiguration
from opskit.adapters.database_state import DatabaseConfiguration
from opskit.decisions.contents import CacheContents, DatabaseContents
from opskit.decisions.manifest import Component, Kind, Manifest, Status

HOUR = datetime(2026, 11, 23, 9, tzinfo=UTC)

CONTENTS = DatabaseContents(
    schema_sha256="5c", rows={"detections": 1000, "sites": 12}, checksums={"sites": "51"}, heartbeat=HOUR
)


def contents(**changes: Any) -> DatabaseContents:
    return replace(CONTENTS, **changes)


def component(kind: Kind, hour: datetime = HOUR, **changes: Any) -> Component:
    part = Component(
        kind=kind,
        resource={Kind.DATABASE: "db", Kind.CACHE: "cache"}.get(kind, "all"),
        status=Status.VERIFIED,
        id=f"{kind}-{hour:%Y%m%d%H}",
        taken_at=hour + timedelta(minutes=4),
        bytes=4096,
        sha256="ab" * 32,
        counts={"parts": 3},
        contents={"before": CONTENTS.as_dict()} if kind is Kind.DATABASE else {},
    )
    return replace(part, **changes)


def manifest(hours: int = 0, run: str = "run-1", **changes: Any) -> Manifest:
    """A complete manifest of the hour that is `hours` after HOUR; `database=...` and so on change a component."""
    hour = HOUR + timedelta(hours=hours)
    parts = [component(kind, hour, **changes.pop(kind.value, {})) for kind in Kind]
    whole = Manifest(
        service="detection-api",
        environment="dev",
        hour=hour,
        run=run,
        started_at=hour + timedelta(seconds=2),
        finished_at=hour + timedelta(minutes=10),
        components=tuple(parts),
    )
    return replace(whole, **changes)


FAILED = {"status": Status.FAILED, "reason": "RDS could not take it"}

DATABASE = DatabaseConfiguration(
    engine="postgres",
    engine_version="15.18",
    instance_class="db.t4g.medium",
    allocated_gib=50,
    storage_type="gp3",
    subnet_group="private",
    security_groups=("sg-1", "sg-2"),
    parameter_group="detection-api-dev",
    port=5432,
    option_group="audited",
    iops=3000,
    storage_throughput=125,
    max_allocated_gib=200,
    multi_az=True,
    iam_authentication=True,
    encrypted=True,
    kms_key="arn:aws:kms:us-east-1:000000000000:key/1",
    deletion_protection=True,
    backup_retention_days=7,
    copy_tags_to_snapshot=True,
    certificate_authority="rds-ca-rsa2048-g1",
    log_exports=("postgresql", "upgrade"),
)
CACHE = CacheConfiguration(
    engine="redis",
    engine_version="7.0.7",
    node_type="cache.t4g.medium",
    subnet_group="private",
    security_groups=("sg-3",),
    parameter_group="detection-api-dev",
    port=6379,
    replicas_per_group=2,
    automatic_failover=True,
    multi_az=True,
    transit_encryption=True,
    transit_encryption_mode="required",
    at_rest_encryption=True,
    kms_key="arn:aws:kms:us-east-1:000000000000:key/1",
    user_groups=("detection-api",),
    snapshot_retention_days=30,
)
CACHE_CONTENTS = CacheContents(
    keys=100,
    expiring=60,
    expiries={"lasting": None} | {f"k{n}": HOUR + timedelta(hours=n + 1) for n in range(20)},
)
