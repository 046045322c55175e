"""The API answers a standard client as a Kubernetes API server would."""

import itertools
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import urllib3
from lightkube.core.exceptions import ApiError
from lightkube.models.apps_v1 import DeploymentSpec
from lightkube.models.core_v1 import Container, ContainerPort, PodSpec, PodTemplateSpec
from lightkube.models.meta_v1 import LabelSelector, ObjectMeta
from lightkube.resources.apps_v1 import Deployment, DeploymentScale, ReplicaSet
from lightkube.resources.core_v1 import ConfigMap, Namespace, Pod
from lightkube.types import PatchType

from sandbox.kubernetes import admin_token
from tests.sandbox.fixtures.kubernetes import NAMESPACE, Rig, eventually, running_rig

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with running_rig(tmp_path_factory.mktemp("api") / "sandbox") as made:
        made.apply(made.push(), replicas=0)
        yield made


@pytest.fixture
def space(rig: Rig) -> str:
    """A new namespace."""
    name = f"space-{next(_numbers)}"
    rig.kubernetes.create(Namespace(metadata=ObjectMeta(name=name)))
    return name


def deployment(space: str, name: str = "web", replicas: int | None = 0, image: str = "none") -> Deployment:
    labels = {"app": name}
    containers = [
        Container(name="app", image=image, ports=[ContainerPort(containerPort=8000)]),
        Container(name="side", image=image),
    ]
    return Deployment(
        metadata=ObjectMeta(name=name, namespace=space),
        spec=DeploymentSpec(
            replicas=replicas,
            selector=LabelSelector(matchLabels=labels),
            template=PodTemplateSpec(metadata=ObjectMeta(labels=labels), spec=PodSpec(containers=containers)),
        ),
    )


def config_map(space: str, name: str, **data: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace=space, labels={"n": name}), data=data)


def refused(call: Any) -> Any:
    with pytest.raises(ApiError) as caught:
        call()
    return caught.value.status


def test_missing_and_taken_names(rig: Rig, space: str) -> None:
    k = rig.kubernetes
    missing = refused(lambda: k.get(ConfigMap, "nothing", namespace=space))
    assert (missing.code, missing.reason, missing.details.name) == (404, "NotFound", "nothing")
    k.create(config_map(space, "one", a="1"))
    taken = refused(lambda: k.create(config_map(space, "one", a="1")))
    assert (taken.code, taken.reason) == (409, "AlreadyExists")
    assert refused(lambda: k.create(config_map("no-such-space", "one"))).code == 404


def test_a_stale_version_is_refused(rig: Rig, space: str) -> None:
    k = rig.kubernetes
    first = k.create(config_map(space, "one", a="1"))
    first.data = {"a": "2"}
    second = k.replace(first)
    assert int(second.metadata.resourceVersion) > int(first.metadata.resourceVersion)
    stale = refused(lambda: k.replace(first))
    assert (stale.code, stale.reason) == (409, "Conflict")
    assert k.get(ConfigMap, "one", namespace=space).data == {"a": "2"}


def test_generation_counts_changes_of_the_spec_alone(rig: Rig, space: str) -> None:
    k = rig.kubernetes
    assert k.create(deployment(space)).metadata.generation == 1
    k.patch(Deployment, "web", {"metadata": {"labels": {"a": "b"}}}, namespace=space)
    eventually(lambda: (k.get(Deployment, "web", namespace=space).status or Deployment).observedGeneration == 1)
    k.patch(Deployment, "web", {"spec": {"minReadySeconds": 3}}, namespace=space)
    assert k.get(Deployment, "web", namespace=space).metadata.generation == 2
    eventually(lambda: k.get(Deployment, "web", namespace=space).status.observedGeneration == 2)


def test_a_strategic_patch_merges_containers_by_name_and_a_merge_patch_replaces_them(rig: Rig, space: str) -> None:
    k = rig.kubernetes
    k.create(deployment(space))
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "new"}]}}}}
    strategic = k.patch(Deployment, "web", patch, namespace=space)
    assert [(c.name, c.image) for c in strategic.spec.template.spec.containers] == [("app", "new"), ("side", "none")]
    merged = k.patch(Deployment, "web", patch, namespace=space, patch_type=PatchType.MERGE)
    assert [(c.name, c.image) for c in merged.spec.template.spec.containers] == [("app", "new")]


def test_the_scale_subresource(rig: Rig, space: str) -> None:
    k = rig.kubernetes
    k.create(deployment(space))
    scale = k.get(DeploymentScale, "web", namespace=space)
    assert (scale.spec.replicas or 0, scale.status.selector) == (0, "app=web")
    scale.spec.replicas = 2
    k.replace(scale, "web", namespace=space)
    assert k.get(Deployment, "web", namespace=space).spec.replicas == 2
    k.patch(DeploymentScale, "web", {"spec": {"replicas": 0}}, namespace=space)
    assert k.get(Deployment, "web", namespace=space).spec.replicas == 0


@pytest.mark.parametrize(
    ("spoil", "field"),
    [
        (lambda d: setattr(d.spec, "replicas", -1), "spec.replicas"),
        (lambda d: setattr(d.spec.template.metadata, "labels", {"app": "other"}), "spec.template.metadata.labels"),
        (lambda d: setattr(d.spec.template.spec, "containers", []), "spec.template.spec.containers"),
        (lambda d: setattr(d.spec.template.spec.containers[0], "image", ""), "spec.template.spec.containers[0].image"),
        (lambda d: setattr(d.metadata, "name", "Not_A_Name"), "metadata.name"),
    ],
)
def test_an_invalid_deployment_is_refused_field_by_field(rig: Rig, space: str, spoil: Any, field: str) -> None:
    wrong = deployment(space)
    spoil(wrong)
    status = refused(lambda: rig.kubernetes.create(wrong))
    assert (status.code, status.reason) == (422, "Invalid")
    assert field in [cause.field for cause in status.details.causes]


def test_apply_creates_then_owns_and_conflicts_unless_forced(rig: Rig, space: str) -> None:
    k = rig.kubernetes
    k.apply(deployment(space, replicas=0), field_manager="provision")
    release = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "spec": {"template": {"spec": {"containers": [{"name": "app", "image": "v2"}]}}},
    }

    def apply(force: bool) -> Deployment:
        return k.patch(
            Deployment,
            "web",
            release,
            namespace=space,
            patch_type=PatchType.APPLY,
            field_manager="release",
            force=force,
        )

    status = refused(lambda: apply(False))
    assert (status.code, status.reason) == (409, "Conflict")
    assert [(cause.reason, cause.field) for cause in status.details.causes] == [
        ("FieldManagerConflict", '.spec.template.spec.containers[{"name":"app"}].image')
    ]
    images = {c.name: c.image for c in apply(True).spec.template.spec.containers}
    assert images == {"app": "v2", "side": "none"}
    again = refused(lambda: k.apply(deployment(space, replicas=0), field_manager="provision"))
    assert again.code == 409
    managers = {(each.manager, each.operation) for each in apply(True).metadata.managedFields}
    assert managers == {("provision", "Apply"), ("release", "Apply")}


def test_apply_removes_what_its_manager_no_longer_states(rig: Rig, space: str) -> None:
    k = rig.kubernetes
    k.apply(config_map(space, "one", a="1", b="2"), field_manager="x")
    k.patch(ConfigMap, "one", {"data": {"c": "3"}}, namespace=space)
    assert k.apply(config_map(space, "one", a="1"), field_manager="x").data == {"a": "1", "c": "3"}


def test_dry_run_changes_nothing(rig: Rig, space: str) -> None:
    k = rig.kubernetes
    k.create(config_map(space, "dry", a="1"), dry_run=True)
    assert refused(lambda: k.get(ConfigMap, "dry", namespace=space)).code == 404


def test_selectors(rig: Rig, space: str) -> None:
    k = rig.kubernetes
    for name in ("one", "two", "three"):
        k.create(config_map(space, name))

    def names(**query: Any) -> list[str]:
        return [each.metadata.name for each in k.list(ConfigMap, namespace=space, **query)]

    assert names(labels={"n": "one"}) == ["one"]
    assert names(fields={"metadata.name": "two"}) == ["two"]
    assert names(labels={"n": ["one", "two"]}) == ["one", "two"]


def test_a_watch_sees_every_change_from_its_version_on(rig: Rig, space: str) -> None:
    k = rig.kubernetes
    listing = k.list(ConfigMap, namespace=space)
    assert list(listing) == []
    k.create(config_map(space, "one", a="1"))
    seen: list[tuple[str, str]] = []

    def follow() -> None:
        for kind, found in k.watch(ConfigMap, namespace=space, resource_version=listing.resourceVersion):
            seen.append((kind, found.metadata.name))
            if kind == "DELETED":
                return

    watcher = threading.Thread(target=follow)
    watcher.start()
    k.patch(ConfigMap, "one", {"data": {"a": "2"}}, namespace=space)
    k.delete(ConfigMap, "one", namespace=space)
    watcher.join(timeout=20)
    assert seen == [("ADDED", "one"), ("MODIFIED", "one"), ("DELETED", "one")]


def test_deleting_a_deployment_deletes_what_it_owns(rig: Rig, space: str) -> None:
    k = rig.kubernetes
    k.create(deployment(space, replicas=1, image=rig.push()))
    eventually(lambda: list(k.list(Pod, namespace=space)))
    k.delete(Deployment, "web", namespace=space)
    eventually(lambda: not list(k.list(ReplicaSet, namespace=space)) and not list(k.list(Pod, namespace=space)))


def test_deleting_a_namespace_empties_it_first(rig: Rig, space: str) -> None:
    k = rig.kubernetes
    k.create(deployment(space, replicas=1, image=rig.push()))
    k.create(config_map(space, "one"))
    eventually(lambda: list(k.list(Pod, namespace=space)))
    k.delete(Namespace, space)
    eventually(lambda: space not in [each.metadata.name for each in k.list(Namespace)])
    assert not list(k.list(Pod, namespace=space))
    assert not list(k.list(ConfigMap, namespace=space))


def test_a_restricted_namespace_refuses_a_careless_pod(rig: Rig, space: str) -> None:
    k = rig.kubernetes
    spec = PodSpec(containers=[Container(name="app", image="none")])
    careless = Pod(metadata=ObjectMeta(name="careless", namespace=NAMESPACE), spec=spec)
    status = refused(lambda: k.create(careless))
    assert status.code == 403
    assert "runAsNonRoot" in status.message
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    k.patch(Namespace, space, {"metadata": {"labels": labels}})
    k.create(deployment(space, replicas=1))
    eventually(
        lambda: (
            [
                each.reason
                for each in (k.get(Deployment, "web", namespace=space).status or Deployment()).conditions or []
                if each.type == "ReplicaFailure"
            ]
            == ["FailedCreate"]
        )
    )


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("GET", "/apis/autoscaling/v1/horizontalpodautoscalers", None, 404),
        ("GET", "/api/v1/namespaces/default/pods/x/exec", None, 404),
        ("POST", "/api/v1/namespaces/default/configmaps/x", b"{}", 405),
        ("PUT", "/api/v1/namespaces/default/configmaps", b"{}", 405),
        ("POST", "/api/v1/namespaces/default/configmaps", b"{", 400),
        ("POST", "/api/v1/namespaces/default/configmaps", b'{"kind":"Pod"}', 400),
        ("POST", "/api/v1/namespaces/default/configmaps", b"[]", 400),
        ("POST", "/api/v1/namespaces/default/configmaps", b"{}", 422),
        ("PATCH", "/api/v1/namespaces/kube-system", b"[]", 400),
        ("GET", "/api/v1/pods?labelSelector=((", None, 400),
        ("GET", "/api/v1/pods?watch=1&resourceVersion=x", None, 400),
    ],
)
def test_what_makes_no_sense_gets_a_status(rig: Rig, method: str, path: str, body: bytes | None, code: int) -> None:
    headers = {"Authorization": f"Bearer {admin_token.read(rig.config.dir)}", "Content-Type": "application/json"}
    with urllib3.PoolManager(ca_certs=str(rig.config.tls_dir / "ca.pem")) as pool:
        answer = pool.request(method, rig.config.kubernetes_url + path, body=body, headers=headers)
    status = answer.json()
    assert (answer.status, status["kind"], status["code"]) == (code, "Status", code)


def test_discovery_names_every_kind(rig: Rig) -> None:
    headers = {"Authorization": f"Bearer {admin_token.read(rig.config.dir)}"}
    with urllib3.PoolManager(ca_certs=str(rig.config.tls_dir / "ca.pem"), headers=headers) as pool:
        groups = pool.request("GET", rig.config.kubernetes_url + "/apis").json()["groups"]
        served = {
            (group["name"], resource["name"])
            for group in groups
            for resource in pool.request(
                "GET", f"{rig.config.kubernetes_url}/apis/{group['preferredVersion']['groupVersion']}"
            ).json()["resources"]
        }
    assert {
        ("apps", "deployments"),
        ("apps", "deployments/scale"),
        ("elbv2.k8s.aws", "targetgroupbindings"),
    } <= served
