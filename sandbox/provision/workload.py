"""Images to release, and the first version of the service, live on blue."""

import time
from typing import Any

from botocore.exceptions import ClientError

from opskit.platform import Platform
from sandbox import images
from sandbox.config import Config
from sandbox.health import answers, wait_until
from sandbox.kubernetes import jobs, manifests
from sandbox.kubernetes.client import administrator
from sandbox.provision import service_role
from sandbox.provision.balancer import Balancer
from sandbox.provision.clients import Clients
from sandbox.provision.roles import database_user

QUEUE_DUMP = "queue-dump"
"""As the manifests have it; namespace and service account are named after the service."""

FIRST_VERSION = "1.0.0"
IMAGES = {
    FIRST_VERSION: "good",
    "1.1.0": "good",
    "1.2.0": "good",
    "1.3.0-unhealthy": "unhealthy",
    "1.3.0-errors": "errors",
    "1.3.0-slow": "slow",
    "1.3.0-fading": "fading",
    "1.3.0-crash": "crash",
}
"""Tag and variant of what is in the registry from the start."""

READY_SECONDS = 60.0


def start(clients: Clients, balancer: Balancer, *, engines: bool = False) -> dict[str, str]:
    """Push the images, apply the manifests, and wait until the first version answers through the balancer.

    With `engines` it keeps its data in the database and the cache that the endpoint parameters name, and is waited for
    until it can read and store, and its queue is dumped once; otherwise it keeps them in memory. Returns the digest of
    each tag. Raises `TimeoutError` if the service does not answer in time, `jobs.JobFailedError` for the dump.
    """
    config = clients.config
    digests = {tag: _push(clients, tag, variant) for tag, variant in IMAGES.items()}
    reference = f"{config.account}.dkr.ecr.{config.region}.amazonaws.com/{config.service}@{digests[FIRST_VERSION]}"
    values = manifests.Values(
        service=config.service,
        image=reference,
        target_group_blue_arn=balancer.target_group_arns["blue"],
        target_group_green_arn=balancer.target_group_arns["green"],
        stores=_stores(clients) if engines else None,
    )
    manifests.apply(administrator(config), manifests.render(config.environment, values, pace=manifests.Pace()))
    wait_until(
        {
            "the service behind the balancer": lambda: (
                _all_healthy(clients, balancer) and answers(f"{config.service_url}/{'ready' if engines else 'version'}")
            )
        },
        timeout_seconds=READY_SECONDS,
        while_waiting=lambda: time.sleep(0.1),
    )
    if engines:
        # So that the first backup finds one, without waiting for the schedule.
        dump_queue(config)
    return digests


def dump_queue(config: Config) -> dict[str, Any]:
    """Dump the write queue now rather than when its schedule says so; returns the Job, which is complete.

    Raises `jobs.JobFailedError`.
    """
    return jobs.run_now(administrator(config), QUEUE_DUMP, namespace=config.service)


def _stores(clients: Clients) -> manifests.Stores:
    """Where the service keeps its data, and a role for its pods, of what the platform contract says."""
    config = clients.config
    platform = Platform.load(config.service, config.environment, clients["ssm"])
    role_arn = service_role.provision(
        clients,
        namespace=config.service,
        account=config.service,
        backup_bucket=platform.backup_bucket,
        backup_key_arn=platform.backup_key_arn,
    )
    (group,) = clients["elasticache"].describe_replication_groups(ReplicationGroupId=config.name)["ReplicationGroups"]
    return manifests.Stores(
        environment=config.environment,
        database_user=database_user(config),
        role_arn=role_arn,
        backup_bucket=platform.backup_bucket,
        database_authorities=(config.tls_dir / "ca.pem").read_text(encoding="utf-8"),
        cache_tls=group.get("TransitEncryptionEnabled", False),
    )


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
