"""Plans of dry runs, as the workflows' own rules make them."""

from datetime import timedelta
from typing import Any

from opskit.adapters.cache_state import CacheState
from opskit.adapters.database_state import DatabaseState, RestoreWindow
from opskit.decisions.manifest import Kind
from opskit.decisions.rehearsal import Place, Seen, plan_rehearsal
from opskit.decisions.restore import Wanted
from opskit.decisions.restore_plan import Identity, Log, Observed, plan_parts
from opskit.decisions.restore_source import Sought, Source
from opskit.decisions.retention import Decided
from opskit.decisions.snapshot import Quota
from opskit.decisions.taking import Part, Phase
from tests.unit.decisions.backups import CACHE, CACHE_CONTENTS, DATABASE, HOUR, component, manifest

NOW = HOUR + timedelta(minutes=30)


def snapshot_plan(**changes: Any) -> dict[str, Any]:
    """As `functions/snapshot/plan_snapshots.py` puts it together."""
    waiting = Part(Kind.DATABASE, "db", "detection-api-dev-db-2026112309", since=0.0)
    skipped = Part(Kind.CACHE, "cache", "none", since=0.0, phase=Phase.SKIPPED, reason="no node can be backed up")
    reused = component(Kind.CACHE, reason="not due: every 2 hours")
    decided = Decided("detection-api-dev-db-2026112001", "db", HOUR - timedelta(days=3), "no rule keeps it")
    return {
        "hour": HOUR.isoformat(),
        "request": {"components": [kind.value for kind in Kind]},
        "lock": None,
        "decision": "PROCEED",
        "reason": "12 of 100 used",
        "quota": Quota(used=12, maximum=100).as_dict(),
        "warnings": ["the policy keeps more than the quota"],
        "take": [waiting.as_dict(), skipped.as_dict()],
        "known": [reused.as_dict() | {"contents": {}}],
        "prune": [decided.as_dict()],
        "prune_deferred": 3,
        "prune_blocked": None,
    } | changes


def drill_plan() -> dict[str, Any]:
    state = {"status": "available", "tags": {}}
    database = DatabaseState("db", "arn:db", "db-1", configuration=DATABASE, address="db.example", **state)
    cache = CacheState("cache", "arn:cache", configuration=CACHE, address="cache.example", **state)
    whole = manifest(cache={"contents": {"before": CACHE_CONTENTS.as_dict()}})
    seen = Seen(Place("drill-db", "drill-cache", "sg-9"), whole, database=database, cache=cache)
    request = {"components": [kind.value for kind in Kind], "method": "snapshot", "lifetime_seconds": 7200}
    return plan_rehearsal(
        request, seen, service="detection-api", environment="dev", execution="one", started_at=NOW
    ).as_dict()


def restore_plan() -> dict[str, Any]:
    """As `functions/restore/plan_restore.py` puts it together."""
    whole = manifest()
    observed = Observed(
        Sought(Source("db", "db.example:5432", DATABASE, resource_id="db-1"), ""),
        Sought(Source("cache", "cache.example:6379", CACHE), ""),
        Log("db", True, "db-1", RestoreWindow(HOUR - timedelta(days=7), NOW)),
        [whole],
        NOW,
        {whole.key: whole.sha256},
    )
    planned = plan_parts(
        {"mode": "replace"},
        Wanted(moment=NOW - timedelta(seconds=90)),
        observed,
        Identity("detection-api", "dev", "one", NOW, {"ops:restore-id": "x"}),
    )
    assert planned.refusals == ()
    return {
        "decision": "PROCEED",
        "mode": "replace",
        "expires_at": (NOW + timedelta(hours=24)).isoformat(),
        "parts": {kind.value: part.as_dict(NOW, observed.hashes) for kind, part in planned.parts.items()},
        "will_cut_over": ["database: db (db.example:5432) -> new"],
    }
