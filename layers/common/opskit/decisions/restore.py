"""To which moment a database and a cache are restored, or why not."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from opskit.adapters.database_state import RestoreWindow
from opskit.clock import moment_of, timestamp
from opskit.decisions.manifest import Component, Kind, Manifest, choose_by_snapshot, choose_latest
from opskit.errors import InvalidInputError

LATEST = "latest"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for: the latest there is, the set of a snapshot, or a moment (aware)."""

    snapshot: str | None = None
    moment: datetime | None = None

    @property
    def words(self) -> str:
        """For people."""
        if self.moment:
            return timestamp(self.moment)
        return self.snapshot or LATEST


@dataclass(frozen=True, slots=True)
class DatabasePoint:
    """Where a database comes from: a DB snapshot, or its log at `moment` (with neither: the end of its log).

    `at` is the moment of which the data will be, as far as it is known beforehand; None where it is refused.
    """

    reason: str
    refused: bool = False
    snapshot: str | None = None
    moment: datetime | None = None
    at: datetime | None = None
    manifest: Manifest | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; of the manifest, its key."""
        return {
            "reason": self.reason,
            "refused": self.refused,
            "snapshot": self.snapshot,
            "moment": timestamp(self.moment) if self.moment else None,
            "at": timestamp(self.at) if self.at else None,
            "manifest": self.manifest.key if self.manifest else None,
        }


@dataclass(frozen=True, slots=True)
class CachePoint:
    """The backup that a cache is restored from, of which moment it is, and its component in the manifest."""

    reason: str
    refused: bool = False
    snapshot: str | None = None
    at: datetime | None = None
    component: Component | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "reason": self.reason,
            "refused": self.refused,
            "snapshot": self.snapshot,
            "at": timestamp(self.at) if self.at else None,
        }


def wanted_of(request: Mapping[str, Any]) -> Wanted:
    """What a schema-valid request (`schemas/restore.json`) asks for; the latest if it names neither.

    Raises InvalidInputError if it names a snapshot and a moment at once, or a moment without a time zone.
    """
    if "snapshot" in request and "moment" in request:
        raise InvalidInputError("snapshot and moment exclude each other: give one, or none for the latest")
    if "moment" not in request:
        return Wanted(snapshot=request.get("snapshot"))
    try:
        return Wanted(moment=moment_of(request["moment"]))
    except ValueError as error:
        raise InvalidInputError(f"moment must be ISO 8601 with a time zone: {error}") from None


def choose_database_point(
    wanted: Wanted,
    database: str,
    window: RestoreWindow | None,
    manifests: Sequence[Manifest],
    *,
    now: datetime,
    allow_incomplete: bool = False,
) -> DatabasePoint:
    """Where `database` is restored from.

    `window`: its point-in-time window, None if it has none. The latest is the end of the log where there is one, for
    it loses minutes and not an hour; else the newest complete manifest's snapshot. A moment needs the log; what could
    be had instead is in the refusal.
    """
    if wanted.snapshot is not None:
        choice = choose_by_snapshot(manifests, wanted.snapshot, allow_incomplete=allow_incomplete)
        return _from_manifest(choice.manifest, choice.reason, database)
    if wanted.moment is not None:
        return _at_moment(wanted.moment, database, window, manifests, now)
    if window is not None:
        reason = f"the latest restorable time, {timestamp(window.latest)}"
        return DatabasePoint(reason, at=window.latest)
    choice = choose_latest(manifests, allow_incomplete=allow_incomplete)
    return _from_manifest(choice.manifest, f"no automated backups, so {choice.reason}", database)


def choose_cache_point(
    manifests: Iterable[Manifest], cache: str, *, at: datetime | None, manifest: Manifest | None = None
) -> CachePoint:
    """The backup of `cache` that goes with a database as of `at`: the newest verified one taken no later.

    A cache that is newer than its database would hold what the database has never seen. With `manifest`, its own
    backup: a set is restored as a set. `at` None: the newest there is.
    """
    if manifest is not None:
        part = manifest.component(Kind.CACHE, cache)
        if part is None or part.id is None:
            return CachePoint(f"the manifest of {timestamp(manifest.hour)} has no backup of {cache}", refused=True)
        return _cache_point(f"of the same manifest: {part.id}", part)
    parts = [part for one in manifests if (part := one.component(Kind.CACHE, cache)) and part.id and part.taken_at]
    limit = f" taken at or before {timestamp(at)}" if at else ""
    fitting = {part.taken_at: part for part in parts if part.taken_at and (at is None or part.taken_at <= at)}
    if not fitting:
        return CachePoint(f"no verified backup of {cache}{limit}", refused=True)
    part = fitting[max(fitting)]
    return _cache_point(f"the newest verified backup{limit}: {part.id}", part)


def _from_manifest(manifest: Manifest | None, reason: str, database: str) -> DatabasePoint:
    if manifest is None:
        return _refused(reason)
    part = manifest.component(Kind.DATABASE, database)
    if part is None or part.id is None:
        reason = f"the manifest of {timestamp(manifest.hour)} has no verified snapshot of {database}"
        return _refused(reason)
    return DatabasePoint(reason, snapshot=part.id, at=part.taken_at, manifest=manifest)


def _at_moment(
    moment: datetime, database: str, window: RestoreWindow | None, manifests: Sequence[Manifest], now: datetime
) -> DatabasePoint:
    asked = timestamp(moment)
    if moment > now:
        return _refused(f"{asked} is still to come")
    if window is None:
        return _refused(f"no automated backups, so no restore to a moment{_instead(moment, database, manifests)}")
    if moment < window.earliest:
        reason = f"{asked} is before the earliest restorable time, {timestamp(window.earliest)}"
        return _refused(reason + _instead(moment, database, manifests))
    if moment >= window.latest:  # RestoreTime must lie before it
        reason = (
            f"{asked} is not before the latest restorable time, {timestamp(window.latest)}, which follows by about "
            "five minutes: ask again then, or for the latest"
        )
        return _refused(reason)
    return DatabasePoint(f"the log up to {asked}", moment=moment, at=moment)


def _instead(moment: datetime, database: str, manifests: Sequence[Manifest]) -> str:
    """What could be restored in its place: the last complete set before."""
    manifest = choose_latest(manifests, before=moment).manifest
    part = manifest.component(Kind.DATABASE, database) if manifest else None
    return f"; instead, snapshot {part.id} of {timestamp(manifest.hour)}" if manifest and part else ""


def _refused(reason: str) -> DatabasePoint:
    return DatabasePoint(reason, refused=True)


def _cache_point(reason: str, part: Component) -> CachePoint:
    return CachePoint(reason, snapshot=part.id, at=part.taken_at, component=part)
