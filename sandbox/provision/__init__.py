"""What stands before the automation is deployed, and the deployment: a sandbox's setup.

Terraform creates the platform on AWS; here it is created through the same APIs, with the names, rules and
parameters that `terraform/` will use. Every part can be applied again and leaves what is there.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from sandbox.config import Config
from sandbox.processes import MARKER
from sandbox.provision import (
    alarms,
    balancer,
    buckets,
    cluster,
    contract,
    database,
    drills,
    keys,
    network,
    people,
    registry,
    stack,
    workload,
)
from sandbox.provision import engines as engine_room
from sandbox.provision.balancer import Balancer
from sandbox.provision.clients import Clients

Progress = Callable[[str], None]

# A slow request takes 2 s; a target that leaves is given that much and some.
DEREGISTRATION_DELAY_SECONDS = 3
ALARM_PERIOD_SECONDS = 10


def setup(
    config: Config,
    progress: Progress = lambda _: None,
    *,
    parameters: Mapping[str, str] | None = None,
    deploy: bool = True,
    engines: bool = False,
    alarm_period_seconds: int = ALARM_PERIOD_SECONDS,
) -> dict[str, Any]:
    """Create the platform, start the first version, deploy the automation stack; returns facts about it.

    With `engines` there are a database and a cache, a real PostgreSQL and real Redis servers, and the parameters that
    say where they are. A release needs neither, so without it they are left out, and the contract names what is not.
    `parameters` of the stack go over `stack.SHORT_WAITS`. Returns when the service answers through the
    balancer and the stack is complete. Raises whatever failed first; what is running then is the caller's
    to stop.
    """
    clock = _Clock()
    clients = Clients(config)
    net = network.provision(clients)
    secret = keys.provision(clients)
    pool = ThreadPoolExecutor(2, thread_name_prefix="provision")
    try:
        with _marked(config):
            made = pool.submit(engine_room.provision, clients, net, secret) if engines else None
            balancing = balancer.provision(clients, net, deregistration_delay_seconds=DEREGISTRATION_DELAY_SECONDS)
            contract.publish(
                clients,
                {**_of_release(clients, net, balancing, alarm_period_seconds), **_of_recovery(clients, net, secret)},
            )
            progress(f"the platform is provisioned ({clock.lap():.1f} s)")
            first = pool.submit(_first_version, clients, balancing, made)
            facts: dict[str, Any] = {}
            if deploy:
                facts["stack"] = stack.deploy(config, parameters or {})
                people.subscribe(clients)
                progress(f"the automation stack is deployed ({clock.lap():.1f} s)")
            facts.update(made.result() if made else {})
            facts["images"] = first.result(timeout=workload.READY_SECONDS + 10)
    finally:
        # After a failure the threads are not waited for: they end when the processes they talk to are taken down.
        pool.shutdown(wait=False, cancel_futures=True)
    progress(f"version {workload.FIRST_VERSION} answers at {config.service_url} ({clock.lap():.1f} s)")
    return facts


def _first_version(clients: Clients, balancing: Balancer, engines: "Future[dict[str, Any]] | None") -> dict[str, str]:
    """Start the service once its neighbours are there, if there are to be any."""
    if engines is not None:
        engines.result()
    return workload.start(clients, balancing, engines=engines is not None)


def _of_release(
    clients: Clients, net: network.Network, balancing: Balancer, alarm_period_seconds: int
) -> dict[str, str]:
    """What a release needs, and what the contract says of it."""
    config = clients.config
    repository_arn = registry.provision(clients)
    eks = cluster.provision(clients, net)
    people.trust_pipeline(clients)
    watching = alarms.provision(clients, balancing, cluster_arn=eks.cluster_arn, period_seconds=alarm_period_seconds)
    return {
        "listener_arn": balancing.listener_arn,
        "load_balancer_arn": balancing.load_balancer_arn,
        "target_group_blue_arn": balancing.target_group_arns["blue"],
        "target_group_green_arn": balancing.target_group_arns["green"],
        "service_url": config.service_url,
        "test_header": balancer.TEST_HEADER,
        "cluster_name": config.name,
        "cluster_arn": eks.cluster_arn,
        "cluster_operator_role_arn": eks.operator_role_arn,
        "namespace": config.service,
        "image_repository": config.service,
        "image_repository_arn": repository_arn,
        "release_alarms": ",".join(watching.release_alarms),
        "function_subnet_ids": ",".join(net.private_subnet_ids),
        "function_security_group_id": net.function_security_group_id,
        "alarm_resources": ",".join(f"{name}={arn}" for name, arn in watching.resources.items()),
        "node_group": eks.node_group,
    }


def _of_recovery(clients: Clients, net: network.Network, secret: keys.Keys) -> dict[str, str]:
    """What backups and restores need beside the engines, and what the contract says of it."""
    stores = buckets.provision(clients, net, backup_key_arn=secret.backup)
    places = drills.provision(clients, net)
    return {
        "database_name": database.DATABASE,
        "database_key_arn": secret.database,
        # The group asks for no login: who may reach it is the security group's business.
        "cache_user": "none",
        "cache_key_arn": secret.cache,
        "backup_bucket": stores.backups,
        "backup_key_arn": secret.backup,
        "cache_export_bucket": stores.cache_exports,
        "terraform_state_bucket": stores.terraform_state,
        "terraform_state_key": stores.terraform_state_key,
        "drill_subnet_group": places.subnet_group,
        "drill_cache_subnet_group": places.cache_subnet_group,
        "drill_security_group_id": places.security_group_id,
    }


@contextmanager
def _marked(config: Config) -> Iterator[None]:
    """Let the commands that are run here be found as the sandbox's own, should they have to be stopped."""
    previous = os.environ.get(MARKER)
    os.environ[MARKER] = str(config.dir)
    try:
        yield
    finally:
        if previous is None:
            del os.environ[MARKER]
        else:
            os.environ[MARKER] = previous


class _Clock:
    def __init__(self) -> None:
        self._last = time.monotonic()

    def lap(self) -> float:
        """Seconds since the last call."""
        now = time.monotonic()
        seconds, self._last = now - self._last, now
        return seconds
