"""Deployments roll out as on a real cluster: pods are processes, and the balancer is the judge."""

import threading
from collections import Counter
from collections.abc import Iterator

import pytest
import urllib3

from tests.sandbox.fixtures.kubernetes import Rig, empty, eventually, running_rig


@pytest.fixture(scope="module")
def sandbox_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with running_rig(tmp_path_factory.mktemp("cluster") / "sandbox") as rig:
        yield rig


@pytest.fixture
def rig(sandbox_rig: Rig) -> Iterator[Rig]:
    yield sandbox_rig
    empty(sandbox_rig)


class Load:
    """Requests through the balancer on kept connections, until stopped; counts what came back."""

    def __init__(self, url: str, threads: int = 4) -> None:
        self.outcomes: Counter[str] = Counter()
        self.versions: set[str] = set()
        self._url = url
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(threads)]

    def _run(self, number: int) -> None:
        pool = urllib3.PoolManager(maxsize=1, retries=False)
        while not self._stop.wait(0.01):
            path = "/detections?slow=0.5" if number == 0 else "/version"
            try:
                answer = pool.request("GET", self._url + path, timeout=15)
                self.outcomes[str(answer.status)] += 1
                if path == "/version":
                    self.versions.add(answer.json()["version"])
            except urllib3.exceptions.HTTPError as error:
                self.outcomes[type(error).__name__] += 1

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def test_a_rolling_update_under_requests_fails_none_of_them(rig: Rig) -> None:
    rig.apply(rig.push())
    rig.deploy("blue", rig.push(), 2)
    eventually(lambda: rig.settled("blue", 2))
    before = {pod["metadata"]["name"] for pod in rig.pods("blue")}
    with Load(rig.config.balancer_url) as load:
        eventually(lambda: load.outcomes["200"] > 20)
        rig.deploy("blue", rig.push(), 2)
        eventually(lambda: rig.settled("blue", 2))
        seen = load.outcomes["200"]
        eventually(lambda: load.outcomes["200"] > seen + 20)
    assert set(load.outcomes) == {"200"}
    assert len(load.versions) == 2
    assert before.isdisjoint(pod["metadata"]["name"] for pod in rig.pods("blue"))


def test_available_means_that_the_target_is_healthy(rig: Rig) -> None:
    rig.apply(rig.push())
    rig.deploy("green", rig.push(), 2)
    eventually(lambda: rig.settled("green", 2))
    assert sorted(rig.targets("green").values()) == ["healthy", "healthy"]
    for pod in rig.pods("green"):
        gate = "target-health.elbv2.k8s.aws/detection-api-green"
        assert [each["conditionType"] for each in pod["spec"]["readinessGates"]] == [gate]
        conditions = {each["type"]: each["status"] for each in pod["status"]["conditions"]}
        assert conditions[gate] == conditions["Ready"] == "True"


def test_an_unhealthy_image_never_becomes_available_and_trips_the_deadline(rig: Rig) -> None:
    rig.apply(rig.push())
    rig.deploy("green", rig.push(), 1)
    eventually(lambda: rig.settled("green", 1))
    rig.deploy("green", rig.push("unhealthy"), 1)
    exceeded = eventually(
        lambda: (
            condition
            if (condition := rig.condition("green", "Progressing")).get("reason") == "ProgressDeadlineExceeded"
            else None
        )
    )
    status = rig.deployment("green")["status"]
    assert exceeded["status"] == "False"
    assert status["updatedReplicas"] == 1
    # maxUnavailable is 0: the old pod still serves, and it alone is registered.
    assert status["availableReplicas"] == 1
    assert list(rig.targets("green").values()) == ["healthy"]
    rig.deploy("green", rig.push(), 1)
    eventually(lambda: rig.settled("green", 1))
    assert rig.condition("green", "Progressing")["reason"] == "NewReplicaSetAvailable"


def test_an_unknown_image_cannot_be_pulled(rig: Rig) -> None:
    rig.apply(rig.push())
    rig.deploy("green", rig.reference("sha256:" + "0" * 64), 1)
    eventually(lambda: "ErrImagePull" in rig.waiting_reasons("green"))
    eventually(lambda: "ImagePullBackOff" in rig.waiting_reasons("green"))
    rig.deploy("green", rig.push(), 1)
    eventually(lambda: rig.settled("green", 1))


def test_a_crashing_image_backs_off_and_restarts(rig: Rig) -> None:
    rig.apply(rig.push())
    rig.deploy("green", rig.push("crash", crash_seconds=0.1), 1)
    eventually(lambda: rig.settled("green", 1))
    headers = {"X-Release-Colour": "green"}
    url = f"{rig.config.balancer_url}/detections"
    assert urllib3.request("GET", url, headers=headers).status == 200
    eventually(lambda: "CrashLoopBackOff" in rig.waiting_reasons("green"))
    assert rig.deployment("green")["status"].get("availableReplicas", 0) == 0
    eventually(lambda: not rig.targets("green") or "healthy" not in rig.targets("green").values())
    eventually(lambda: rig.settled("green", 1))
    container = rig.pods("green")[0]["status"]["containerStatuses"][0]
    assert container["restartCount"] == 1
    assert container["lastState"]["terminated"]["exitCode"] == 1


def test_scaling_down_ends_the_processes(rig: Rig) -> None:
    rig.apply(rig.push())
    rig.deploy("green", rig.push(), 3)
    eventually(lambda: rig.settled("green", 3))
    assert len(rig.processes()) >= 3
    rig.scale("green", 0)
    rig.scale("blue", 0)
    eventually(lambda: not rig.pods("green") and not rig.pods("blue"))
    assert rig.processes() == []
    eventually(lambda: not rig.targets("green"))


def test_applying_the_manifests_again_leaves_the_release_alone(rig: Rig) -> None:
    rig.apply(rig.push())
    released = rig.push()
    rig.deploy("blue", released, 1)
    eventually(lambda: rig.settled("blue", 1))
    before = rig.deployment("blue")["metadata"]["generation"]
    rig.apply(rig.push())
    after = rig.deployment("blue")
    assert after["metadata"]["generation"] == before
    assert after["spec"]["template"]["spec"]["containers"][0]["image"] == released
    assert after["spec"]["replicas"] == 1
