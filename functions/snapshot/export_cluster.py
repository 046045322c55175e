"""Snapshot: the configuration of the service's namespace, without secrets, into the backup bucket."""

from typing import Any

from opskit.adapters.cluster import connect_api
from opskit.adapters.namespace import export_namespace
from opskit.adapters.objects import Objects
from opskit.clock import moment_of
from opskit.decisions.evidence import canonical
from opskit.decisions.manifest import Component, Kind, Status, object_key
from opskit.step import Run, step


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return the `component` for the manifest, None if the run is not to have it. Safe to repeat.

    Raises:
        ClusterError: the cluster refuses or does not answer; worth a retry.
    """
    run.hold(event)
    if Kind.CLUSTER not in event["plan"]["request"]["components"]:
        return {"component": None}
    platform = run.platform
    api = connect_api(platform, session_name=run.execution.name)
    export = export_namespace(api, platform.namespace)
    content = canonical(export.as_dict())
    key = object_key("cluster-configuration", moment_of(event["plan"]["hour"]), run.execution.name, ".json")
    taken_at = run.clock.now()
    written = Objects(platform.backup_bucket).keep(key, content, content_type="application/json")
    notes = []
    if export.absent:
        notes.append(f"not served by this cluster: {', '.join(export.absent)}")
    if export.redacted:
        notes.append(f"{export.redacted} values looked like secrets and were redacted: move them into Secrets")
    if not export.objects:
        notes.append(f"the namespace {platform.namespace} is empty")
    component = Component(
        Kind.CLUSTER,
        platform.namespace,
        Status.VERIFIED if export.objects else Status.FAILED,
        "; ".join(notes) or None,
        id=written.key,
        taken_at=taken_at,
        bytes=written.bytes,
        sha256=written.sha256,
        counts={**export.counts, "objects": len(export.objects), "redacted": export.redacted},
    )
    return {"component": component.as_dict()}
