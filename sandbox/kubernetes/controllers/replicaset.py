"""Keeps the number of pods that a ReplicaSet asks for."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from sandbox.kubernetes.admission import admit
from sandbox.kubernetes.controllers import conditions
from sandbox.kubernetes.controllers.loop import RETRY_SECONDS, Controller
from sandbox.kubernetes.controllers.owners import discard, is_owned_by, owner_of, reference
from sandbox.kubernetes.defaults import apply_defaults
from sandbox.kubernetes.errors import StatusError
from sandbox.kubernetes.resources import PODS, REPLICA_SETS
from sandbox.kubernetes.store import Change, Key, Object, parse_timestamp


def is_active(pod: Object) -> bool:
    """Whether a pod counts: not being deleted, and not finished."""
    finished = pod.get("status", {}).get("phase") in ("Failed", "Succeeded")
    return not finished and "deletionTimestamp" not in pod["metadata"]


def seconds_to_available(pod: Object, min_ready_seconds: int) -> float | None:
    """0 for a pod that is available, what is left of `minReadySeconds`, or None if it is not ready."""
    ready = conditions.get(pod, "Ready")
    if ready.get("status") != "True":
        return None
    since = parse_timestamp(ready["lastTransitionTime"])
    left = since + timedelta(seconds=min_ready_seconds) - datetime.now(UTC)
    return max(0.0, left.total_seconds())


class ReplicaSetController(Controller):
    """One ReplicaSet per key."""

    def affected(self, change: Change) -> Iterable[Key]:
        """ReplicaSets, and those that own a changed pod."""
        if change.key.resource is REPLICA_SETS:
            yield change.key
        elif change.key.resource is PODS:
            owner = owner_of(change.object)
            if owner and owner["kind"] == "ReplicaSet":
                yield Key(REPLICA_SETS, change.key.namespace, owner["name"])

    async def reconcile(self, key: Key) -> float | None:
        """Create or delete pods, then report."""
        replica_set = self.store.find(key)
        if replica_set is None:
            return None
        pods = self._pods(replica_set)
        surplus = len(pods) - replica_set["spec"]["replicas"]
        failure: StatusError | None = None
        if surplus > 0:
            for pod in sorted(pods, key=_deletion_order)[:surplus]:
                discard(self.store, Key(PODS, key.namespace, pod["metadata"]["name"]))
        try:
            for _ in range(-surplus):
                self._create(replica_set)
        except StatusError as error:
            failure = error
        again = self._report(key, failure)
        return RETRY_SECONDS if failure else again

    def _pods(self, replica_set: Object) -> list[Object]:
        namespace = replica_set["metadata"]["namespace"]
        return self.store.select(PODS, namespace, lambda pod: is_owned_by(pod, replica_set) and is_active(pod))

    def _create(self, replica_set: Object) -> None:
        metadata, template = replica_set["metadata"], replica_set["spec"]["template"]
        pod: Object = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "generateName": f"{metadata['name']}-",
                "name": "",
                "namespace": metadata["namespace"],
                "labels": dict(template["metadata"].get("labels", {})),
                "annotations": dict(template["metadata"].get("annotations", {})),
                "ownerReferences": [reference(replica_set)],
            },
            "spec": {**template["spec"]},
            "status": {"phase": "Pending"},
        }
        apply_defaults(PODS, pod)
        admit(self.store, pod)
        self.store.create(PODS, pod)

    def _report(self, key: Key, failure: StatusError | None) -> float | None:
        with self.store.editing(key) as replica_set:
            pods = self._pods(replica_set)
            waits = [seconds_to_available(pod, replica_set["spec"].get("minReadySeconds", 0)) for pod in pods]
            status = replica_set.setdefault("status", {})
            status.update(
                replicas=len(pods),
                fullyLabeledReplicas=len(pods),
                readyReplicas=sum(wait is not None for wait in waits),
                availableReplicas=sum(wait == 0 for wait in waits),
                observedGeneration=replica_set["metadata"]["generation"],
            )
            if failure:
                conditions.put(replica_set, "ReplicaFailure", True, "FailedCreate", failure.message)
            else:
                conditions.drop(replica_set, "ReplicaFailure")
        return min((wait for wait in waits if wait), default=None)


def _deletion_order(pod: Object) -> tuple[bool, bool, float]:
    """Pods that do not run go first, then those that are not ready, then the youngest."""
    running = pod.get("status", {}).get("phase") == "Running"
    ready = conditions.is_true(pod, "Ready")
    created = parse_timestamp(pod["metadata"]["creationTimestamp"]).timestamp()
    return running, ready, -created
