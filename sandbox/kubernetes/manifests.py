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


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """What the manifests leave open about where the service keeps its data."""

    environment: str
    role_arn: str
    """The pods' role."""
    database_user: str
    """Their role in the database."""
    backup_bucket: str
    database_authorities: str
    """The certificates themselves, PEM."""
    cache_tls: bool = False
    queue_volume: str = "fs-sandbox::fsap-sandbox"


@dataclass(frozen=True, slots=True)
class Values:
    """What the manifests leave open."""

    image: str
    """Full reference of the image that the colours start with."""
    target_group_blue_arn: str
    target_group_green_arn: str
    stores: Stores | None = None
    """Without, the service keeps its data in memory: its settings are left empty and the queue is not dumped."""
    balancer_subnets: tuple[str, str, str] = ("10.0.101.0/24", "10.0.102.0/24", "10.0.103.0/24")
    """CIDRs of the public subnets; by default those of the platform's default network."""
    store_subnets: tuple[str, str, str] = ("10.0.1.0/24", "10.0.2.0/24", "10.0.3.0/24")
    """CIDRs of the private subnets."""
    service: str = "detection-api"
    """The service's name: its namespace, and what its objects are named after."""


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
    endpoint_poll: int = 1
    dump_schedule: str = "* * * * *"
    """As often as cron can; whoever wants it sooner runs it (`jobs.run_now`)."""


def overlay(environment: str) -> Path:
    """The directory of an environment's overlay."""
    return Path(sandbox.__file__).resolve().parents[1] / "kubernetes" / "overlays" / environment


def render(
    environment: str, values: Values, *, pace: Pace | None = None, replicas: int | None = None
) -> list[Manifest]:
    """The manifests of an environment, ready to apply, and the ConfigMap of authorities that they refer to.

    `pace` shortens waits (None leaves them as deployed); `replicas` sets the live colour's, blue. Raises
    KeyError for a placeholder that `values` does not fill.
    """
    text = Template(json.dumps(build(overlay(environment)))).substitute(_fillings(values))
    manifests: list[Manifest] = json.loads(text)
    for manifest in manifests:
        spec = manifest.get("spec", {})
        if manifest["kind"] == "Deployment":
            if pace:
                _hasten(spec, pace)
            if replicas is not None and spec["replicas"] > 0:
                spec["replicas"] = replicas
        elif manifest["kind"] == "CronJob":
            spec["suspend"] = values.stores is None
            if pace:
                spec["schedule"] = pace.dump_schedule
        elif manifest["kind"] == "ConfigMap":
            if values.stores is None:
                manifest["data"] = {}
            elif pace:
                manifest["data"]["ENDPOINT_POLL_SECONDS"] = str(pace.endpoint_poll)
        elif manifest["kind"] == "ServiceAccount" and values.stores is None:
            manifest["metadata"]["annotations"] = {}
    # The first is the namespace.
    neighbour = next(each for each in manifests if "namespace" in each["metadata"])
    return [manifests[0], _authorities(neighbour, values.stores), *manifests[1:]]


def _fillings(values: Values) -> dict[str, str]:
    stores = values.stores
    return {
        "IMAGE": values.image,
        "TARGET_GROUP_BLUE_ARN": values.target_group_blue_arn,
        "TARGET_GROUP_GREEN_ARN": values.target_group_green_arn,
        "SERVICE": values.service,
        "DATABASE_USER": stores.database_user if stores else "",
        "ENVIRONMENT": stores.environment if stores else "",
        "SERVICE_ROLE_ARN": stores.role_arn if stores else "",
        "BACKUP_BUCKET": stores.backup_bucket if stores else "",
        "QUEUE_VOLUME": stores.queue_volume if stores else "",
        "CACHE_TLS": "true" if stores and stores.cache_tls else "false",
        **{f"BALANCER_SUBNET_{number}": cidr for number, cidr in enumerate(values.balancer_subnets, 1)},
        **{f"STORE_SUBNET_{number}": cidr for number, cidr in enumerate(values.store_subnets, 1)},
    }


def _authorities(neighbour: Manifest, stores: Stores | None) -> Manifest:
    """The one object that is made apart (see `kubernetes/base/kustomization.yaml`), with a neighbour's labels."""
    place = {name: neighbour["metadata"][name] for name in ("namespace", "labels")}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "database-authorities", **place},
        "data": {"database.pem": stores.database_authorities} if stores else {},
    }


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
