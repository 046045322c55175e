"""Makes Jobs when a CronJob's schedule (in UTC) says so, and forgets the old ones.

https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from croniter import croniter

from sandbox.kubernetes.controllers import conditions
from sandbox.kubernetes.controllers.job import is_finished
from sandbox.kubernetes.controllers.loop import Controller
from sandbox.kubernetes.controllers.owners import discard, is_owned_by, owner_of, reference
from sandbox.kubernetes.defaults import apply_defaults
from sandbox.kubernetes.resources import CRON_JOBS, JOBS
from sandbox.kubernetes.store import Change, Key, Object, parse_timestamp, timestamp


def job_of(cron_job: Object, name: str, annotations: dict[str, str]) -> Object:
    """A Job as the CronJob describes it, owned by it."""
    metadata, template = cron_job["metadata"], json.loads(json.dumps(cron_job["spec"]["jobTemplate"]))
    own = template.get("metadata", {})
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            "labels": own.get("labels", {}),
            "annotations": {**own.get("annotations", {}), **annotations},
            "ownerReferences": [reference(cron_job)],
        },
        "spec": template["spec"],
    }


def due(schedule: str, since: datetime, now: datetime) -> datetime | None:
    """The last moment of `schedule` after `since` that is not after `now`."""
    latest: datetime = croniter(schedule, now + timedelta(microseconds=1)).get_prev(datetime)
    return latest if latest > since else None


class CronJobController(Controller):
    """One CronJob per key."""

    def affected(self, change: Change) -> Iterable[Key]:
        """CronJobs, and those that own a changed Job."""
        if change.key.resource is CRON_JOBS:
            yield change.key
        elif change.key.resource is JOBS:
            owner = owner_of(change.object)
            if owner and owner["kind"] == "CronJob":
                yield Key(CRON_JOBS, change.key.namespace, owner["name"])

    async def reconcile(self, key: Key) -> float | None:
        """Start what is due, report, prune; returns the seconds to the next time."""
        cron_job = self.store.find(key)
        if cron_job is None:
            return None
        now, spec = datetime.now(UTC), cron_job["spec"]
        jobs = self.store.select(JOBS, key.namespace, lambda job: is_owned_by(job, cron_job))
        if not spec["suspend"]:
            self._start(cron_job, jobs, now)
            jobs = self.store.select(JOBS, key.namespace, lambda job: is_owned_by(job, cron_job))
        self._report(key, jobs)
        self._prune(spec, jobs)
        if spec["suspend"]:
            return None
        following: datetime = croniter(spec["schedule"], now).get_next(datetime)
        return (following - datetime.now(UTC)).total_seconds()

    def _start(self, cron_job: Object, jobs: list[Object], now: datetime) -> None:
        metadata, spec = cron_job["metadata"], cron_job["spec"]
        last = cron_job.get("status", {}).get("lastScheduleTime") or metadata["creationTimestamp"]
        moment = due(spec["schedule"], parse_timestamp(last), now)
        if moment is None:
            return
        deadline = spec.get("startingDeadlineSeconds")
        if deadline is not None and now - moment > timedelta(seconds=deadline):
            return
        running = [job for job in jobs if not is_finished(job)]
        if running and spec["concurrencyPolicy"] == "Forbid":
            return
        if spec["concurrencyPolicy"] == "Replace":
            for job in running:
                discard(self.store, Key(JOBS, metadata["namespace"], job["metadata"]["name"]))
        name = f"{metadata['name']}-{int(moment.timestamp()) // 60}"
        job = job_of(cron_job, name, {"batch.kubernetes.io/cronjob-scheduled-timestamp": timestamp(moment)})
        apply_defaults(JOBS, job)
        if self.store.find(Key(JOBS, metadata["namespace"], name)) is None:
            self.store.create(JOBS, job)
        with self.store.editing(Key(CRON_JOBS, metadata["namespace"], metadata["name"])) as edited:
            edited.setdefault("status", {})["lastScheduleTime"] = timestamp(moment)

    def _report(self, key: Key, jobs: list[Object]) -> None:
        ends = [job["status"]["completionTime"] for job in jobs if conditions.is_true(job, "Complete")]
        with self.store.editing(key) as cron_job:
            status = cron_job.setdefault("status", {})
            status["active"] = [
                {
                    "apiVersion": "batch/v1",
                    "kind": "Job",
                    "name": job["metadata"]["name"],
                    "uid": job["metadata"]["uid"],
                }
                for job in jobs
                if not is_finished(job)
            ]
            if ends:
                status["lastSuccessfulTime"] = max([*ends, status.get("lastSuccessfulTime", "")])

    def _prune(self, spec: Object, jobs: list[Object]) -> None:
        """Keep as many finished Jobs as the limits say, the youngest."""
        for kind, limit in (("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")):
            ended = [job for job in jobs if conditions.is_true(job, kind)]
            for job in ended[: max(0, len(ended) - spec[limit])]:
                discard(self.store, Key(JOBS, job["metadata"]["namespace"], job["metadata"]["name"]))
