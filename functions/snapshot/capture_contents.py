"""Snapshot: what is in the service's database and cache, before and after the backup, for drills to compare."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from opskit.adapters.database_contents import read_contents
from opskit.adapters.endpoints import Endpoint
from opskit.adapters.handover import Handover
from opskit.adapters.keyspace import open_cache, read_cache_contents, read_expiries
from opskit.adapters.service_database import READER, open_database
from opskit.adapters.snapshot_documents import documents_of
from opskit.errors import OpsError
from opskit.failures import named_failure
from opskit.step import Run, step


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return where the contents are, by `database` and `cache`; one that could not be read has a `problem` instead.

    Which of them are read is in the plan, as `capture`. After the backup the cache is asked for the keys that were
    sampled `before` it: so it shows which of them stood still.
    """
    run.hold(event)
    plan = event["plan"]
    documents = documents_of(run.platform.backup_bucket, plan["hour"], run.execution.name)
    sampled = _sampled(documents, event["before"])
    readers: dict[str, Callable[[Run, dict[str, Any]], dict[str, Any]]] = {
        "database": _database,
        "cache": lambda run, live: _cache(run, live, sampled),
    }
    captured: dict[str, Any] = {}
    for kind in plan["capture"]:
        live = plan["live"].get(kind)
        if not live:
            continue
        try:
            captured[kind] = {"identifier": live["identifier"], "contents": readers[kind](run, live)}
        except Exception as error:
            # The backups themselves are worth having without this, so nothing stops here.
            found = named_failure(error)
            if not isinstance(found, OpsError):
                run.logger.exception("the contents of the %s could not be read", kind)
            captured[kind] = {"identifier": live["identifier"], "problem": f"{type(found).__name__}: {found}"}
    return documents.give(f"contents-{event['when']}", captured)


def _database(run: Run, live: dict[str, Any]) -> dict[str, Any]:
    # The endpoint is the one that the plan has found, so that both captures are of the same database.
    endpoint = Endpoint(live["host"], live["port"], version=0)
    with open_database(run.platform, endpoint, READER) as session:
        return read_contents(session).as_dict()


def _sampled(documents: Handover, before: dict[str, Any] | None) -> list[str] | None:
    """The keys that were sampled before the backup; None if that is now, or could not be done."""
    if before is None or "problem" in before:
        return None
    contents = documents.take(before).get("cache", {}).get("contents")
    return list(contents["expiries"]) if contents else None


def _cache(run: Run, live: dict[str, Any], sampled: list[str] | None) -> dict[str, Any]:
    user = run.platform.cache_user
    login = None if user.lower() == "none" else user
    with open_cache(live["host"], live["port"], tls=live["tls"], user=login, group=live["identifier"]) as client:
        if sampled is None:
            return read_cache_contents(client).as_dict()
        counted = read_cache_contents(client, sample=0)
        return replace(counted, expiries=read_expiries(client, sampled)).as_dict()
