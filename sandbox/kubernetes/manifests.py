"""The service's manifests (`kubernetes/`), made quick for the sandbox, and applied."""

import json
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from lightkube import Client, codecs
from lightkube.core.exceptions import ApiError
from lightkube.generic_resource import create_namespaced_resource
from lightkube.resources.apps_v1 import Deployment

import sandbox
from sandbox.kubernetes.kustomize import Manifest, build

FIELD_MANAGER = "detection-ops-provision"

# Registers the kind with lightkube, which knows only the built-in ones.
TargetGroupBinding = create_namespaced_resource("elbv2.k8s.aws", "v1beta1", "TargetGroupBinding", "targetgroupbindings")


@dataclass(frozen=True, slots=True)
class Values:
    """What the manifests leave open."""

    image: str
    """Full reference of the image that the colours start with."""
    target_group_blue_arn: str
    target_group_green_arn: str


@dataclass(frozen=True, slots=True)
class Pace:
    """Whole seconds in place of the manifests' own, so that a rollout takes seconds."""

    probe_period: int = 1
    liveness_delay: int = 2
    pre_stop: int = 2
    """Still longer than the sandbox's deregistration takes to reach the balancer (well under a second)."""
    grace: int = 15
    """More than `pre_stop` and the service's longest request (10 s)."""
    progress_deadline: int = 8


def overlay(environment: str) -> Path:
    """The directory of an environment's overlay."""
    return Path(sandbox.__file__).resolve().parents[1] / "kubernetes" / "overlays" / environment


def render(
    environment: str, values: Values, *, pace: Pace | None = None, replicas: int | None = None
) -> list[Manifest]:
    """The manifests of an environment, ready to apply.

    `pace` shortens waits (None leaves them as deployed); `replicas` sets the live colour's, blue. Raises
    KeyError for a placeholder that `values` does not fill.
    """
    fillings = {
        "IMAGE": values.image,
        "TARGET_GROUP_BLUE_ARN": values.target_group_blue_arn,
        "TARGET_GROUP_GREEN_ARN": values.target_group_green_arn,
    }
    text = Template(json.dumps(build(overlay(environment)))).substitute(fillings)
    manifests: list[Manifest] = json.loads(text)
    for manifest in manifests:
        if manifest["kind"] == "Deployment":
            if pace:
                _hasten(manifest["spec"], pace)
            if replicas is not None and manifest["spec"]["replicas"] > 0:
                manifest["spec"]["replicas"] = replicas
    return manifests


def _hasten(spec: dict[str, Any], pace: Pace) -> None:
    spec["progressDeadlineSeconds"] = pace.progress_deadline
    pod = spec["template"]["spec"]
    pod["terminationGracePeriodSeconds"] = pace.grace
    for container in pod["containers"]:
        container["lifecycle"]["preStop"]["sleep"]["seconds"] = pace.pre_stop
        for name in ("readinessProbe", "livenessProbe"):
            container[name]["periodSeconds"] = pace.probe_period
        container["livenessProbe"]["initialDelaySeconds"] = pace.liveness_delay


def apply(client: Client, manifests: list[Manifest]) -> None:
    """Server-side apply. Repeated, it leaves the image and replicas of a Deployment as the releases left them.

    Raises lightkube's ApiError, a 409 where someone else owns another field with another value.
    """
    for manifest in manifests:
        if manifest["kind"] == "Deployment":
            _keep_release(client, manifest)
        client.apply(codecs.from_dict(manifest), field_manager=FIELD_MANAGER)


def _keep_release(client: Client, manifest: Manifest) -> None:
    metadata = manifest["metadata"]
    try:
        live = client.get(Deployment, metadata["name"], namespace=metadata["namespace"])
    except ApiError as error:
        if error.status.code == 404:
            return
        raise
    assert live.spec  # noqa: S101 - always set on a stored Deployment
    assert live.spec.template.spec  # noqa: S101
    images = {each.name: each.image for each in live.spec.template.spec.containers}
    manifest["spec"]["replicas"] = live.spec.replicas
    for container in manifest["spec"]["template"]["spec"]["containers"]:
        container["image"] = images.get(container["name"], container["image"])
