"""A complete set of backups with its manifest, as a snapshot run leaves it, made by hand: so that it can be wrong."""

import hashlib
import json
import sqlite3
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from opskit.adapters.caches import Caches
from opskit.adapters.copies import DATABASE_AUTHORITIES
from opskit.adapters.database_contents import read_contents
from opskit.adapters.databases import Databases
from opskit.adapters.keyspace import read_cache_contents
from opskit.adapters.manifests import Manifests
from opskit.adapters.objects import Objects
from opskit.adapters.sql import connect
from opskit.decisions.contents import CacheContents, DatabaseContents
from opskit.decisions.live import live_cache
from opskit.decisions.manifest import Component, Kind, Manifest, Status
from opskit.decisions.restore_source import remembered
from opskit.decisions.snapshot import snapshot_tags
from opskit.ledger import OperationRecord
from sandbox.operator import Operator


def take_backup(operator: Operator, **changes: Any) -> Manifest:
    """Back up what is live and put it on record; `database=...` and so on change a component of the manifest."""
    started, run = datetime.now(UTC), f"hand-{uuid.uuid4().hex[:8]}"
    parts = [
        _database(operator, run, started),
        _cache(operator, run, started),
        _document(operator, Kind.CLUSTER, f"cluster-configuration/{run}.json", {"objects": []}),
        _document(operator, Kind.STATE, f"terraform-state/{run}.tfstate", {"version": 4, "resources": []}),
        _data(operator, run),
    ]
    manifest = Manifest(
        service=operator.config.service,
        environment=operator.config.environment,
        hour=started.replace(minute=0, second=0, microsecond=0),
        run=run,
        started_at=started,
        finished_at=datetime.now(UTC),
        components=tuple(replace(part, **changes.get(part.kind.value, {})) for part in parts),
    )
    objects = Objects(operator.platform.backup_bucket, operator.clients["s3"])
    Manifests(operator.platform.backup_bucket, operator.ledger, objects).write(manifest)
    put_on_record(operator, manifest)
    return manifest


def put_on_record(operator: Operator, manifest: Manifest) -> None:
    """Make the manifest the newest on record: a run that ends now, with its hash."""
    name = f"{manifest.run}-{uuid.uuid4().hex[:4]}"
    run = OperationRecord("snapshot", name, name, datetime.now(UTC))
    operator.ledger.open_operation(run)
    written = {"key": manifest.key, "sha256": manifest.sha256, "complete": manifest.complete}
    operator.ledger.close_operation(run.key, "COMPLETE", "by hand", facts={"manifest": written})


def contents_of(operator: Operator, endpoint: str) -> DatabaseContents:
    """What is in the database at `endpoint`."""
    host, _, port = endpoint.rpartition(":")
    authorities = operator.read(DATABASE_AUTHORITIES).decode()
    with connect(
        host,
        int(port),
        database=operator.platform.database_name,
        user="ops_reader",
        authorities=authorities,
        client=operator.clients["rds"],
    ) as session:
        return read_contents(session)


def _database(operator: Operator, run: str, at: datetime) -> Component:
    databases = Databases(operator.clients["rds"])
    identifier = operator.database()["DBInstanceIdentifier"]
    endpoint = operator.endpoint("database")
    source = databases.instance(identifier)
    assert source is not None
    name = f"{operator.config.name}-{run}"
    before = contents_of(operator, operator.endpoint("database"))
    here = operator.config
    databases.take_snapshot(identifier, name, snapshot_tags(here.service, here.environment, identifier, at, run))
    found = operator.until(
        lambda: databases.snapshot(name), lambda one: bool(one and one.status == "available"), name, seconds=30
    )
    after = contents_of(operator, operator.endpoint("database"))
    assert found is not None
    return Component(
        kind=Kind.DATABASE,
        resource=identifier,
        status=Status.VERIFIED,
        id=name,
        taken_at=found.taken_at,
        contents={"before": before.as_dict(), "after": after.as_dict()} | remembered(source, endpoint),
    )


def _cache(operator: Operator, run: str, at: datetime) -> Component:
    caches = Caches(operator.clients["elasticache"], operator.clients["resourcegroupstaggingapi"])
    here, endpoint = operator.config, operator.endpoint("cache")
    source = live_cache(caches.groups(), endpoint)
    assert source is not None
    group = source.identifier
    with operator.cache() as client:
        contents: CacheContents = read_cache_contents(client)
    name = f"{here.name}-{run}"
    caches.take_snapshot(group, name, snapshot_tags(here.service, here.environment, group, at, run))

    def ready() -> Any:
        return operator.until(
            lambda: caches.snapshot(name), lambda one: bool(one and one.status == "available"), name, seconds=30
        )

    found, bucket = ready(), operator.platform.cache_export_bucket
    caches.export_snapshot(name, bucket, name)
    keys = operator.until(lambda: operator.keys(name, bucket), bool, f"the export of {name}", seconds=30)
    ready()
    digest = hashlib.sha256(operator.read(keys[0], bucket)).hexdigest()
    return Component(
        kind=Kind.CACHE,
        resource=group,
        status=Status.VERIFIED,
        id=name,
        taken_at=found.taken_at,
        sha256=digest,
        contents={"before": contents.as_dict(), "exports": [{"key": keys[0], "sha256": digest}]}
        | remembered(source, endpoint),
    )


def _document(operator: Operator, kind: Kind, key: str, document: dict[str, Any]) -> Component:
    body = json.dumps(document).encode()
    operator.write(key, body)
    return Component(kind, "all", Status.VERIFIED, id=key, sha256=hashlib.sha256(body).hexdigest())


def _data(operator: Operator, run: str) -> Component:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "queue.db"
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE queue (id INTEGER PRIMARY KEY, body TEXT)")
            database.executemany("INSERT INTO queue (body) VALUES (?)", [("x" * 100,)] * 500)
        database.close()
        body = path.read_bytes()
    key = f"application-data/{run}/queue.db"
    operator.write(key, body)
    digest = hashlib.sha256(body).hexdigest()
    return Component(Kind.DATA, "queue", Status.VERIFIED, id=key, sha256=digest, counts={"rows": 500})
