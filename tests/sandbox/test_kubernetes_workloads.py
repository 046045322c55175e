"""Volumes, settings and roles of pods, and Jobs from their CronJob, in a cluster that runs."""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from lightkube import codecs
from lightkube.core.exceptions import ApiError
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.batch_v1 import CronJob, Job
from lightkube.resources.core_v1 import Namespace, Pod

from sandbox.kubernetes import jobs
from sandbox.kubernetes.kubelet.volumes import placed
from sandbox.provision import service_role
from sandbox.service.queue import connect
from tests.sandbox.fixtures.kubernetes import Rig, eventually, running_rig

BUCKET = "backups"
NAMESPACE = "data"
KEY = "application-data/incoming/queue.db"
SETTINGS = {"QUEUE_PATH": "/data/queue.db", "QUEUE_DUMP_URL": f"s3://{BUCKET}/{KEY}"}


@dataclass
class Cluster:
    rig: Rig
    image: str

    def apply(self, kind: str, name: str, version: str = "v1", annotations: Any = None, **fields: Any) -> None:
        metadata: dict[str, Any] = {"name": name, "namespace": NAMESPACE, "annotations": annotations or {}}
        if kind == "PersistentVolume":
            del metadata["namespace"]
        manifest = {"apiVersion": version, "kind": kind, "metadata": metadata, **fields}
        self.rig.kubernetes.apply(codecs.from_dict(manifest), field_manager="tests", force=True)

    def dump_job(self, name: str, *, account: str = "dumper", claim: str = "queue", limit: int = 0, **env: str) -> None:
        """A CronJob that never runs by itself."""
        variables = [{"name": key, "value": value} for key, value in env.items()]
        container = {
            "name": "dump",
            "image": self.image,
            "command": ["python", "-m", "sandbox.service.dump"],
            "envFrom": [{"configMapRef": {"name": "settings"}}],
            "env": [{"name": "TMPDIR", "value": "/scratch"}, *variables],
            "volumeMounts": [{"name": "queue", "mountPath": "/data"}, {"name": "temporary", "mountPath": "/scratch"}],
        }
        pod = {
            "restartPolicy": "Never",
            "serviceAccountName": account,
            "containers": [container],
            "volumes": [
                {"name": "queue", "persistentVolumeClaim": {"claimName": claim}},
                {"name": "temporary", "emptyDir": {}},
            ],
        }
        template = {"spec": {"backoffLimit": limit, "template": {"spec": pod}}}
        spec = {"schedule": "0 0 29 2 *", "suspend": True, "jobTemplate": template}
        self.apply("CronJob", name, "batch/v1", spec=spec)

    def run(self, name: str) -> dict[str, Any]:
        return jobs.run_now(self.rig.kubernetes, name, namespace=NAMESPACE, timeout_seconds=30)

    def pods(self) -> list[dict[str, Any]]:
        return [pod.to_dict() for pod in self.rig.kubernetes.list(Pod, namespace=NAMESPACE)]

    def stored(self, key: str = KEY) -> tuple[bytes, dict[str, str]]:
        answer = self.rig.clients["s3"].get_object(Bucket=BUCKET, Key=key)
        return answer["Body"].read(), answer["Metadata"]

    @property
    def volumes(self) -> Path:
        return self.rig.config.dir / "volumes"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_rig(tmp_path_factory.mktemp("workloads") / "sandbox") as rig:
        made = Cluster(rig, rig.push())
        rig.kubernetes.create(Namespace(metadata=ObjectMeta(name=NAMESPACE)))
        rig.clients["s3"].create_bucket(Bucket=BUCKET)
        role = service_role.provision(
            rig.clients,
            namespace=NAMESPACE,
            account="dumper",
            backup_bucket=BUCKET,
            backup_key_arn=f"arn:aws:kms:us-east-1:{rig.config.account}:key/k",
        )
        for account in ("dumper", "somebody"):
            made.apply("ServiceAccount", account, annotations={"eks.amazonaws.com/role-arn": role})
        made.apply("ServiceAccount", "nobody")
        made.apply("ConfigMap", "settings", data=SETTINGS)
        made.apply("PersistentVolume", "efs", spec={"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany"]})
        claim = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
        made.apply("PersistentVolumeClaim", "queue", spec={**claim, "volumeName": "efs"})
        yield made


def queued(cluster: Cluster, *ids: str) -> None:
    """What a pod on the same volume has queued."""
    with connect(str(cluster.volumes / "persistent" / "efs" / "queue.db")) as queue:
        queue.executemany("INSERT INTO queue (id, detection) VALUES (?, '{}')", [(one,) for one in ids])
    queue.close()


def test_a_queue_that_nobody_has_used_is_dumped_as_an_empty_database(cluster: Cluster, tmp_path: Path) -> None:
    cluster.dump_job("empty")
    job = cluster.run("empty")
    assert job["status"]["succeeded"] == 1
    body, metadata = cluster.stored()
    (tmp_path / "copy.db").write_bytes(body)
    copy = sqlite3.connect(tmp_path / "copy.db")
    assert copy.execute("SELECT count(*) FROM queue").fetchone() == (0,)
    copy.close()
    assert (metadata["integrity"], metadata["rows"]) == ("ok", "0")


def test_a_job_sees_what_another_pod_left_on_the_volume(cluster: Cluster, tmp_path: Path) -> None:
    queued(cluster, "a", "b")
    cluster.dump_job("dump")
    job = cluster.run("dump")
    body, metadata = cluster.stored()
    (tmp_path / "copy.db").write_bytes(body)
    copy = sqlite3.connect(tmp_path / "copy.db")
    assert [one for (one,) in copy.execute("SELECT id FROM queue ORDER BY position")] == ["a", "b"]
    copy.close()
    assert metadata["rows"] == "2"
    (pod,) = [each for each in cluster.pods() if each["metadata"]["labels"]["job-name"] == job["metadata"]["name"]]
    assert pod["status"]["phase"] == "Succeeded"
    log = "".join(cluster.rig.kubernetes.log(pod["metadata"]["name"], namespace=NAMESPACE))
    assert json.loads(log)["sha256"] == metadata["sha256"]


def test_the_pods_of_a_service_account_have_its_role_and_only_they(cluster: Cluster) -> None:
    """The trust policy names one account; another that is annotated with the role does not get it."""
    cluster.dump_job("allowed")
    cluster.run("allowed")
    cluster.dump_job("annotated", account="somebody")
    with pytest.raises(jobs.JobFailedError, match="Not authorized to perform sts:AssumeRoleWithWebIdentity"):
        cluster.run("annotated")
    cluster.dump_job("without", account="nobody")
    with pytest.raises(jobs.JobFailedError, match="Unable to locate credentials"):
        cluster.run("without")


def test_the_role_may_do_what_its_policy_says_and_no_more(cluster: Cluster) -> None:
    cluster.dump_job("elsewhere", QUEUE_DUMP_URL=f"s3://{BUCKET}/manifests/queue.db")
    with pytest.raises(jobs.JobFailedError, match="AccessDenied"):
        cluster.run("elsewhere")
    with pytest.raises(ClientError):
        cluster.stored("manifests/queue.db")


def test_a_queue_that_is_not_sound_is_not_dumped_over_one_that_is(cluster: Cluster) -> None:
    cluster.dump_job("sound")
    cluster.run("sound")
    before = cluster.stored()
    spoiled = cluster.volumes / "persistent" / "spoiled"
    cluster.apply(
        "PersistentVolume", "spoiled", spec={"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany"]}
    )
    claim = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    cluster.apply("PersistentVolumeClaim", "spoiled", spec={**claim, "volumeName": "spoiled"})
    spoiled.mkdir(parents=True)
    queue = connect(str(spoiled / "queue.db"))
    with queue:
        queue.executemany("INSERT INTO queue (id, detection) VALUES (?, ?)", [(f"{n}", "x" * 500) for n in range(500)])
    queue.close()
    content = bytearray((spoiled / "queue.db").read_bytes())
    content[3 * 4096 : 6 * 4096] = b"\xff" * (3 * 4096)
    (spoiled / "queue.db").write_bytes(content)
    cluster.dump_job("spoiled", claim="spoiled", limit=1)
    with pytest.raises(jobs.JobFailedError, match="BackoffLimitExceeded"):
        cluster.run("spoiled")
    assert cluster.stored() == before
    (job,) = [
        each for each in cluster.rig.kubernetes.list(Job, namespace=NAMESPACE) if "spoiled" in str(each.metadata.name)
    ]
    assert job.status.failed == 2, "it was tried twice"


def test_a_pod_waits_for_what_it_refers_to(cluster: Cluster) -> None:
    spec = {
        "containers": [
            {
                "name": "app",
                "image": cluster.image,
                "envFrom": [{"configMapRef": {"name": "late"}}],
                "volumeMounts": [{"name": "files", "mountPath": "/etc/files"}],
            }
        ],
        "volumes": [{"name": "files", "configMap": {"name": "files"}}],
    }
    cluster.apply("Pod", "waiting", spec=spec)

    def state() -> dict[str, Any]:
        found = next(each for each in cluster.pods() if each["metadata"]["name"] == "waiting")
        statuses = found.get("status", {}).get("containerStatuses", [])
        return dict(statuses[0]["state"]) if statuses else {}

    eventually(lambda: 'configmap "files" not found' in str(state().get("waiting", {}).get("message")))
    cluster.apply("ConfigMap", "files", data={"a.txt": "text"})
    eventually(lambda: state().get("waiting", {}).get("reason") == "CreateContainerConfigError")
    cluster.apply("ConfigMap", "late", data={"PORT": "8000"})
    eventually(lambda: "running" in state())
    pod = next(each for each in cluster.pods() if each["metadata"]["name"] == "waiting")
    own = cluster.volumes / "pods" / pod["metadata"]["uid"]
    assert (own / "files" / "a.txt").read_text() == "text"
    cluster.rig.kubernetes.delete(Pod, "waiting", namespace=NAMESPACE, grace_period=0)
    eventually(lambda: not own.exists())


def test_a_command_that_is_not_in_the_image(cluster: Cluster) -> None:
    container = {"name": "app", "image": cluster.image, "command": ["sh", "-c", "true"]}
    cluster.apply("Pod", "stranger", spec={"containers": [container]})

    def why() -> str:
        found = next(each for each in cluster.pods() if each["metadata"]["name"] == "stranger")
        return str(found.get("status", {}).get("containerStatuses"))

    eventually(lambda: "RunContainerError" in why() and "executable file not found" in why())
    cluster.rig.kubernetes.delete(Pod, "stranger", namespace=NAMESPACE, grace_period=0)


def test_with_a_cron_job_go_its_jobs_and_their_pods(cluster: Cluster) -> None:
    cluster.dump_job("leaving")
    name = cluster.run("leaving")["metadata"]["name"]
    cluster.rig.kubernetes.delete(CronJob, "leaving", namespace=NAMESPACE)
    eventually(lambda: not any(each["metadata"]["labels"].get("job-name") == name for each in cluster.pods()))
    with pytest.raises(ApiError):
        cluster.rig.kubernetes.get(Job, name, namespace=NAMESPACE)


def test_paths_below_a_mount_lead_to_its_directory() -> None:
    mounts = {"/data": Path("/host/a"), "/data/inner": Path("/host/b")}
    assert placed("/data", mounts) == "/host/a"
    assert placed("/data/queue.db", mounts) == "/host/a/queue.db"
    assert placed("/data/inner/x", mounts) == "/host/b/x"
    assert placed("/database", mounts) == "/database"
    assert placed("s3://data/x", mounts) == "s3://data/x"
