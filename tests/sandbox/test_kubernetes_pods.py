"""Pods are processes: how they start, are probed, restarted, ended, and never outlive the cluster."""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import urllib3
from lightkube.models.core_v1 import PodSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Namespace, Pod

from sandbox.health import answers
from sandbox.kubernetes.manifests import Pace
from sandbox.ports import PortHold
from tests.sandbox.fixtures.kubernetes import NAMESPACE, Rig, empty, eventually, running_rig


@pytest.fixture(scope="module")
def sandbox_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with running_rig(tmp_path_factory.mktemp("pods") / "sandbox") as made:
        made.apply(made.push(), replicas=0)
        made.kubernetes.create(Namespace(metadata=ObjectMeta(name="plain")))
        yield made


@pytest.fixture
def rig(sandbox_rig: Rig) -> Iterator[Rig]:
    yield sandbox_rig
    sandbox_rig.kubernetes.deletecollection(Pod, namespace="plain")
    empty(sandbox_rig)


def run(rig: Rig, name: str, image: str, grace: int = 5, **container: Any) -> None:
    """A bare pod, outside the namespace that restricts them."""
    spec = {
        "terminationGracePeriodSeconds": grace,
        "containers": [{"name": "app", "image": image, "ports": [{"containerPort": 8000}], **container}],
    }
    rig.kubernetes.create(Pod(metadata=ObjectMeta(name=name, namespace="plain"), spec=PodSpec.from_dict(spec)), name)


def pod(rig: Rig, name: str) -> dict[str, Any] | None:
    found = rig.kubernetes.list(Pod, namespace="plain", fields={"metadata.name": name})
    return next((dict(each.to_dict()) for each in found), None)


def status(rig: Rig, name: str) -> dict[str, Any]:
    found = (pod(rig, name) or {}).get("status", {}).get("containerStatuses")
    return dict(found[0]) if found else {}


def address(found: dict[str, Any]) -> str:
    port = json.loads(found["metadata"]["annotations"]["sandbox/host-ports"])["8000"]
    return f"http://{found['status']['podIP']}:{port}"


def test_a_pod_serves_what_its_image_and_environment_say(rig: Rig) -> None:
    image = rig.push()
    run(
        rig,
        "served",
        image,
        env=[
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        ],
        readinessProbe={"httpGet": {"path": "/health", "port": 8000}},
    )
    eventually(lambda: status(rig, "served").get("ready"))
    found = pod(rig, "served")
    assert found
    answer = request(address(found) + "/version").json()
    assert answer["pod"] == "served"
    assert image.endswith(status(rig, "served")["imageID"].partition("@")[2])
    assert "listening" in "".join(rig.kubernetes.log("served", namespace="plain"))


def test_a_failed_liveness_probe_restarts_the_container(rig: Rig) -> None:
    probe = {"httpGet": {"path": "/nowhere", "port": 8000}, "periodSeconds": 1, "failureThreshold": 1}
    run(rig, "sick", rig.push(), livenessProbe=probe)
    eventually(lambda: status(rig, "sick").get("restartCount", 0) >= 1)


def test_a_container_without_readiness_probe_is_ready_when_it_runs(rig: Rig) -> None:
    run(rig, "bare", rig.push())
    eventually(lambda: status(rig, "bare").get("ready"))


def test_readiness_follows_the_probe_without_a_restart(rig: Rig) -> None:
    probe = {"httpGet": {"path": "/health", "port": 8000}, "periodSeconds": 1, "failureThreshold": 1}
    run(rig, "unready", rig.push("unhealthy"), readinessProbe=probe)
    eventually(lambda: status(rig, "unready").get("started"))
    log = rig.config.dir / "logs" / "pods" / "unready.log"
    eventually(lambda: "listening" in log.read_text())
    assert not status(rig, "unready")["ready"]
    assert status(rig, "unready")["restartCount"] == 0


def test_a_pod_leaves_the_target_group_while_it_still_serves(rig: Rig) -> None:
    """The preStop sleep bridges the time from deregistration until no new requests come."""
    image = rig.push()
    rig.apply(image, pace=Pace(pre_stop=4, grace=15))
    rig.deploy("green", image, 1)
    eventually(lambda: rig.settled("green", 1))
    url = address(rig.pods("green")[0])
    rig.scale("green", 0)
    eventually(lambda: "healthy" not in rig.targets("green").values())
    assert rig.pods("green")[0]["metadata"]["deletionTimestamp"]
    answer = request(url + "/version")
    assert answer.status == 200
    assert "connection" not in answer.headers
    eventually(lambda: not rig.pods("green"))
    with pytest.raises(urllib3.exceptions.HTTPError):
        request(url + "/version")


def test_a_request_in_flight_is_finished_within_the_grace(rig: Rig) -> None:
    run(rig, "finishing", rig.push(), grace=10)
    eventually(lambda: status(rig, "finishing").get("ready"))
    url = address(pod(rig, "finishing") or {})
    eventually(lambda: accepts(url))
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(request, url + "/detections?slow=2")
        in_flight(rig, url)
        rig.kubernetes.delete(Pod, "finishing", namespace="plain")
        eventually(lambda: not accepts(url))
        answer = slow.result()
    assert answer.status == 200
    assert answer.headers["connection"] == "close"
    eventually(lambda: pod(rig, "finishing") is None)


def test_after_the_grace_a_pod_is_killed(rig: Rig) -> None:
    run(rig, "stubborn", rig.push(), grace=1)
    eventually(lambda: status(rig, "stubborn").get("ready"))
    url = address(pod(rig, "stubborn") or {})
    eventually(lambda: accepts(url))
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(request, url + "/detections?slow=10")
        in_flight(rig, url)
        rig.kubernetes.delete(Pod, "stubborn", namespace="plain")
        eventually(lambda: pod(rig, "stubborn") is None)
        with pytest.raises(urllib3.exceptions.ProtocolError):
            slow.result()


def test_a_second_delete_hastens_the_end(rig: Rig) -> None:
    run(rig, "hurried", rig.push(), grace=600, lifecycle={"preStop": {"sleep": {"seconds": 500}}})
    eventually(lambda: status(rig, "hurried").get("ready"))
    rig.kubernetes.delete(Pod, "hurried", namespace="plain")
    assert pod(rig, "hurried")
    rig.kubernetes.delete(Pod, "hurried", namespace="plain", grace_period=0)
    eventually(lambda: pod(rig, "hurried") is None)


def test_a_deleted_pod_of_a_deployment_is_replaced(rig: Rig) -> None:
    rig.deploy("green", rig.push(), 1)
    eventually(lambda: rig.settled("green", 1))
    name = rig.pods("green")[0]["metadata"]["name"]
    rig.kubernetes.delete(Pod, name, namespace=NAMESPACE)
    eventually(lambda: rig.settled("green", 1) and rig.pods("green")[0]["metadata"]["name"] != name)


def request(url: str) -> urllib3.BaseHTTPResponse:
    return urllib3.request("GET", url, retries=False, timeout=20)


def accepts(url: str) -> bool:
    try:
        request(url + "/health")
    except urllib3.exceptions.HTTPError:
        return False
    return True


def in_flight(rig: Rig, url: str) -> None:
    """Until a connection to the pod is established, by someone who waits for an answer."""
    port = int(url.rpartition(":")[2])

    def established() -> bool:
        return any(
            each.status == psutil.CONN_ESTABLISHED and each.laddr.port == port
            for process in rig.processes()
            for each in process.net_connections("tcp")
        )

    eventually(established)


@contextmanager
def another_cluster(rig: Rig, directory: Path) -> Iterator[tuple["subprocess.Popen[bytes]", Rig]]:
    """A second cluster on the same planes, to be killed, with three pods that serve."""
    with PortHold(1) as hold:
        url = f"https://127.0.0.1:{hold.ports[0]}"
    config = replace(rig.config, dir=directory, kubernetes_url=url)
    command = [sys.executable, "-m", "sandbox.kubernetes", "--config", str(config.save())]
    process = subprocess.Popen(command)
    try:
        eventually(lambda: answers(url + "/readyz", config.tls_dir / "ca.pem"))
        other = replace(rig, config=config)
        other.kubernetes.create(Namespace(metadata=ObjectMeta(name="plain")))
        for name in ("one", "two", "three"):
            run(other, name, other.push(), grace=600)
            eventually(lambda name=name: status(other, name).get("ready"))
            eventually(lambda name=name: accepts(address(pod(other, name) or {})))
        assert len(other.processes()) == 3
        yield process, other
    finally:
        process.kill()
        process.wait()


def test_no_pod_survives_the_cluster(sandbox_rig: Rig, tmp_path: Path) -> None:
    with another_cluster(sandbox_rig, tmp_path) as (cluster, rig):
        pods = rig.processes()
        cluster.kill()
        _, alive = psutil.wait_procs(pods, timeout=10)
        assert alive == []


def test_sigterm_ends_the_cluster_and_its_pods(sandbox_rig: Rig, tmp_path: Path) -> None:
    with another_cluster(sandbox_rig, tmp_path) as (cluster, rig), ThreadPoolExecutor(1) as pool:
        pods = rig.processes()
        url = address(pod(rig, "one") or {})
        slow = pool.submit(request, url + "/detections?slow=10")
        in_flight(rig, url)
        cluster.terminate()
        assert cluster.wait(10) == 0
        assert not any(each.is_running() for each in pods)
        with pytest.raises(urllib3.exceptions.ProtocolError):
            slow.result()
