"""The service's manifests render, and hold what a release without failed requests needs."""

from pathlib import Path
from typing import Any

import pytest
from lightkube import codecs

from sandbox.kubernetes.kustomize import KustomizeError, build
from sandbox.kubernetes.manifests import Pace, Values, overlay, render
from sandbox.kubernetes.podsecurity import violations

VALUES = Values("registry/detection-api@sha256:0", "arn:blue", "arn:green")
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
        if manifest["kind"] != "Namespace":
            assert manifest["metadata"]["namespace"] == "detection-api"
    names = {(each["kind"], each["metadata"]["name"]) for each in manifests}
    for colour in ("blue", "green"):
        for kind in ("Deployment", "Service", "TargetGroupBinding", "PodDisruptionBudget"):
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


@pytest.mark.parametrize(
    "content",
    [
        "namePrefix: x-",
        "resources: []\npatches:\n  - patch: |\n      - op: remove",
        "resources: []\npatches:\n  - patch: |\n      kind: A\n      metadata: {name: b}",
        "resources: []\npatches:\n  - target: {labelSelector: a=b}\n    patch: '{}'",
        "resources: []\nlabels:\n  - pairs: {}\n    includeSelectors: true",
        "sortOptions: {order: legacy}",
    ],
)
def test_what_the_subset_cannot_render_is_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "kustomization.yaml").write_text(content)
    with pytest.raises(KustomizeError):
        build(tmp_path)


def test_the_overlays_exist() -> None:
    assert all(overlay(each).is_dir() for each in ENVIRONMENTS)
