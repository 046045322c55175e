"""Images to release, and the first version of the service, live on blue."""

import time
from typing import Any

from botocore.exceptions import ClientError

from sandbox import images
from sandbox.health import answers, wait_until
from sandbox.kubernetes import manifests
from sandbox.kubernetes.client import administrator
from sandbox.provision.balancer import Balancer
from sandbox.provision.clients import Clients

NAMESPACE = "detection-api"
"""As the manifests have it."""

FIRST_VERSION = "1.0.0"
IMAGES = {
    FIRST_VERSION: "good",
    "1.1.0": "good",
    "1.2.0": "good",
    "1.3.0-unhealthy": "unhealthy",
    "1.3.0-errors": "errors",
    "1.3.0-slow": "slow",
    "1.3.0-crash": "crash",
}
"""Tag and variant of what is in the registry from the start."""

READY_SECONDS = 60.0


def start(clients: Clients, balancer: Balancer) -> dict[str, str]:
    """Push the images, apply the manifests, and wait until the first version answers through the balancer.

    Returns the digest of each tag. Raises `TimeoutError` if the service does not answer in time.
    """
    config = clients.config
    digests = {tag: _push(clients, tag, variant) for tag, variant in IMAGES.items()}
    reference = f"{config.account}.dkr.ecr.{config.region}.amazonaws.com/{config.service}@{digests[FIRST_VERSION]}"
    values = manifests.Values(
        image=reference,
        target_group_blue_arn=balancer.target_group_arns["blue"],
        target_group_green_arn=balancer.target_group_arns["green"],
    )
    manifests.apply(administrator(config), manifests.render(config.environment, values, pace=manifests.Pace()))
    wait_until(
        {
            "the service behind the balancer": lambda: (
                _all_healthy(clients, balancer) and answers(f"{config.service_url}/version")
            )
        },
        timeout_seconds=READY_SECONDS,
        while_waiting=lambda: time.sleep(0.1),
    )
    return digests


def _push(clients: Clients, tag: str, variant: str) -> str:
    """The digest of `tag`, pushed unless it is there: tags are immutable."""
    ecr, repository = clients["ecr"], clients.config.service
    try:
        return images.push(ecr, repository, tag, version=tag, variant=variant)
    except ClientError as error:
        if error.response["Error"]["Code"] not in {
            "ImageAlreadyExistsException",
            "ImageTagAlreadyExistsException",
        }:
            raise
    found: dict[str, Any] = ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])
    return str(found["imageDetails"][0]["imageDigest"])


def _all_healthy(clients: Clients, balancer: Balancer) -> bool:
    found = clients["elbv2"].describe_target_health(TargetGroupArn=balancer.target_group_arns["blue"])
    states = [target["TargetHealth"]["State"] for target in found["TargetHealthDescriptions"]]
    return len(states) > 1 and set(states) == {"healthy"}
