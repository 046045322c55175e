"""The cluster as a whole: store, controllers, kubelet and API in one event loop."""

import asyncio
import functools
import ssl
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from sandbox.config import Config, port_of
from sandbox.kubernetes import admin_token
from sandbox.kubernetes.access import AccessEntries
from sandbox.kubernetes.controllers.cron_job import CronJobController
from sandbox.kubernetes.controllers.deployment import DeploymentController
from sandbox.kubernetes.controllers.job import JobController
from sandbox.kubernetes.controllers.loop import Controller
from sandbox.kubernetes.controllers.owners import GarbageCollector
from sandbox.kubernetes.controllers.replicaset import ReplicaSetController
from sandbox.kubernetes.controllers.targets import TargetsController
from sandbox.kubernetes.defaults import apply_defaults
from sandbox.kubernetes.identity import Authenticator
from sandbox.kubernetes.kubelet.container import Backoff, Runtime
from sandbox.kubernetes.kubelet.environment import node_variables
from sandbox.kubernetes.kubelet.images import Images
from sandbox.kubernetes.kubelet.kubelet import Kubelet
from sandbox.kubernetes.kubelet.probes import Prober
from sandbox.kubernetes.kubelet.volumes import Volumes
from sandbox.kubernetes.resources import NAMESPACES
from sandbox.kubernetes.server import Server
from sandbox.kubernetes.store import Store

STOP_SECONDS = 3.0
"""From SIGTERM to SIGKILL for the pods when the cluster stops."""


@dataclass(frozen=True, slots=True)
class Clients:
    """boto3 clients of the platform plane, as root."""

    ecr: Any
    eks: Any
    elbv2: Any


class Cluster:
    """Starts and stops everything."""

    def __init__(self, config: Config, clients: Clients, backoff: Backoff | None = None) -> None:
        self.store = Store()
        self._config = config
        pod_logs = config.dir / "logs" / "pods"
        backoff = backoff or Backoff()
        runtime = Runtime(
            images=Images(clients.ecr),
            prober=Prober(),
            volumes=Volumes(self.store, config.dir / "volumes", functools.cache(lambda: _issuer(clients.eks, config))),
            logs=pod_logs,
            backoff=backoff,
            node=node_variables(config),
        )
        self._kubelet = Kubelet(self.store, runtime)
        self._controllers: list[Controller] = [
            DeploymentController(self.store),
            ReplicaSetController(self.store),
            JobController(self.store, backoff),
            CronJobController(self.store),
            GarbageCollector(self.store),
            TargetsController(self.store, clients.elbv2, registration_delay_seconds=config.registration_delay_seconds),
        ]
        authenticator = Authenticator(
            sts_url=config.automation_url,
            cluster=config.name,
            entries=AccessEntries(clients.eks, config.name),
            admin_token=admin_token.write(config.dir),
        )
        self._server = Server(self.store, authenticator, pod_logs=pod_logs, log=_log)
        self._runner: web.AppRunner | None = None
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to serve on the config's `kubernetes_url`."""
        for name in ("default", "kube-system"):
            namespace: dict[str, Any] = {"metadata": {"name": name}}
            apply_defaults(NAMESPACES, namespace)
            self.store.create(NAMESPACES, namespace)
        running = [self._kubelet.run(), *(each.run() for each in self._controllers)]
        self.tasks = [asyncio.ensure_future(each) for each in running]
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(self._config.tls_dir / "server.pem", self._config.tls_dir / "server.key")
        self._runner = web.AppRunner(self._server.application(), access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port_of(self._config.kubernetes_url), ssl_context=tls)
        await site.start()

    async def stop(self) -> None:
        """Stop serving and end every pod."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        serving = self._runner.cleanup() if self._runner else asyncio.sleep(0)
        await asyncio.gather(self._kubelet.stop(STOP_SECONDS), serving)


def _issuer(eks: Any, config: Config) -> str:
    return str(eks.describe_cluster(name=config.name)["cluster"]["identity"]["oidc"]["issuer"])


def _log(message: str) -> None:
    print(message, flush=True)  # noqa: T201 - standard output is this process's log
