"""Snapshot: take what can be taken, look at what was taken; asked again until nothing is left to wait for."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from opskit.adapters.caches import Caches
from opskit.adapters.databases import Databases
from opskit.adapters.objects import Objects
from opskit.adapters.snapshot_documents import documents_of
from opskit.clock import moment_of
from opskit.decisions.manifest import Kind
from opskit.decisions.snapshot import snapshot_tags
from opskit.decisions.taking import (
    Limits,
    Part,
    Phase,
    judge_cache_snapshot,
    judge_database_snapshot,
    judge_export,
    judge_waiting,
    put_off,
)
from opskit.errors import NotReadyError, ThrottledError, UnavailableError
from opskit.failures import named_failure
from opskit.step import Run, step

# As many connections as botocore's pool has.
THREADS = 10
# Of the function's timeout, for beginning snapshots; the next look begins what is left.
BEGIN_SECONDS = 60
_PASSING = (ThrottledError, UnavailableError, NotReadyError)


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return where the parts are now, and how many of them are `pending`; what happens to one is part of its data.

    In the `first` look the sources are as the plan has found them. Later, only those sources and snapshots are
    described that are waited for, 100 with each call.
    """
    run.hold(event)
    plan, settings = event["plan"], event["settings"]
    documents = documents_of(run.platform.backup_bucket, plan["hour"], run.execution.name)
    parts = [Part.from_dict(part) for part in documents.take(event["parts"])]
    limits = Limits(settings["source_wait_seconds"], settings["snapshot_timeout_seconds"])
    look = _Look(run, moment_of(plan["hour"]), limits, run.clock.now(), Databases(), Caches())
    if not event["first"]:
        parts = look.at_snapshots(look.at_sources(parts))
    with ThreadPoolExecutor(THREADS) as pool:
        parts = list(pool.map(look.begin, parts))
    return {
        "parts": documents.give("parts", [part.as_dict() for part in parts]),
        "pending": sum(part.pending for part in parts),
        "exported": sum(part.phase is Phase.EXPORTED for part in parts),
        "phases": {phase.value: count for phase in Phase if (count := sum(part.phase is phase for part in parts))},
    }


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at all parts, begun at `now`."""

    run: Run
    hour: datetime
    limits: Limits
    now: datetime
    databases: Databases
    caches: Caches

    def at_sources(self, parts: list[Part]) -> list[Part]:
        """The parts, with the statuses of the sources that are waited for."""
        waiting = [part for part in parts if part.phase is Phase.WAITING]
        names = [part.resource for part in waiting if part.kind is Kind.DATABASE]
        statuses = {Kind.DATABASE: self.databases.statuses(names) if names else {}}
        statuses[Kind.CACHE] = self.caches.statuses() if len(names) < len(waiting) else {}
        return [
            replace(part, status=statuses[part.kind].get(part.resource, "deleted"))
            if part.phase is Phase.WAITING
            else part
            for part in parts
        ]

    def at_snapshots(self, parts: list[Part]) -> list[Part]:
        """The parts, with what has become of the snapshots and exports that were begun."""
        names = [part.snapshot for part in parts if part.kind is Kind.DATABASE and part.phase is Phase.TAKEN]
        begun = [part for part in parts if part.kind is Kind.CACHE and part.phase in (Phase.TAKEN, Phase.EXPORTING)]
        found = self.databases.snapshots_named(names) if names else {}
        cached = self.caches.snapshots_without_tags() if begun else {}
        exports = Objects(self.run.platform.cache_export_bucket)
        looked = []
        for part in parts:
            now = part
            if part.kind is Kind.DATABASE and part.phase is Phase.TAKEN:
                now = judge_database_snapshot(part, found.get(part.snapshot), self.now, self.limits)
            elif part.kind is Kind.CACHE and part.phase in (Phase.TAKEN, Phase.EXPORTING):
                snapshot = cached.get(part.snapshot)
                if part.phase is Phase.TAKEN:
                    now = judge_cache_snapshot(part, snapshot, self.now, self.limits)
                if now.phase is Phase.EXPORTING:
                    now = self._export(now, snapshot.status if snapshot else "deleted", exports)
            looked.append(now)
        return looked

    def begin(self, part: Part) -> Part:
        """The part, its snapshot begun if that is possible now. Begun before, by whatever run, it is found again."""
        if part.phase is not Phase.WAITING or (self.run.clock.now() - self.now).total_seconds() > BEGIN_SECONDS:
            return part
        waited, ready = judge_waiting(part, self.now, self.limits)
        if not ready:
            return waited
        here = self.run.settings
        tags = snapshot_tags(here.service, here.environment, part.resource, self.hour, self.run.execution.name)

        def take() -> None:
            if part.kind is Kind.DATABASE:
                self.databases.take_snapshot(part.resource, part.snapshot, tags)
            else:
                self.caches.take_snapshot(part.resource, part.snapshot, tags, node=part.node)

        return self._refused(waited, take) or waited.moved(Phase.TAKEN, self.run.clock.now())

    def _export(self, part: Part, status: str, bucket: Objects) -> Part:
        listed = [{"key": found.key, "bytes": found.bytes} for found in bucket.list(part.snapshot)]
        looked = judge_export(part, status, listed, self.now, self.limits)
        if looked.phase is not Phase.EXPORTING or status != "available":
            return looked
        target = self.run.platform.cache_export_bucket
        return (
            self._refused(looked, lambda: self.caches.export_snapshot(part.snapshot, target, part.snapshot)) or looked
        )

    def _refused(self, part: Part, call: Callable[[], object]) -> Part | None:
        """What becomes of the part where AWS refuses the call; None if it does not."""
        try:
            call()
        except Exception as error:
            self.run.logger.warning("the snapshot of %s was refused", part.resource, exc_info=True)
            named = named_failure(error)
        else:
            return None
        reason = f"{type(named).__name__}: {named}"
        if isinstance(named, _PASSING):
            return put_off(part, reason, self.now, self.limits)
        return part.moved(Phase.FAILED, self.now, reason)
