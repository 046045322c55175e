"""The service's manifests render, and hold what a release without failed requests needs."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lightkube import codecs

from sandbox.kubernetes.kustomize import KustomizeError, build
from sandbox.kubernetes.manifests import Pace, Stores, Values, overlay, render
from sandbox.kubernetes.podsecurity import violations

STORES = Stores(
    environment="dev",
    role_arn="arn:aws:iam::1:role/pods",
    database_user="detection_api",
    backup_bucket="backups",
    database_authorities="-----BEGIN CERTIFICATE-----",
)
VALUES = Values("registry/detection-api@sha256:0", "arn:blue", "arn:green", STORES)
ENVIRONMENTS = ("dev", "staging", "prod")
LONGEST_REQUEST_SECONDS = 30


def deployments(environment: str, **options: Any) -> list[dict[str, Any]]:
    return [each for each in render(environment, VALUES, **options) if each["kind"] == "Deployment"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_manifest_is_valid_and_placed(environment: str) -> None:
    manifests = render(environment, VALUES)
    for manifest in manifests:
        codecs.from_dict(manifest)
        assert manifest["metadata"]["labels"]["environment"] == environment
        if manifest["kind"] not in ("Namespace", "PersistentVolume", "PriorityClass"):
            assert manifest["metadata"]["namespace"] == "detection-api"
    names = {(each["kind"], each["metadata"]["name"]) for each in manifests}
    for colour in ("blue", "green"):
        for kind in (
            "Deployment",
            "Service",
            "TargetGroupBinding",
            "PodDisruptionBudget",
            "HorizontalPodAutoscaler",
        ):
            assert (kind, f"detection-api-{colour}") in names


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_binding_comes_before_the_pods_that_need_its_gate(environment: str) -> None:
    order = [(each["kind"], each["metadata"]["name"]) for each in render(environment, VALUES)]
    for colour in ("blue", "green"):
        name = f"detection-api-{colour}"
        assert order.index(("Service", name)) < order.index(("Deployment", name))
        assert order.index(("TargetGroupBinding", name)) < order.index(("Deployment", name))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize(("pace", "longest"), [(None, LONGEST_REQUEST_SECONDS), (Pace(), 10)])
def test_the_grace_covers_pre_stop_and_the_longest_request(environment: str, pace: Pace | None, longest: int) -> None:
    for deployment in deployments(environment, pace=pace):
        pod = deployment["spec"]["template"]["spec"]
        pre_stop = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert pod["terminationGracePeriodSeconds"] > pre_stop + longest


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_pods_are_restricted_and_colours_start_as_they_should(environment: str) -> None:
    blue, green = deployments(environment)
    assert blue["spec"]["replicas"] >= 2
    assert green["spec"]["replicas"] == 0
    for deployment in (blue, green):
        assert violations(deployment["spec"]["template"]["spec"]) == []
        assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_the_colours_differ_in_nothing_but_their_colour() -> None:
    blue, green = deployments("prod")
    green["spec"]["replicas"] = blue["spec"]["replicas"]
    assert str(green).replace("green", "blue") == str(blue)


def test_an_overlay_changes_what_it_says() -> None:
    production, development = deployments("prod")[0], deployments("dev")[0]
    assert production["spec"]["replicas"] == 3
    container = production["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["requests"]["memory"] == "1Gi"
    other = development["spec"]["template"]["spec"]["containers"][0]
    assert other["resources"]["requests"]["memory"] == "256Mi"
    assert container["readinessProbe"] == other["readinessProbe"]


def test_values_are_filled_in() -> None:
    bindings = [each for each in render("dev", VALUES) if each["kind"] == "TargetGroupBinding"]
    assert [each["spec"]["targetGroupARN"] for each in bindings] == ["arn:blue", "arn:green"]
    container = deployments("dev", replicas=5)[0]["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == VALUES.image
    assert [each["spec"]["replicas"] for each in deployments("dev", replicas=5)] == [5, 0]


def found(manifests: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    return next(each for each in manifests if (each["kind"], each["metadata"]["name"]) == (kind, name))


def pods(manifests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The specs of the colours' pods and of the dump's."""
    dump = found(manifests, "CronJob", "queue-dump")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return [*(each["spec"]["template"]["spec"] for each in manifests if each["kind"] == "Deployment"), dump]


def test_every_pod_is_told_where_its_data_are_and_has_a_role_to_get_there() -> None:
    manifests = render("dev", VALUES)
    settings = found(manifests, "ConfigMap", "detection-api")["data"]
    assert settings["DATABASE_ENDPOINT_PARAMETER"] == "/detection-api/dev/endpoints/database"
    assert settings["CACHE_URL_PARAMETER"] == "/detection-api/dev/endpoints/cache"
    assert settings["QUEUE_DUMP_URL"] == "s3://backups/application-data/incoming/queue.db"
    assert settings["ENDPOINT_POLL_SECONDS"] == "5"
    account = found(manifests, "ServiceAccount", "detection-api")
    assert account["metadata"]["annotations"] == {"eks.amazonaws.com/role-arn": STORES.role_arn}
    volume = found(manifests, "PersistentVolume", "detection-api-queue")["spec"]["claimRef"]
    claim = found(manifests, "PersistentVolumeClaim", "detection-api-queue")
    assert volume == {name: claim["metadata"][name] for name in ("namespace", "name")}
    for spec in pods(manifests):
        assert spec["serviceAccountName"] == "detection-api"
        assert violations(spec) == []
        container = spec["containers"][0]
        assert container["envFrom"] == [{"configMapRef": {"name": "detection-api"}}]
        mounts = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
        volumes = {each["name"]: each for each in spec["volumes"]}
        assert volumes.keys() == set(mounts.values())
        queue = volumes[mounts[str(Path(settings["QUEUE_PATH"]).parent)]]
        assert queue["persistentVolumeClaim"]["claimName"] == "detection-api-queue"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_dump_ends_before_the_next_is_due_and_never_meets_another(environment: str) -> None:
    spec = found(render(environment, VALUES), "CronJob", "queue-dump")["spec"]
    assert spec["schedule"] == "*/5 * * * *"
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] < 300
    labels = spec["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
    assert "colour" not in labels, "a Service would select it"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_nothing_but_the_name_says_which_service_it_is(environment: str) -> None:
    ours = render(environment, VALUES, pace=Pace())
    others = render(environment, replace(VALUES, service="orders-api"), pace=Pace())
    assert "detection-api-blue" in json.dumps(ours)
    image = VALUES.image
    assert json.dumps(ours).replace(image, "").replace("detection-api", "orders-api") == json.dumps(others).replace(
        image, ""
    )


def test_without_stores_the_service_has_no_settings_and_nothing_is_dumped() -> None:
    manifests = render("dev", Values("image", "arn:blue", "arn:green"), pace=Pace())
    assert found(manifests, "ConfigMap", "detection-api")["data"] == {}
    assert found(manifests, "CronJob", "queue-dump")["spec"]["suspend"]
    assert not found(manifests, "ServiceAccount", "detection-api")["metadata"]["annotations"]


def test_the_pace_shortens_the_polls() -> None:
    manifests = render("dev", VALUES, pace=Pace(endpoint_poll=2, dump_schedule="*/2 * * * *"))
    assert found(manifests, "ConfigMap", "detection-api")["data"]["ENDPOINT_POLL_SECONDS"] == "2"
    assert found(manifests, "CronJob", "queue-dump")["spec"]["schedule"] == "*/2 * * * *"


@pytest.mark.parametrize(
    "content",
    [
        "namePrefix: x-",
        "resources: []\npatches:\n  - patch: |\n      - op: remove",
        "resources: []\npatches:\n  - patch: |\n      kind: A\n      metadata: {name: b}",
        "resources: []\npatches:\n  - target: {labelSelector: a=b}\n    patch: '{}'",
        "resources: []\nlabels:\n  - pairs: {}\n    includeSelectors: true",
        "sortOptions: {order: legacy}",
        "configMapGenerator:\n  - name: x\n    files: []",
        "configMapGenerator:\n  - name: x\n    literals: [a=b]\n    options: {disableNameSuffixHash: true}",
    ],
)
def test_what_the_subset_cannot_render_is_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "kustomization.yaml").write_text(content)
    with pytest.raises(KustomizeError):
        build(tmp_path)


def test_the_overlays_exist() -> None:
    assert all(overlay(each).is_dir() for each in ENVIRONMENTS)
