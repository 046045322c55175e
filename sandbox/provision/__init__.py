"""What stands before the automation is deployed, and the deployment: a sandbox's setup.

Terraform creates the platform on AWS; here it is created through the same APIs, with the names, rules and
parameters that `terraform/` will use. Every part can be applied again and leaves what is there.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from sandbox.config import Config
from sandbox.processes import MARKER
from sandbox.provision import alarms, balancer, cluster, contract, database, network, registry, stack, workload
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
) -> dict[str, Any]:
    """Create the platform, start the first version, deploy the automation stack; returns facts about it.

    With `engines` there is a database, a real PostgreSQL; a release needs none, so it is left out otherwise.
    `parameters` of the stack go over `stack.SHORT_WAITS`. Returns when the service answers through the
    balancer and the stack is complete. Raises whatever failed first; what is running then is the caller's
    to stop.
    """
    clock = _Clock()
    clients = Clients(config)
    net = network.provision(clients)
    if engines:
        database.begin(clients, net)
    balancing = balancer.provision(clients, net, deregistration_delay_seconds=DEREGISTRATION_DELAY_SECONDS)
    repository_arn = registry.provision(clients)
    eks = cluster.provision(clients, net)
    release_alarms = alarms.provision(clients, balancing, period_seconds=ALARM_PERIOD_SECONDS)
    contract.publish(
        clients,
        {
            "listener_arn": balancing.listener_arn,
            "load_balancer_arn": balancing.load_balancer_arn,
            "target_group_blue_arn": balancing.target_group_arns["blue"],
            "target_group_green_arn": balancing.target_group_arns["green"],
            "service_url": config.service_url,
            "test_header": balancer.TEST_HEADER,
            "cluster_name": config.name,
            "cluster_arn": eks.cluster_arn,
            "cluster_operator_role_arn": eks.operator_role_arn,
            "namespace": workload.NAMESPACE,
            "image_repository": config.service,
            "image_repository_arn": repository_arn,
            "release_alarms": ",".join(release_alarms) or "none",
            "function_subnet_ids": ",".join(net.private_subnet_ids),
            "function_security_group_id": net.function_security_group_id,
        },
    )
    progress(f"the platform is provisioned ({clock.lap():.1f} s)")

    with _marked(config), ThreadPoolExecutor(1) as pool:
        first = pool.submit(workload.start, clients, balancing)
        try:
            facts: dict[str, Any] = {}
            if deploy:
                facts["stack"] = stack.deploy(config, parameters or {})
                progress(f"the automation stack is deployed ({clock.lap():.1f} s)")
            if engines:
                found = database.finish(clients, net)
                facts["database"] = {"identifier": found.identifier, "host": found.host, "port": found.port}
            facts["images"] = first.result(timeout=workload.READY_SECONDS + 10)
        except BaseException:
            # Do not wait for the other thread: it ends when the processes it talks to are taken down.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    progress(f"version {workload.FIRST_VERSION} answers at {config.service_url} ({clock.lap():.1f} s)")
    return facts


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
