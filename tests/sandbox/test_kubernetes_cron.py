"""Jobs and CronJobs by their controllers alone: what is due, who may overlap, what is kept, when to give up."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sandbox.kubernetes.api import Api, Options
from sandbox.kubernetes.controllers import conditions
from sandbox.kubernetes.controllers.cron_job import CronJobController, due
from sandbox.kubernetes.controllers.job import JobController
from sandbox.kubernetes.errors import StatusError
from sandbox.kubernetes.kubelet.container import Backoff
from sandbox.kubernetes.resources import CRON_JOBS, JOBS, NAMESPACES, PODS, Target
from sandbox.kubernetes.store import Key, Object, Store, timestamp

POD = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "i"}]}
NOON = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)


@pytest.fixture
def store() -> Store:
    made = Store()
    made.create(NAMESPACES, {"metadata": {"name": "n"}})
    return made


def create(store: Store, resource: Any, name: str, spec: dict[str, Any]) -> Key:
    Api(store).create(Target(resource, "n", "", ""), {"metadata": {"name": name}, "spec": spec}, Options("tests"))
    return Key(resource, "n", name)


def cron_job(store: Store, minutes_old: int = 10, **spec: Any) -> Key:
    """One that is due: it was made that long ago, and asks for every minute."""
    template = {"spec": {"template": {"spec": POD}}}
    key = create(store, CRON_JOBS, "dump", {"schedule": "* * * * *", "jobTemplate": template, **spec})
    store._objects[key]["metadata"]["creationTimestamp"] = timestamp(datetime.now(UTC) - timedelta(minutes=minutes_old))
    return key


def jobs(store: Store) -> list[Object]:
    return store.select(JOBS, "n")


def finish(store: Store, job: Object, kind: str = "Complete") -> None:
    with store.editing(Key(JOBS, "n", job["metadata"]["name"])) as edited:
        edited.setdefault("status", {})["completionTime"] = timestamp()
        conditions.put(edited, kind, True)


def again(store: Store, key: Key) -> None:
    """Make it due once more."""
    with store.editing(key) as edited:
        edited["status"]["lastScheduleTime"] = timestamp(datetime.now(UTC) - timedelta(minutes=10))


@pytest.mark.parametrize(
    ("schedule", "since", "expected"),
    [
        ("*/5 * * * *", NOON - timedelta(minutes=10), NOON.replace(second=0)),
        ("*/5 * * * *", NOON.replace(second=0), None),
        ("*/5 * * * *", NOON.replace(second=0) - timedelta(seconds=1), NOON.replace(second=0)),
        ("0 3 * * *", NOON - timedelta(hours=2), None),
        ("0 3 * * *", NOON - timedelta(hours=20), NOON.replace(hour=3, second=0)),
    ],
)
def test_of_all_missed_times_the_last_is_due(schedule: str, since: datetime, expected: datetime | None) -> None:
    assert due(schedule, since, NOON) == expected


async def test_one_job_for_all_that_was_missed_and_none_twice(store: Store) -> None:
    key = cron_job(store)
    controller = CronJobController(store)
    wait = await controller.reconcile(key)
    await controller.reconcile(key)
    (job,) = jobs(store)
    assert job["metadata"]["ownerReferences"][0]["name"] == "dump"
    assert wait is not None
    assert wait <= 60
    assert store.get(key)["status"]["active"][0]["name"] == job["metadata"]["name"]


async def test_what_is_suspended_or_too_late_is_not_started(store: Store) -> None:
    late = cron_job(store, schedule=f"{(datetime.now(UTC) - timedelta(minutes=5)).minute} * * * *")
    with store.editing(late) as edited:
        edited["spec"]["startingDeadlineSeconds"] = 60
    await CronJobController(store).reconcile(late)
    assert jobs(store) == []
    with store.editing(late) as edited:
        edited["spec"].update(suspend=True, schedule="* * * * *")
    assert await CronJobController(store).reconcile(late) is None
    assert jobs(store) == []


@pytest.mark.parametrize(("policy", "expected"), [("Forbid", ["old"]), ("Allow", ["old", "new"]), ("Replace", ["new"])])
async def test_a_job_that_still_runs(store: Store, policy: str, expected: list[str]) -> None:
    key = cron_job(store, concurrencyPolicy=policy)
    controller = CronJobController(store)
    await controller.reconcile(key)
    (old,) = jobs(store)
    store.remove(Key(JOBS, "n", old["metadata"]["name"]))
    store.create(JOBS, {**old, "metadata": {**old["metadata"], "name": "before"}})
    again(store, key)
    await controller.reconcile(key)
    found = ["old" if job["metadata"]["name"] == "before" else "new" for job in jobs(store)]
    assert found == expected


async def test_the_history_is_limited_by_kind(store: Store) -> None:
    key = cron_job(store, successfulJobsHistoryLimit=1, failedJobsHistoryLimit=2)
    controller = CronJobController(store)
    await controller.reconcile(key)
    (made,) = jobs(store)
    for number in range(3):
        for kind in ("Complete", "Failed"):
            name = f"{kind.lower()}-{number}"
            finish(store, store.create(JOBS, {**made, "metadata": {**made["metadata"], "name": name}}), kind)
    await controller.reconcile(key)
    names = {job["metadata"]["name"] for job in jobs(store)} - {made["metadata"]["name"]}
    assert names == {"complete-2", "failed-1", "failed-2"}
    assert store.get(key)["status"]["lastSuccessfulTime"]


def end(store: Store, phase: str) -> None:
    """The kubelet's part: the pods that run have ended."""
    for pod in store.select(PODS, "n"):
        with store.editing(Key(PODS, "n", pod["metadata"]["name"])) as edited:
            if edited["status"]["phase"] == "Pending":
                edited["status"] = {
                    "phase": phase,
                    "containerStatuses": [{"state": {"terminated": {"finishedAt": timestamp()}}}],
                }


class TestJob:
    async def test_a_pod_that_succeeds_completes_it(self, store: Store) -> None:
        controller = JobController(store, Backoff(base=0))
        key = create(store, JOBS, "j", {"template": {"spec": POD}})
        await controller.reconcile(key)
        (pod,) = store.select(PODS, "n")
        assert pod["metadata"]["labels"]["job-name"] == "j"
        assert store.get(key)["status"]["failed"] == 0
        end(store, "Succeeded")
        await controller.reconcile(key)
        job = store.get(key)
        assert conditions.is_true(job, "Complete")
        assert (job["status"]["succeeded"], job["status"]["active"]) == (1, 0)
        assert job["status"]["completionTime"] >= job["status"]["startTime"]

    async def test_pods_that_fail_are_followed_by_others_up_to_the_limit(self, store: Store) -> None:
        controller = JobController(store, Backoff(base=0))
        key = create(store, JOBS, "j", {"template": {"spec": POD}, "backoffLimit": 2})
        for tries in range(1, 4):
            await controller.reconcile(key)
            assert len(store.select(PODS, "n")) == tries
            assert not conditions.is_true(store.get(key), "Failed")
            end(store, "Failed")
        await controller.reconcile(key)
        await controller.reconcile(key)
        assert len(store.select(PODS, "n")) == 3
        job = store.get(key)
        assert conditions.get(job, "Failed")["reason"] == "BackoffLimitExceeded"
        assert job["status"]["failed"] == 3

    async def test_between_two_tries_it_waits(self, store: Store) -> None:
        controller = JobController(store, Backoff(base=600))
        key = create(store, JOBS, "j", {"template": {"spec": POD}})
        await controller.reconcile(key)
        end(store, "Failed")
        wait = await controller.reconcile(key)
        assert wait is not None
        assert wait > 0
        assert len(store.select(PODS, "n")) == 1

    async def test_a_deadline_ends_it_and_its_pod(self, store: Store) -> None:
        controller = JobController(store, Backoff(base=0))
        key = create(store, JOBS, "j", {"template": {"spec": POD}, "activeDeadlineSeconds": 60})
        wait = await controller.reconcile(key)
        assert wait is not None
        with store.editing(key) as edited:
            edited["status"]["startTime"] = timestamp(datetime.now(UTC) - timedelta(seconds=61))
        await controller.reconcile(key)
        assert conditions.get(store.get(key), "Failed")["reason"] == "DeadlineExceeded"
        assert all("deletionTimestamp" in pod["metadata"] for pod in store.select(PODS, "n"))

    async def test_its_time_to_live_begins_at_its_end(self, store: Store) -> None:
        controller = JobController(store, Backoff(base=0))
        key = create(store, JOBS, "j", {"template": {"spec": POD}, "ttlSecondsAfterFinished": 60})
        finish(store, store.get(key))
        wait = await controller.reconcile(key)
        assert wait is not None
        with store.editing(key) as edited:
            edited["spec"]["ttlSecondsAfterFinished"] = 0
        await controller.reconcile(key)
        assert store.find(key) is None


@pytest.mark.parametrize(
    ("resource", "spec", "field"),
    [
        (JOBS, {"template": {"spec": {"containers": POD["containers"]}}}, "restartPolicy"),
        (JOBS, {"template": {"spec": POD}, "completions": 2}, "completions"),
        (JOBS, {"template": {"spec": POD}, "backoffLimit": -1}, "backoffLimit"),
        (CRON_JOBS, {"schedule": "every minute", "jobTemplate": {"spec": {"template": {"spec": POD}}}}, "schedule"),
        (CRON_JOBS, {"schedule": "* * * * * *", "jobTemplate": {"spec": {"template": {"spec": POD}}}}, "schedule"),
        (CRON_JOBS, {"schedule": "* * * * *", "jobTemplate": {"spec": {}}}, "containers"),
        (
            CRON_JOBS,
            {
                "schedule": "* * * * *",
                "timeZone": "Europe/Vienna",
                "jobTemplate": {"spec": {"template": {"spec": POD}}},
            },
            "timeZone",
        ),
    ],
)
def test_what_is_refused(store: Store, resource: Any, spec: dict[str, Any], field: str) -> None:
    with pytest.raises(StatusError) as caught:
        create(store, resource, "wrong", spec)
    assert caught.value.code == 422
    assert field in caught.value.message
