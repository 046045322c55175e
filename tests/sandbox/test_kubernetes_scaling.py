"""Autoscalers and network policies are kept and served, not acted on; what a release changes of them stays."""

from collections.abc import Iterator

import pytest
import urllib3
from lightkube.core.exceptions import ApiError
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.autoscaling_v2 import HorizontalPodAutoscaler
from lightkube.resources.networking_v1 import NetworkPolicy
from lightkube.resources.scheduling_v1 import PriorityClass
from lightkube.types import PatchType

from opskit.adapters.cluster import Cluster
from opskit.adapters.kubernetes_api import KubernetesApi
from opskit.adapters.namespace import export_namespace
from opskit.traffic import Colour
from sandbox.kubernetes.kubelet.pod import host_port
from tests.sandbox.fixtures.kubernetes import NAMESPACE, Rig, eventually, running_rig
from tests.sandbox.test_kubernetes_access import client, token


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with running_rig(tmp_path_factory.mktemp("scaling") / "sandbox") as made:
        made.apply(made.push(), replicas=1)
        yield made


@pytest.fixture(scope="module")
def operator_api(rig: Rig) -> KubernetesApi:
    """The API as the functions speak to it: with the cluster operator's rights and no more."""
    authority = (rig.config.tls_dir / "ca.pem").read_text()
    return KubernetesApi(rig.config.kubernetes_url, authority, lambda: token(rig, rig.operator_role_arn))


def policy(rig: Rig, colour: str) -> str | None:
    autoscaler = rig.kubernetes.get(HorizontalPodAutoscaler, f"detection-api-{colour}", namespace=NAMESPACE)
    assert autoscaler.spec
    assert autoscaler.spec.behavior
    assert autoscaler.spec.behavior.scaleDown
    return autoscaler.spec.behavior.scaleDown.selectPolicy


def test_what_is_only_kept_is_served(rig: Rig) -> None:
    autoscalers = {each.metadata.name for each in rig.kubernetes.list(HorizontalPodAutoscaler, namespace=NAMESPACE)}
    assert autoscalers == {"detection-api-blue", "detection-api-green"}
    policies = {each.metadata.name for each in rig.kubernetes.list(NetworkPolicy, namespace=NAMESPACE)}
    assert {"default-deny", "serve-balancer", "serve-prometheus"} <= policies
    assert rig.kubernetes.get(PriorityClass, "detection-api").value == 100000


def test_nothing_here_scales(rig: Rig) -> None:
    """Blue has one pod, fewer than its autoscaler's minimum: nobody adds one."""
    eventually(lambda: rig.settled("blue", 1))
    assert rig.deployment("blue")["spec"]["replicas"] == 1


def test_a_release_pauses_autoscalers_with_the_rights_that_the_manifests_give_it(
    rig: Rig, operator_api: KubernetesApi
) -> None:
    cluster = Cluster(operator_api, namespace=NAMESPACE, service="detection-api")
    assert policy(rig, "green") is None
    assert cluster.pause_scale_down(Colour.GREEN)
    assert policy(rig, "green") == "Disabled"
    assert policy(rig, "blue") is None
    # The manifests say nothing of this field, so applying them in the middle of a release changes nothing of it.
    rig.apply(rig.push(), replicas=1)
    assert policy(rig, "green") == "Disabled"
    assert cluster.resume_scale_down(Colour.GREEN)
    assert policy(rig, "green") == "Max"


def test_it_may_do_nothing_else_to_them(rig: Rig) -> None:
    operator = client(rig, token(rig, rig.operator_role_arn))
    for forbidden in (
        lambda: operator.delete(HorizontalPodAutoscaler, "detection-api-blue"),
        lambda: operator.patch(HorizontalPodAutoscaler, "another", {"spec": {"maxReplicas": 99}}),
        lambda: operator.get(NetworkPolicy, "default-deny"),
    ):
        with pytest.raises(ApiError) as caught:
            forbidden()
        assert caught.value.status.code == 403


def test_applying_the_manifests_again_leaves_the_number_of_pods_that_an_autoscaler_chose(rig: Rig) -> None:
    rig.kubernetes.patch(
        Deployment,
        "detection-api-blue",
        {"spec": {"replicas": 2}},
        namespace=NAMESPACE,
        patch_type=PatchType.MERGE,
        field_manager="kube-controller-manager",
    )
    rig.apply(rig.push())
    assert rig.deployment("blue")["spec"]["replicas"] == 2


def test_the_cluster_s_export_holds_them(rig: Rig, operator_api: KubernetesApi) -> None:
    export = export_namespace(operator_api, NAMESPACE)
    assert export.absent == ()
    assert export.counts["horizontalpodautoscalers"] == 2
    assert export.counts["networkpolicies"] >= 6
    assert export.counts["poddisruptionbudgets"] == 2
    (blue, _) = (each for each in export.objects if each["kind"] == "HorizontalPodAutoscaler")
    assert blue["apiVersion"] == "autoscaling/v2"
    assert {metric["resource"]["name"] for metric in blue["spec"]["metrics"]} == {"cpu", "memory"}


def test_every_pod_serves_its_metrics_at_a_port_of_its_own(rig: Rig) -> None:
    def serving() -> list[dict[str, object]]:
        pods = rig.pods("blue")
        return pods if pods and all(host_port(pod, "metrics") for pod in pods) and rig.targets("blue") else []

    pods = eventually(serving)
    ports = {host_port(pod, "metrics") for pod in pods}
    assert len(ports) == len(pods)
    assert not ports & rig.targets("blue").keys(), "registered with the balancer"
    with urllib3.PoolManager(retries=urllib3.Retry(5, backoff_factor=0.1)) as pool:
        for port in ports:
            answer = pool.request("GET", f"http://127.0.0.1:{port}/metrics")
            assert answer.status == 200
            assert b"service_build_info{version=" in answer.data
        for port in rig.targets("blue"):
            assert pool.request("GET", f"http://127.0.0.1:{port}/metrics").status == 404
