"""What drills may have left behind: DB instances, replication groups and snapshots, listed and deleted."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from opskit.adapters.caches import Caches
from opskit.adapters.copies import Copies
from opskit.adapters.databases import Databases
from opskit.decisions.drill import PREFIX, TAG_DRILL, TAG_ENVIRONMENT, TAG_SERVICE, may_touch
from opskit.decisions.manifest import Kind
from opskit.verdict import Outcome, Verdict


class Thing(StrEnum):
    """What can be left behind."""

    DATABASE = "DB instance"
    CACHE = "replication group"
    DATABASE_SNAPSHOT = "DB snapshot"
    CACHE_SNAPSHOT = "cache snapshot"


@dataclass(frozen=True, slots=True)
class Found:
    """Something whose name or tag says that it is a drill's."""

    thing: Thing
    identifier: str
    tags: dict[str, str] = field(hash=False)
    created_at: datetime | None


class LeftBehind:
    """What the drills of one service in one environment made; those of others are not seen."""

    def __init__(
        self, service: str, environment: str, databases: Databases | None = None, caches: Caches | None = None
    ) -> None:
        self._own = {TAG_SERVICE: service, TAG_ENVIRONMENT: environment}
        self._databases = databases or Databases()
        self._caches = caches or Caches()
        self._copies = Copies(self._databases, self._caches)

    def listed(self) -> list[Found]:
        """Everything that looks like a drill's, but what is being deleted already, or is another service's.

        What has the name but no tags is listed for everybody. An error on any page is raised: half a list would leave
        the other half.
        """
        found = [
            *(
                Found(Thing.DATABASE, one.identifier, one.tags, one.created_at)
                for one in self._databases.instances()
                if one.status != "deleting"
            ),
            *(
                Found(Thing.CACHE, one.identifier, one.tags, one.created_at)
                for one in self._caches.groups()
                if one.status != "deleting"
            ),
            *(
                Found(Thing.DATABASE_SNAPSHOT, one.name, one.tags, one.taken_at)
                for one in self._databases.snapshots()
                if one.status != "deleting"
            ),
            *(
                Found(Thing.CACHE_SNAPSHOT, one.name, one.tags, one.taken_at)
                for one in self._caches.snapshots()
                if one.status != "deleting"
            ),
        ]
        looks_so = [one for one in found if one.identifier.startswith(PREFIX) or TAG_DRILL in one.tags]
        read = [self._read_again(one) for one in looks_so]
        return [one for one in read if one is not None and self._is_ours(one)]

    def delete(self, found: Found, drill: str) -> Verdict:
        """Delete it, if its name and its tags, read again, are those of `drill`.

        PASS: it is gone; WAIT: it is being deleted; FAIL: not to be touched. Raises NotReadyError if AWS does not
        delete it in its status.
        """
        if found.thing in (Thing.DATABASE, Thing.CACHE):
            kind = Kind.DATABASE if found.thing is Thing.DATABASE else Kind.CACHE
            return self._copies.delete(kind, found.identifier, lambda name, tags: may_touch(drill, name, tags, ()))
        listing = self._databases if found.thing is Thing.DATABASE_SNAPSHOT else self._caches
        snapshot = listing.snapshot(found.identifier)
        permission = may_touch(drill, found.identifier, snapshot.tags, ()) if snapshot else None
        if permission is not None and permission.outcome is not Outcome.PASS:
            return permission
        listing.delete_snapshot(found.identifier)
        return Verdict(Outcome.WAIT, f"{found.identifier} is being deleted", {"name": found.identifier})

    def _read_again(self, found: Found) -> Found | None:
        """With its own tags: a list of ElastiCache's comes from an index that lags behind. None: it is gone."""
        if found.thing is Thing.CACHE and not found.tags:
            group = self._caches.group(found.identifier)
            return Found(found.thing, found.identifier, group.tags, group.created_at) if group else None
        if found.thing is Thing.CACHE_SNAPSHOT and not found.tags:
            snapshot = self._caches.snapshot(found.identifier)
            return Found(found.thing, found.identifier, snapshot.tags, snapshot.taken_at) if snapshot else None
        return found

    def _is_ours(self, found: Found) -> bool:
        return all(found.tags.get(tag, value) == value for tag, value in self._own.items())
