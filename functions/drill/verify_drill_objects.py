"""Drill: are the manifest and the objects that it names what was recorded, and can they be read?"""

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from opskit.adapters.manifests import Manifests
from opskit.adapters.objects import Objects
from opskit.adapters.sqlite_dump import inspect_dump
from opskit.decisions.drill_outcome import component_result, failed_result
from opskit.decisions.evidence import sha256
from opskit.decisions.manifest import Component, Kind, Manifest
from opskit.decisions.recovery import Check, check_object
from opskit.errors import ManifestError, NotFoundError
from opskit.step import Run, step
from opskit.verdict import Outcome

NAME = "objects"


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return the component's result (see `decisions.drill_outcome`). Safe to repeat."""
    plan = event["plan"]
    written = plan["manifest"]
    try:
        manifest = Manifests(run.platform.backup_bucket, run.ledger).read(written["key"], sha256=written["sha256"])
    except (ManifestError, NotFoundError) as error:
        return failed_result(NAME, str(error))
    checks = [Check("manifest", Outcome.PASS, f"its SHA-256 is as recorded, {written['sha256']}")]
    for kind in plan["components"]:
        checks += _checks(run, Kind(kind), manifest)
    return component_result(NAME, checks)


def _checks(run: Run, kind: Kind, manifest: Manifest) -> Iterator[Check]:
    for part in (part for part in manifest.components if part.kind is kind and part.id):
        if kind is Kind.CACHE:
            yield from _check_exports(run, part)
        elif kind is Kind.DATA:
            yield from _check_data(run, part)
        elif kind is not Kind.DATABASE:
            yield from _check_document(run, part)


def _check_exports(run: Run, part: Component) -> Iterator[Check]:
    """The cache's backup as files, one for each shard, by which it could be loaded outside of ElastiCache."""
    objects = Objects(run.platform.cache_export_bucket)
    exports = part.contents.get("exports", ())
    if not exports:
        yield Check(f"{part.kind} {part.resource}", Outcome.INCONCLUSIVE, "the manifest names no export of it")
    for export in exports:
        try:
            found = objects.stream(export["key"]).sha256
        except NotFoundError:
            found = None
        yield check_object(f"{part.kind} {part.resource}, {export['key']}", export.get("sha256"), found)


def _check_document(run: Run, part: Component) -> Iterator[Check]:
    """Cluster configuration and Terraform's state: JSON, of the recorded hash."""
    name = f"{part.kind} {part.resource}"
    try:
        content = Objects(run.platform.backup_bucket).get(str(part.id))
    except NotFoundError:
        yield check_object(name, part.sha256, None)
        return
    yield check_object(name, part.sha256, sha256(content))
    try:
        json.loads(content)
    except ValueError as error:
        yield Check(f"{name} can be read", Outcome.FAIL, f"it is not JSON: {error}")


def _check_data(run: Run, part: Component) -> Iterator[Check]:
    """A SQLite database: of the recorded hash, whole, and with as many rows as were counted."""
    name = f"{part.kind} {part.resource}"
    with TemporaryDirectory() as directory:
        path = Path(directory) / "copy.db"
        try:
            digest = Objects(run.platform.backup_bucket).stream(str(part.id), path).sha256
        except NotFoundError:
            yield check_object(name, part.sha256, None)
            return
        yield check_object(name, part.sha256, digest)
        dump = inspect_dump(path)
    if dump.problem:
        yield Check(f"{name} is whole", Outcome.FAIL, dump.problem)
        return
    yield Check(f"{name} is whole", Outcome.PASS, "SQLite finds nothing wrong")
    recorded, found = part.counts.get("rows"), sum(dump.rows.values())
    if recorded is None:
        yield Check(f"rows of {name}", Outcome.INCONCLUSIVE, f"{found} found; the manifest does not say how many")
    else:
        outcome = Outcome.PASS if recorded == found else Outcome.FAIL
        yield Check(f"rows of {name}", outcome, f"{found} found, {recorded} expected")
