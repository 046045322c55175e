"""Snapshot: read exported dumps through, and write down what this run has backed up, verified or not."""

from typing import Any

from opskit.adapters.cache_exports import verify_exports
from opskit.adapters.manifests import Manifests
from opskit.adapters.objects import Objects
from opskit.adapters.snapshot_documents import documents_of
from opskit.clock import moment_of, timestamp
from opskit.decisions.assembly import other_component, resource_components
from opskit.decisions.manifest import Component, Kind, Manifest, Status
from opskit.decisions.taking import Part
from opskit.step import Run, step

# Of the reasons, in what travels on; the manifest has them all.
SHOWN = 20


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return the manifest's `key`, `sha256` and `complete`, what is `missing`, and where the parts are now.

    Safe to repeat: the manifest's own times are those of the execution.
    """
    run.hold(event)
    plan, bucket = event["plan"], run.platform.backup_bucket
    hour = moment_of(plan["hour"])
    documents = documents_of(bucket, hour, run.execution.name)
    exports = Objects(run.platform.cache_export_bucket)
    finished_at = moment_of(event["finished_at"])
    given = [Part.from_dict(part) for part in documents.take(event["parts"])]
    parts = [verify_exports(part, exports, finished_at) for part in given]
    before, after = ({} if "problem" in found else documents.take(found) for found in (event["before"], event["after"]))
    components = [
        *resource_components(parts, plan["live"], before, after),
        *(Component.from_dict(one) for one in documents.take(plan["fixed"])),
        *_others(event),
    ]
    manifest = Manifest(
        service=run.settings.service,
        environment=run.settings.environment,
        hour=hour,
        run=run.execution.name,
        started_at=run.execution.started_at,
        finished_at=finished_at,
        components=tuple(components),
    )
    written = Manifests(bucket, run.ledger).write(manifest)
    missing = manifest.missing
    return {
        "key": written.key,
        "sha256": written.sha256,
        "complete": manifest.complete,
        "reason": _reason(manifest, event),
        "missing": list(missing[:SHOWN]),
        "counts": {status.value: sum(one.status is status for one in components) for status in Status},
        "newest_cache": _newest_cache(plan, components) or plan["previous"]["newest_cache"],
        "parts": documents.give("parts", [part.as_dict() for part in parts]),
    }


def _others(event: dict[str, Any]) -> list[Component]:
    """The components that other steps made; and where a step failed as a whole, those that it owes."""
    cluster, objects = event["cluster"], event["objects"]
    found = other_component(Kind.CLUSTER, cluster.get("component"), cluster.get("problem"))
    found += [Component.from_dict(one) for one in objects.get("components", ())]
    if problem := objects.get("problem"):
        owed = [kind for kind in (Kind.STATE, Kind.DATA) if kind in event["plan"]["request"]["components"]]
        found += [one for kind in owed for one in other_component(kind, None, problem)]
    return found


def _reason(manifest: Manifest, event: dict[str, Any]) -> str:
    verified = sum(part.status is Status.VERIFIED for part in manifest.components)
    if manifest.complete:
        return f"all {verified} components are verified"
    shown = "; ".join(manifest.missing[:3])
    more = f"; and {len(manifest.missing) - 3} more" if len(manifest.missing) > 3 else ""
    trouble = f" ({event['trouble']})" if event.get("trouble") else ""
    return f"{verified} of {len(manifest.components)} components are verified{trouble}: {shown}{more}"


def _newest_cache(plan: dict[str, Any], components: list[Component]) -> dict[str, Any] | None:
    """The backup of the service's own cache that is verified and newest now."""
    own = (plan["live"].get("cache") or {}).get("identifier")
    for part in components:
        if part.kind is Kind.CACHE and part.resource == own and part.status is Status.VERIFIED and part.taken_at:
            return {"id": part.id, "resource": part.resource, "taken_at": timestamp(part.taken_at)}
    return None
