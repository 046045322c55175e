"""What earlier runs would have left: manifests, and records of snapshots and drills, written as they write them."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from opskit.adapters.manifests import Manifests
from opskit.adapters.objects import Objects
from opskit.decisions.manifest import Component, Kind, Manifest, Status
from opskit.ledger import Ledger, OperationRecord
from sandbox.operator import Operator


@dataclass
class Then:
    """A clock that stands at a moment of the past."""

    moment: datetime

    def now(self) -> datetime:
        return self.moment


def ago(**since: float) -> datetime:
    return datetime.now(UTC) - timedelta(**since)


def ledger_at(operator: Operator, moment: datetime) -> Ledger:
    config = operator.config
    client = operator.clients["dynamodb"]
    return Ledger(f"{config.name}-ledger", config.service, config.environment, clock=Then(moment), client=client)


def record(
    operator: Operator, workflow: str, outcome: str, facts: dict[str, Any], *, started: datetime, ended: datetime
) -> str:
    """A closed record; its execution's name."""
    name = f"past-{uuid.uuid4().hex[:12]}"
    opened = OperationRecord(workflow, f"{operator.machine_of(workflow)}:{name}", name, started, facts=facts)
    operator.ledger.open_operation(opened)
    ledger_at(operator, ended).close_operation(opened.key, outcome, "of the past")
    return name


def drill(operator: Operator, outcome: str = "PASS", *, ended: datetime, rto: float | None, rpo: float | None) -> str:
    facts = {"rto_seconds": rto, "rpo_seconds": rpo}
    return record(operator, "drill", outcome, facts, started=ended - timedelta(minutes=20), ended=ended)


def manifest(
    operator: Operator,
    cache_snapshot: str,
    *,
    finished: datetime,
    cache_taken: datetime,
    failed: Kind | None = None,
) -> Manifest:
    """The manifest of a run that has ended, with its record: complete, unless a kind of component `failed`."""
    name, hour = operator.config.name, finished.replace(minute=0, second=0, microsecond=0)
    started = finished - timedelta(minutes=5)
    parts = []
    for kind in Kind:
        part = Component(kind, name, Status.VERIFIED, id=f"{kind}-{hour:%Y%m%d%H}", taken_at=started)
        if kind is Kind.CACHE:
            part = replace(part, id=cache_snapshot, taken_at=cache_taken)
        if kind is failed:
            part = replace(part, status=Status.FAILED, reason="told to fail")
        parts.append(part)
    made = Manifest(
        service=operator.config.service,
        environment=operator.config.environment,
        hour=hour,
        run=f"past-{uuid.uuid4().hex[:12]}",
        started_at=started,
        finished_at=finished,
        components=tuple(parts),
    )
    bucket = operator.platform.backup_bucket
    written = Manifests(bucket, operator.ledger, Objects(bucket, operator.clients["s3"])).write(made)
    facts = {"manifest": {"key": written.key, "sha256": written.sha256, "complete": made.complete}}
    outcome = "COMPLETE" if made.complete else "INCOMPLETE"
    record(operator, "snapshot", outcome, facts, started=started, ended=finished)
    return made


@contextmanager
def without_records(operator: Operator, *workflows: str) -> Iterator[None]:
    """As if these workflows had never run; their records are put back at the end, and those of meanwhile removed."""
    kept = _take(operator, workflows)
    try:
        yield
    finally:
        _take(operator, workflows)
        for item in kept:
            operator.clients["dynamodb"].put_item(TableName=f"{operator.config.name}-ledger", Item=item)


def _take(operator: Operator, workflows: tuple[str, ...]) -> list[dict[str, Any]]:
    client, table = operator.clients["dynamodb"], f"{operator.config.name}-ledger"
    pages = client.get_paginator("scan").paginate(TableName=table)
    prefixes = tuple(f"OPERATION#{workflow}#" for workflow in workflows)
    found = [item for page in pages for item in page["Items"] if item["sk"]["S"].startswith(prefixes)]
    for item in found:
        client.delete_item(TableName=table, Key={"pk": item["pk"], "sk": item["sk"]})
    return found
