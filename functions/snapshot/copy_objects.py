"""Snapshot: the Terraform state and the newest dump of the application's data, checked, copied to keys of the run."""

import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from opskit.adapters.objects import Objects, Streamed
from opskit.adapters.sqlite_dump import inspect_dump
from opskit.clock import moment_of
from opskit.decisions.manifest import Component, Kind, Status, object_key
from opskit.decisions.terraform_state import inspect_state
from opskit.errors import NotFoundError, ThrottledError, UnavailableError
from opskit.failures import named_failure
from opskit.step import Run, step

INCOMING = "application-data/incoming/"


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return the `components` for the manifest, of those that `event["plan"]` asks for. Safe to repeat."""
    run.hold(event)
    plan, age = event["plan"], event["settings"]["dump_age_seconds"]
    hour = moment_of(plan["hour"])
    copies: dict[Kind, Callable[[], Component]] = {
        Kind.STATE: lambda: _state(run, hour),
        Kind.DATA: lambda: _dump(run, hour, age),
    }
    wanted = [kind for kind in copies if kind in plan["request"]["components"]]
    return {"components": [_copied(run, kind, copies[kind]).as_dict() for kind in wanted]}


def _copied(run: Run, kind: Kind, copy: Callable[[], Component]) -> Component:
    """The component; what goes wrong with one is no reason not to copy the other."""
    try:
        return copy()
    except Exception as error:
        found = named_failure(error)
        if isinstance(found, ThrottledError | UnavailableError):
            raise
        run.logger.warning("no copy of the %s", kind, exc_info=True)
        return Component(kind, str(kind), Status.FAILED, f"{type(found).__name__}: {found}")


def _state(run: Run, hour: datetime) -> Component:
    platform = run.platform
    source = platform.terraform_state_key
    content = Objects(platform.terraform_state_bucket).get(source)
    found = inspect_state(content)
    key = object_key("terraform-state", hour, run.execution.name, ".tfstate")
    taken_at = run.clock.now()
    written = Objects(platform.backup_bucket).keep(key, content, content_type="application/json")
    return Component(
        Kind.STATE,
        source,
        Status.FAILED if found.problem else Status.VERIFIED,
        found.problem or f"lineage {found.lineage}",
        id=written.key,
        taken_at=taken_at,
        bytes=written.bytes,
        sha256=written.sha256,
        counts=found.counts,
    )


def _dump(run: Run, hour: datetime, age_seconds: float) -> Component:
    """The newest dump that the service has left; one that is too old or damaged is no backup."""
    bucket = Objects(run.platform.backup_bucket)
    dumps = [found for found in bucket.list(INCOMING) if found.key.endswith(".db")]
    newest = max(dumps, key=lambda found: (found.modified_at, found.key), default=None)
    if newest is None:
        raise NotFoundError(f"the service has left no dump under {INCOMING}")
    name = Path(newest.key).name
    age = (run.clock.now() - newest.modified_at).total_seconds()
    if age > age_seconds:
        reason = f"{newest.key} is {age:.0f} s old; no more than {age_seconds:.0f} s are allowed"
        return Component(Kind.DATA, name, Status.FAILED, reason, taken_at=newest.modified_at)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "dump.db"
        read = bucket.stream(newest.key, path)
        dump = inspect_dump(path)
        problem = dump.problem
        if not problem and read.metadata.get("sha256") != read.sha256:
            problem = f"its SHA-256 is {read.sha256}, but it was written as {read.metadata.get('sha256')}"
        facts: dict[str, Any] = {"taken_at": _dumped_at(read), "bytes": read.bytes, "sha256": read.sha256}
        facts["counts"] = {"tables": len(dump.rows), "rows": sum(dump.rows.values()), **dump.rows}
        if problem:
            return Component(Kind.DATA, name, Status.FAILED, f"{newest.key}: {problem}", **facts)
        key = object_key("application-data", hour, run.execution.name, f"/{name}")
        written = bucket.keep_file(key, path, read.sha256)
    return Component(Kind.DATA, name, Status.VERIFIED, None, id=written.key, **facts)


def _dumped_at(read: Streamed) -> datetime:
    """When the service made the dump, if it says so; it was stored somewhat later."""
    try:
        return min(moment_of(read.metadata["dumped-at"]), read.modified_at)
    except (KeyError, ValueError):
        return read.modified_at
