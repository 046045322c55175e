"""Owner references: who controls an object, and the clean-up of what has lost its owner or namespace."""

from collections.abc import Iterable

from sandbox.kubernetes.controllers.loop import Controller
from sandbox.kubernetes.resources import NAMESPACES, PODS
from sandbox.kubernetes.store import Change, Key, Object, Store


def reference(owner: Object) -> dict[str, object]:
    """The `ownerReferences` entry that makes `owner` the controller."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def owner_of(obj: Object) -> dict[str, str] | None:
    """The controlling owner reference, if any."""
    references = obj["metadata"].get("ownerReferences", [])
    return next((each for each in references if each.get("controller")), None)


def is_owned_by(obj: Object, owner: Object) -> bool:
    """Whether `owner` controls `obj`."""
    return bool((owner_of(obj) or {}).get("uid") == owner["metadata"]["uid"])


def discard(store: Store, key: Key) -> None:
    """Delete an object the way its kind is deleted: pods gracefully, the rest at once."""
    obj = store.find(key)
    if obj is None:
        return
    if key.resource is PODS:
        store.mark_deleted(key, obj["spec"]["terminationGracePeriodSeconds"])
    else:
        store.remove(key)


class GarbageCollector(Controller):
    """Deletes the dependants of deleted owners, and the contents of namespaces that are terminating."""

    def affected(self, change: Change) -> Iterable[Key]:
        """Deleted owners, terminating namespaces, and namespaces that may have become empty."""
        key = change.key
        if change.type == "DELETED":
            yield key
            if key.namespace:
                yield Key(NAMESPACES, "", key.namespace)
        elif key.resource is NAMESPACES and "deletionTimestamp" in change.object["metadata"]:
            yield key

    async def reconcile(self, key: Key) -> float | None:
        """Delete what hangs on `key`, if that is gone or going."""
        obj = self.store.find(key)
        if key.resource is NAMESPACES:
            if obj is not None and "deletionTimestamp" in obj["metadata"]:
                self._empty(key)
            return None
        if obj is None:
            self._orphans(key)
        return None

    def _empty(self, key: Key) -> None:
        inside = [each for each in self.store.names() if each.namespace == key.name]
        for each in inside:
            discard(self.store, each)
        if not any(each.namespace == key.name for each in self.store.names()):
            self.store.remove(key)

    def _orphans(self, key: Key) -> None:
        for each in self.store.names():
            if each.namespace != key.namespace:
                continue
            obj = self.store.find(each)
            owner = owner_of(obj) if obj else None
            if owner and (owner["kind"], owner["name"]) == (key.resource.kind, key.name):
                discard(self.store, each)
