"""Drill: is in the copy of the cache what was backed up, and does it take writes?"""

from typing import Any

from opskit.adapters.backed_up import read_component
from opskit.adapters.keyspace import open_cache, read_cache_contents, read_expiries, verify_write
from opskit.clock import timestamp
from opskit.decisions.contents import CacheContents
from opskit.decisions.copies import CacheCopy
from opskit.decisions.drill_checks import check_restored_cache, recorded_cache
from opskit.decisions.drill_outcome import component_result, failed_result
from opskit.decisions.manifest import Kind
from opskit.errors import CacheError, ManifestError, NotFoundError
from opskit.step import Run, step


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return the component's result (see `decisions.drill_outcome`). Safe to repeat.

    Raises:
        UnavailableError: the copy does not answer (yet).
    """
    plan, restored = event["plan"], event["restored"]
    source = plan["sources"]["cache"]["identifier"]
    more: dict[str, Any] = {
        "phases": [["ask", restored["asked_at"]], ["restore", restored["available_at"]]],
        "verified_at": None,
        "copy": restored["copy"],
        "differences": restored["differences"],
    }
    try:
        recorded = read_component(run.platform.backup_bucket, run.ledger, plan["manifest"], Kind.CACHE, source)
        loaded_at = run.clock.now()
        found = _read(run, CacheCopy.from_dict(plan["cache"]), restored["copy"]["endpoint"], recorded_cache(recorded))
        more["verified_at"] = timestamp(run.clock.now())
    except (CacheError, ManifestError, NotFoundError) as error:
        return failed_result("cache", str(error), **more)
    checks = check_restored_cache(recorded, found, loaded_at=loaded_at, tolerances=event["request"]["tolerances"])
    return component_result("cache", checks, **more)


def _read(run: Run, copy: CacheCopy, endpoint: str, recorded: CacheContents) -> CacheContents:
    """The copy's counts, and when those of the recorded keys that it has expire."""
    host, _, port = endpoint.rpartition(":")
    user = run.platform.cache_user
    with open_cache(
        host,
        int(port),
        tls=copy.configuration.transit_encryption,
        user=None if user.lower() == "none" else user,
        group=copy.name,
    ) as client:
        counted = read_cache_contents(client, sample=0)
        expiries = read_expiries(client, list(recorded.expiries))
        verify_write(client)
    return CacheContents(counted.keys, counted.expiring, expiries)
