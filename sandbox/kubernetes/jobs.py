"""Run a CronJob's Job now and wait for its end: `kubectl create job --from=cronjob/NAME`, then `kubectl wait`."""

import time
import uuid
from typing import Any

from lightkube import Client
from lightkube.core.exceptions import ApiError
from lightkube.resources.batch_v1 import CronJob, Job
from lightkube.resources.core_v1 import Pod

from sandbox.kubernetes.controllers.cron_job import job_of

_POLL_SECONDS = 0.05


class JobFailedError(RuntimeError):
    """The Job failed, or did not end in time; the message has its reason and what its pods wrote last."""


def run_now(client: Client, name: str, *, namespace: str, timeout_seconds: float = 60.0) -> dict[str, Any]:
    """Run the Job of CronJob `name`, also of one that is suspended; returns the Job when it is complete.

    Raises `JobFailedError`.
    """
    cron_job = client.get(CronJob, name, namespace=namespace).to_dict()
    # As the API sends it: a list leaves out what each item is.
    cron_job.update(apiVersion="batch/v1", kind="CronJob")
    made = job_of(cron_job, f"{name}-manual-{uuid.uuid4().hex[:6]}", {"cronjob.kubernetes.io/instantiate": "manual"})
    client.create(Job.from_dict(made), namespace=namespace)
    deadline = time.monotonic() + timeout_seconds
    while True:
        job: dict[str, Any] = client.get(Job, made["metadata"]["name"], namespace=namespace).to_dict()
        ended = {each["type"]: each for each in job.get("status", {}).get("conditions", []) if each["status"] == "True"}
        if "Complete" in ended:
            return job
        if "Failed" in ended or time.monotonic() > deadline:
            why = ended.get("Failed", {}).get("reason", f"it has not ended after {timeout_seconds:g} s")
            raise JobFailedError(f"{made['metadata']['name']}: {why}\n{_last_words(client, made)}")
        time.sleep(_POLL_SECONDS)


def _last_words(client: Client, job: dict[str, Any]) -> str:
    metadata = job["metadata"]
    lines: list[str] = []
    for pod in client.list(Pod, namespace=metadata["namespace"], labels={"job-name": metadata["name"]}):
        found = pod.to_dict()
        lines += [str(each["state"]) for each in found.get("status", {}).get("containerStatuses", [])]
        try:
            lines += client.log(found["metadata"]["name"], namespace=metadata["namespace"], tail_lines=5)
        except ApiError as error:
            lines.append(str(error))
    return "\n".join(line.rstrip() for line in lines)
