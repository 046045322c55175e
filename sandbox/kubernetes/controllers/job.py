"""Runs a Job's pod until one has succeeded, or too many have failed.

For Jobs of one completion. A pod that failed is followed by another after a growing pause, as often as `backoffLimit`
says; with `restartPolicy: OnFailure` it is the kubelet that starts the container again, which counts alike.
https://kubernetes.io/docs/concepts/workloads/controllers/job/
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.kubernetes.admission import admit
from sandbox.kubernetes.controllers import conditions
from sandbox.kubernetes.controllers.loop import RETRY_SECONDS, Controller
from sandbox.kubernetes.controllers.owners import discard, is_owned_by, owner_of, reference
from sandbox.kubernetes.defaults import apply_defaults
from sandbox.kubernetes.errors import StatusError
from sandbox.kubernetes.kubelet.container import Backoff
from sandbox.kubernetes.resources import JOBS, PODS
from sandbox.kubernetes.store import Change, Key, Object, Store, parse_timestamp, timestamp


def is_finished(job: Object) -> bool:
    """Whether a Job has ended, one way or the other."""
    return conditions.is_true(job, "Complete") or conditions.is_true(job, "Failed")


class JobController(Controller):
    """One Job per key; `backoff` is between a pod that failed and the next."""

    def __init__(self, store: Store, backoff: Backoff) -> None:
        super().__init__(store)
        self._backoff = backoff

    def affected(self, change: Change) -> Iterable[Key]:
        """Jobs, and those that own a changed pod."""
        if change.key.resource is JOBS:
            yield change.key
        elif change.key.resource is PODS:
            owner = owner_of(change.object)
            if owner and owner["kind"] == "Job":
                yield Key(JOBS, change.key.namespace, owner["name"])

    async def reconcile(self, key: Key) -> float | None:
        """Note what has ended, then create the pod that is wanted."""
        job = self.store.find(key)
        if job is None or is_finished(job):
            return self._expire(job) if job else None
        pods = self.store.select(PODS, key.namespace, lambda pod: is_owned_by(pod, job))
        active = [pod for pod in pods if _phase(pod) not in ("Succeeded", "Failed")]
        failed = [pod for pod in pods if _phase(pod) == "Failed"]
        failures = len(failed) + sum(map(_restarts, active))
        succeeded = sum(_phase(pod) == "Succeeded" for pod in pods)
        spec = job["spec"]
        with self.store.editing(key) as edited:
            status = edited.setdefault("status", {})
            if not spec["suspend"]:
                status.setdefault("startTime", timestamp())
            status.update(active=len(active), succeeded=succeeded, failed=failures)
            left = _seconds_left(edited)
            if succeeded:
                status["completionTime"] = timestamp()
                conditions.put(
                    edited, "Complete", True, "CompletionsReached", "Reached expected number of succeeded pods"
                )
            elif failures > spec["backoffLimit"]:
                message = "Job has reached the specified backoff limit"
                conditions.put(edited, "Failed", True, "BackoffLimitExceeded", message)
            elif left is not None and left <= 0:
                message = "Job was active longer than specified deadline"
                conditions.put(edited, "Failed", True, "DeadlineExceeded", message)
            done = is_finished(edited)
            if done:
                status["active"] = 0
        if done or spec["suspend"]:
            for pod in active:
                discard(self.store, Key(PODS, key.namespace, pod["metadata"]["name"]))
            return None
        if active:
            return left
        pause = self._pause(failed)
        if pause > 0:
            return min(pause, left) if left is not None else pause
        return self._create(job, left)

    def _pause(self, failed: list[Object]) -> float:
        """Seconds until the next try."""
        if not failed:
            return 0.0
        ended = max(_ended_at(pod) for pod in failed)
        wait = timedelta(seconds=self._backoff.pause(len(failed)))
        return (ended + wait - datetime.now(UTC)).total_seconds()

    def _create(self, job: Object, left: float | None) -> float | None:
        metadata, template = job["metadata"], job["spec"]["template"]
        labels = {
            **template.get("metadata", {}).get("labels", {}),
            "batch.kubernetes.io/job-name": metadata["name"],
            "batch.kubernetes.io/controller-uid": metadata["uid"],
            "job-name": metadata["name"],
        }
        pod: Object = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "generateName": f"{metadata['name']}-",
                "name": "",
                "namespace": metadata["namespace"],
                "labels": labels,
                "annotations": dict(template.get("metadata", {}).get("annotations", {})),
                "ownerReferences": [reference(job)],
            },
            "spec": {**template["spec"]},
            "status": {"phase": "Pending"},
        }
        apply_defaults(PODS, pod)
        try:
            admit(self.store, pod)
            self.store.create(PODS, pod)
        except StatusError as error:
            print(f"job {metadata['namespace']}/{metadata['name']}: {error.message}", flush=True)  # noqa: T201
            return RETRY_SECONDS
        return left

    def _expire(self, job: Object) -> float | None:
        """Delete a finished Job when its time to live is over."""
        ttl = job["spec"].get("ttlSecondsAfterFinished")
        if ttl is None:
            return None
        condition = conditions.get(job, "Complete") or conditions.get(job, "Failed")
        left = _seconds_until(condition["lastTransitionTime"], ttl)
        if left > 0:
            return left
        discard(self.store, Key(JOBS, job["metadata"]["namespace"], job["metadata"]["name"]))
        return None


def _phase(pod: Object) -> str:
    return str(pod.get("status", {}).get("phase", "Pending"))


def _containers(pod: Object) -> list[dict[str, Any]]:
    return list(pod.get("status", {}).get("containerStatuses", []))


def _restarts(pod: Object) -> int:
    return sum(each.get("restartCount", 0) for each in _containers(pod))


def _ended_at(pod: Object) -> datetime:
    ends = [each["state"].get("terminated", {}).get("finishedAt") for each in _containers(pod)]
    return max(parse_timestamp(end or pod["metadata"]["creationTimestamp"]) for end in ends or [None])


def _seconds_left(job: Object) -> float | None:
    """Until the deadline of a Job that has started; None if it has none."""
    deadline, started = job["spec"].get("activeDeadlineSeconds"), job["status"].get("startTime")
    return None if deadline is None or started is None else _seconds_until(started, deadline)


def _seconds_until(since: str, seconds: float) -> float:
    return (parse_timestamp(since) + timedelta(seconds=seconds) - datetime.now(UTC)).total_seconds()
