"""Rolls a Deployment's template out through ReplicaSets, and says how far it has come."""

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.kubernetes.controllers import conditions
from sandbox.kubernetes.controllers.loop import Controller
from sandbox.kubernetes.controllers.owners import is_owned_by, owner_of, reference
from sandbox.kubernetes.controllers.rolling import Counts, limits, new_size, old_sizes
from sandbox.kubernetes.resources import DEPLOYMENTS, PODS, REPLICA_SETS
from sandbox.kubernetes.store import Change, Key, Object, parse_timestamp

REVISION = "deployment.kubernetes.io/revision"
HASH_LABEL = "pod-template-hash"


def template_hash(template: dict[str, Any]) -> str:
    """Ten characters that stand for a pod template."""
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]


def _revision(replica_set: Object) -> int:
    return int(replica_set["metadata"].get("annotations", {}).get(REVISION, "0"))


def _counts(replica_set: Object) -> Counts:
    available = replica_set.get("status", {}).get("availableReplicas", 0)
    return Counts(replica_set["spec"]["replicas"], available)


class DeploymentController(Controller):
    """One Deployment per key."""

    def affected(self, change: Change) -> Iterable[Key]:
        """Deployments, and those that own a changed ReplicaSet; pods matter to Recreate, when they are gone."""
        key = change.key
        if key.resource is DEPLOYMENTS:
            yield key
        elif key.resource is REPLICA_SETS:
            owner = owner_of(change.object)
            if owner and owner["kind"] == "Deployment":
                yield Key(DEPLOYMENTS, key.namespace, owner["name"])
        elif key.resource is PODS and change.type == "DELETED":
            owner = owner_of(change.object)
            owned = self.store.find(Key(REPLICA_SETS, key.namespace, owner["name"])) if owner else None
            above = owner_of(owned) if owned else None
            if above:
                yield Key(DEPLOYMENTS, key.namespace, above["name"])

    async def reconcile(self, key: Key) -> float | None:
        """Take the next step of the rollout, then report."""
        deployment = self.store.find(key)
        if deployment is None:
            return None
        replica_sets = self._replica_sets(deployment)
        digest = template_hash(deployment["spec"]["template"])
        new = next((each for each in replica_sets if each["metadata"]["labels"][HASH_LABEL] == digest), None)
        old = [each for each in replica_sets if each is not new]
        if not deployment["spec"].get("paused"):
            if new is None:
                new = self._create(deployment, digest, old)
            elif old and _revision(new) <= max(map(_revision, old)):
                self._annotate(new, max(map(_revision, old)) + 1)
            with self.store.editing(_key(new)) as each:
                each["spec"]["minReadySeconds"] = deployment["spec"]["minReadySeconds"]
            self._roll(deployment, new, old)
            self._prune(deployment, old)
        elif new is not None:
            self._resize(new, deployment["spec"]["replicas"])
        return self._report(key)

    def _replica_sets(self, deployment: Object) -> list[Object]:
        namespace = deployment["metadata"]["namespace"]
        owned = self.store.select(REPLICA_SETS, namespace, lambda each: is_owned_by(each, deployment))
        return sorted(owned, key=_revision)

    def _create(self, deployment: Object, digest: str, old: list[Object]) -> Object:
        metadata, spec = deployment["metadata"], deployment["spec"]
        template = json.loads(json.dumps(spec["template"]))
        labels = {**template.setdefault("metadata", {}).get("labels", {}), HASH_LABEL: digest}
        template["metadata"]["labels"] = labels
        selector = spec["selector"]
        matching = {**selector.get("matchLabels", {}), HASH_LABEL: digest}
        revision = max(map(_revision, old), default=0) + 1
        new = self.store.create(
            REPLICA_SETS,
            {
                "metadata": {
                    "name": f"{metadata['name']}-{digest}",
                    "namespace": metadata["namespace"],
                    "labels": labels,
                    "annotations": {REVISION: str(revision)},
                    "ownerReferences": [reference(deployment)],
                },
                "spec": {
                    "replicas": 0,
                    "minReadySeconds": spec.get("minReadySeconds", 0),
                    "selector": {**selector, "matchLabels": matching},
                    "template": template,
                },
            },
        )
        with self.store.editing(Key(DEPLOYMENTS, metadata["namespace"], metadata["name"])) as each:
            message = f'Created new replica set "{new["metadata"]["name"]}"'
            conditions.put(each, "Progressing", True, "NewReplicaSetCreated", message, touch=True)
        return new

    def _annotate(self, replica_set: Object, revision: int) -> None:
        with self.store.editing(_key(replica_set)) as each:
            each["metadata"].setdefault("annotations", {})[REVISION] = str(revision)

    def _roll(self, deployment: Object, new: Object, old: list[Object]) -> None:
        spec = deployment["spec"]
        replicas = spec["replicas"]
        active = [each for each in old if each["spec"]["replicas"] > 0]
        if spec["strategy"]["type"] == "Recreate":
            for each in active:
                self._resize(each, 0)
            if not self._pods_of(old):
                self._resize(new, replicas)
            return
        rolling = spec["strategy"]["rollingUpdate"]
        surge, unavailable = limits(replicas, rolling["maxSurge"], rolling["maxUnavailable"])
        counts = [_counts(each) for each in active]
        size = new_size(replicas, surge, _counts(new), counts)
        self._resize(new, size)
        grown = Counts(size, min(size, _counts(new).available))
        for each, wanted in zip(active, old_sizes(replicas, unavailable, grown, counts), strict=True):
            self._resize(each, wanted)

    def _pods_of(self, replica_sets: list[Object]) -> list[Object]:
        owners = {each["metadata"]["uid"] for each in replica_sets}
        return self.store.select(PODS, match=lambda pod: (owner_of(pod) or {}).get("uid") in owners)

    def _resize(self, replica_set: Object, replicas: int) -> None:
        with self.store.editing(_key(replica_set)) as each:
            each["spec"]["replicas"] = replicas

    def _prune(self, deployment: Object, old: list[Object]) -> None:
        """Keep `revisionHistoryLimit` old ReplicaSets."""
        idle = [
            each for each in old if each["spec"]["replicas"] == 0 and each.get("status", {}).get("replicas", 0) == 0
        ]
        for each in idle[: max(0, len(idle) - deployment["spec"]["revisionHistoryLimit"])]:
            self.store.remove(_key(each))

    def _report(self, key: Key) -> float | None:
        with self.store.editing(key) as deployment:
            replica_sets = self._replica_sets(deployment)
            digest = template_hash(deployment["spec"]["template"])
            new = [each for each in replica_sets if each["metadata"]["labels"][HASH_LABEL] == digest]
            before = dict(deployment.get("status", {}))
            status = deployment.setdefault("status", {})
            wanted = deployment["spec"]["replicas"]
            asked = sum(each["spec"]["replicas"] for each in replica_sets)
            status.update(
                observedGeneration=deployment["metadata"]["generation"],
                replicas=_sum(replica_sets, "replicas"),
                updatedReplicas=_sum(new, "replicas"),
                readyReplicas=_sum(replica_sets, "readyReplicas"),
                availableReplicas=_sum(replica_sets, "availableReplicas"),
            )
            status["unavailableReplicas"] = max(0, asked - status["availableReplicas"])
            if new:
                annotations = deployment["metadata"].setdefault("annotations", {})
                annotations[REVISION] = str(_revision(new[0]))
            self._availability(deployment, wanted)
            failure = next((f for each in replica_sets if (f := conditions.get(each, "ReplicaFailure"))), None)
            if failure:
                conditions.put(deployment, "ReplicaFailure", True, failure["reason"], failure["message"])
            else:
                conditions.drop(deployment, "ReplicaFailure")
            return self._progress(deployment, before, new[0]["metadata"]["name"] if new else "")

    def _availability(self, deployment: Object, wanted: int) -> None:
        spec = deployment["spec"]
        rolling = spec["strategy"].get("rollingUpdate", {})
        _, unavailable = limits(wanted, rolling.get("maxSurge", 0), rolling.get("maxUnavailable", 0))
        if spec["strategy"]["type"] == "Recreate":
            unavailable = 0
        if deployment["status"]["availableReplicas"] >= wanted - unavailable:
            message = "Deployment has minimum availability."
            conditions.put(deployment, "Available", True, "MinimumReplicasAvailable", message)
        else:
            message = "Deployment does not have minimum availability."
            conditions.put(deployment, "Available", False, "MinimumReplicasUnavailable", message)

    def _progress(self, deployment: Object, before: dict[str, Any], name: str) -> float | None:
        """Set the Progressing condition; returns the seconds to the progress deadline, if it is running.

        As `syncRolloutStatus` of the real controller, its blind spot included: once a ReplicaSet has become
        available, pods that it lacks later (a scale-up that never gets ready) do not start the deadline.
        """
        status, wanted = deployment["status"], deployment["spec"]["replicas"]
        current = conditions.get(deployment, "Progressing")
        done = current.get("reason") == "NewReplicaSetAvailable"
        if not name or deployment["spec"].get("paused"):
            return None
        if done and status["replicas"] == status["updatedReplicas"]:
            return None
        if all(status[field] == wanted for field in ("updatedReplicas", "replicas", "availableReplicas")):
            message = f'ReplicaSet "{name}" has successfully progressed.'
            conditions.put(deployment, "Progressing", True, "NewReplicaSetAvailable", message)
            return None
        if not current or _progressed(before, status):
            message = f'ReplicaSet "{name}" is progressing.'
            conditions.put(deployment, "Progressing", True, "ReplicaSetUpdated", message, touch=True)
            current = conditions.get(deployment, "Progressing")
        if current["reason"] in ("NewReplicaSetAvailable", "ProgressDeadlineExceeded"):
            return None
        deadline = timedelta(seconds=deployment["spec"]["progressDeadlineSeconds"])
        left = parse_timestamp(current["lastUpdateTime"]) + deadline - datetime.now(UTC)
        if left.total_seconds() > 0:
            return left.total_seconds()
        message = f'ReplicaSet "{name}" has timed out progressing.'
        conditions.put(deployment, "Progressing", False, "ProgressDeadlineExceeded", message)
        return None


def _progressed(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Whether more pods are updated, ready or available than before, or fewer old ones are left."""

    def old(status: dict[str, Any]) -> int:
        return int(status.get("replicas", 0)) - int(status.get("updatedReplicas", 0))

    grew = any(after[name] > before.get(name, 0) for name in ("updatedReplicas", "readyReplicas", "availableReplicas"))
    return grew or old(after) < old(before)


def _sum(replica_sets: list[Object], field: str) -> int:
    return sum(each.get("status", {}).get(field, 0) for each in replica_sets)


def _key(replica_set: Object) -> Key:
    metadata = replica_set["metadata"]
    return Key(REPLICA_SETS, metadata["namespace"], metadata["name"])
