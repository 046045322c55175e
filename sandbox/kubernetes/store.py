"""Every object of the cluster, in memory, with versions, and the stream of its changes."""

import asyncio
import copy
import secrets
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import uuid4

from sandbox.kubernetes.errors import already_exists, conflict, expired, not_found
from sandbox.kubernetes.resources import Resource

Object = dict[str, Any]

HISTORY = 2000


class Key(NamedTuple):
    """Names one object; `namespace` is empty for cluster-wide kinds."""

    resource: Resource
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Change:
    """One change: `type` is ADDED, MODIFIED or DELETED, `object` the state after it (before a deletion)."""

    revision: int
    type: str
    key: Key
    object: Object


def timestamp(moment: datetime | None = None) -> str:
    """RFC 3339 in UTC, with microseconds (the API's MicroTime), now by default."""
    return (moment or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_timestamp(text: str) -> datetime:
    """The inverse of `timestamp`."""
    return datetime.fromisoformat(text)


class Store:
    """All calls come from one event loop. Objects are copied on the way in and out."""

    def __init__(self) -> None:
        self._objects: dict[Key, Object] = {}
        self._history: deque[Change] = deque(maxlen=HISTORY)
        self._subscribers: set[asyncio.Queue[Change]] = set()
        self.revision = 1

    def get(self, key: Key) -> Object:
        """A copy of the object; raises 404."""
        if key not in self._objects:
            raise not_found(key.resource.qualified, key.name)
        return copy.deepcopy(self._objects[key])

    def find(self, key: Key) -> Object | None:
        """A copy of the object, or None."""
        found = self._objects.get(key)
        return copy.deepcopy(found) if found is not None else None

    def select(
        self, resource: Resource, namespace: str = "", match: Callable[[Object], bool] | None = None
    ) -> list[Object]:
        """Copies of the objects of a kind, in order of creation; all namespaces if `namespace` is empty."""
        return [
            copy.deepcopy(found)
            for key, found in self._objects.items()
            if key.resource is resource
            and (not namespace or key.namespace == namespace)
            and (match is None or match(found))
        ]

    def names(self) -> list[Key]:
        """The names of all objects."""
        return list(self._objects)

    def create(self, resource: Resource, obj: Object) -> Object:
        """Keep a new object, with uid, creation time and generation; raises 409 if its name is taken."""
        obj = copy.deepcopy(obj)
        metadata = obj.setdefault("metadata", {})
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + secrets.token_hex(3)[:5]
        key = Key(resource, metadata.get("namespace", "") if resource.namespaced else "", metadata["name"])
        if key in self._objects:
            raise already_exists(resource.qualified, key.name)
        obj["apiVersion"], obj["kind"] = resource.api_version, resource.kind
        metadata.update(uid=str(uuid4()), creationTimestamp=timestamp(), generation=1)
        return self._put(key, obj, "ADDED")

    def update(self, key: Key, obj: Object) -> Object:
        """Replace an object; a no-op if nothing changed. A changed spec gets the next generation.

        Raises 404, and 409 if `metadata.resourceVersion` is given and stale.
        """
        old = self._objects.get(key)
        if old is None:
            raise not_found(key.resource.qualified, key.name)
        obj = copy.deepcopy(obj)
        metadata = obj.setdefault("metadata", {})
        version = old["metadata"]["resourceVersion"]
        if metadata.get("resourceVersion", version) != version:
            raise conflict(
                key.resource.qualified,
                key.name,
                f'Operation cannot be fulfilled on {key.resource.qualified} "{key.name}": the object has '
                "been modified; please apply your changes to the latest version and try again",
            )
        for name in ("uid", "creationTimestamp", "generation", "deletionTimestamp", "resourceVersion"):
            if name in old["metadata"]:
                metadata[name] = old["metadata"][name]
        if obj == old:
            return obj
        if obj.get("spec") != old.get("spec"):
            metadata["generation"] = old["metadata"]["generation"] + 1
        return self._put(key, obj, "MODIFIED")

    @contextmanager
    def editing(self, key: Key) -> Iterator[Object]:
        """Change the yielded copy; it is stored at the end of the block. For controllers. Raises 404."""
        obj = self.get(key)
        yield obj
        self.update(key, obj)

    def mark_deleted(self, key: Key, grace_seconds: int) -> Object:
        """Set `deletionTimestamp`, once: whoever runs the object finishes and then calls `remove`."""
        obj = self.get(key)
        metadata = obj["metadata"]
        current = metadata.get("deletionGracePeriodSeconds")
        if current is not None and current <= grace_seconds:
            return obj
        metadata.setdefault("deletionTimestamp", timestamp())
        metadata["deletionGracePeriodSeconds"] = grace_seconds
        return self._put(key, obj, "MODIFIED")

    def remove(self, key: Key) -> Object:
        """Forget the object; raises 404."""
        obj = self.get(key)
        del self._objects[key]
        self.revision += 1
        obj["metadata"]["resourceVersion"] = str(self.revision)
        self._publish(Change(self.revision, "DELETED", key, obj))
        return obj

    def _put(self, key: Key, obj: Object, kind: str) -> Object:
        self.revision += 1
        obj["metadata"]["resourceVersion"] = str(self.revision)
        self._objects[key] = obj
        self._publish(Change(self.revision, kind, key, copy.deepcopy(obj)))
        return copy.deepcopy(obj)

    def _publish(self, change: Change) -> None:
        self._history.append(change)
        for queue in self._subscribers:
            queue.put_nowait(change)

    @contextmanager
    def subscription(self, since: int | None = None) -> Iterator[asyncio.Queue[Change]]:
        """A queue of the changes after revision `since` (None: from now on); raises 410 if too old."""
        queue: asyncio.Queue[Change] = asyncio.Queue()
        if since is not None and since < self.revision:
            if self._history and self._history[0].revision > since + 1:
                raise expired(f"too old resource version: {since} ({self._history[0].revision})")
            for change in self._history:
                if change.revision > since:
                    queue.put_nowait(change)
        self._subscribers.add(queue)
        try:
            yield queue
        finally:
            self._subscribers.discard(queue)
