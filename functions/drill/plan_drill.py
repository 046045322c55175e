"""Drill, step 1: what will be restored, checked and torn down, from what is there now. Changes nothing."""

from typing import Any

from opskit.adapters.caches import Caches
from opskit.adapters.databases import Databases
from opskit.adapters.endpoints import CACHE, DATABASE, Endpoints
from opskit.adapters.manifests import WORKFLOW as SNAPSHOT
from opskit.adapters.manifests import Manifests
from opskit.clock import timestamp
from opskit.decisions.drill import WORKFLOW
from opskit.decisions.live import live_cache, live_database
from opskit.decisions.manifest import Manifest
from opskit.decisions.rehearsal import Place, Seen, plan_rehearsal
from opskit.errors import InvalidInputError, ManifestError, NotFoundError
from opskit.schema import validate
from opskit.step import Run, step

# Three days of hourly runs: objectives have long failed by then.
RECORDS = 72


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return `{"request", "plan"}`; the plan's decision is PROCEED, REFUSE or DUPLICATE, with the reason.

    Raises:
        InvalidInputError: the input does not fit its schema, or is for another environment.
        PlatformContractError: the parameters that say where the service's database and cache are, are missing.
    """
    request = validate("drill", event["input"])
    here = run.settings
    if request.get("environment", here.environment) != here.environment:
        raise InvalidInputError(f"this is the drill of {here.environment}, the input is for {request['environment']}")
    plan = plan_rehearsal(
        request,
        _see(run, request["components"]),
        service=here.service,
        environment=here.environment,
        execution=run.execution.name,
        started_at=run.execution.started_at,
    ).as_dict()
    plan["planned_at"] = timestamp(run.clock.now())
    if earlier := _held_already(run, request):
        plan |= {"decision": "DUPLICATE", "reason": f"the drill of {request['scheduled_at']} is {earlier}"}
    return {"request": request, "plan": plan}


def _see(run: Run, components: list[str]) -> Seen:
    platform = run.platform
    endpoints = Endpoints(platform.service, platform.environment)
    manifest, problem = _last_complete(run)
    database = cache = None
    if DATABASE in components:
        database = live_database(Databases().instances(), endpoints.read(DATABASE).text)
    if CACHE in components:
        cache = live_cache(Caches().groups(), endpoints.read(CACHE).text)
    place = Place(platform.drill_subnet_group, platform.drill_cache_subnet_group, platform.drill_security_group_id)
    return Seen(place, manifest, problem, database, cache)


def _last_complete(run: Run) -> tuple[Manifest | None, str]:
    """The manifest that was complete when its hash was recorded; one that was changed since is not passed over."""
    for record in run.ledger.operations(SNAPSHOT, RECORDS):
        written = record.facts.get("manifest") or {}
        if written.get("complete"):
            try:
                found = Manifests(run.platform.backup_bucket, run.ledger).read(written["key"], sha256=written["sha256"])
            except (ManifestError, NotFoundError) as error:
                return None, f"the last complete manifest, {written['key']}, cannot be used: {error}"
            return found, ""
    return None, f"none of the last {RECORDS} snapshot runs has a complete manifest"


def _held_already(run: Run, request: dict[str, Any]) -> str | None:
    """The execution that a former delivery of the same event started, if there was one."""
    scheduled = request.get("scheduled_at")
    if scheduled is None or request["dry_run"]:
        return None
    return run.ledger.started_by(WORKFLOW, scheduled, other_than=run.execution.id)
