"""Puts the platform's parts together and serves them over HTTP/1.1, a thread for each connection."""

import socket
import threading
from typing import Any

from moto.backends import SERVICE_NAMES, get_backend
from moto.core.request import Request
from moto.core.utils import get_service_model
from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import BaseWSGIServer, ThreadedWSGIServer
from werkzeug.wrappers import Response

from sandbox.config import Config, port_of
from sandbox.platform.application import Application, json_response
from sandbox.platform.authorization import Authorizer
from sandbox.platform.automation import Automation
from sandbox.platform.clusters import Clusters
from sandbox.platform.elasticache.concern import ElastiCache
from sandbox.platform.engines import PATH as ENGINES
from sandbox.platform.engines import Faults
from sandbox.platform.journal import Journal
from sandbox.platform.load_balancing import BalancerHealth, LoadBalancing
from sandbox.platform.rds.service import Databases
from sandbox.platform.registry import Registry
from sandbox.platform.tagging import Tagging

SERVED: tuple[SERVICE_NAMES, ...] = ("elbv2", "ecr", "eks", "ec2", "rds", "elasticache")


class _Handler(MotoRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are written apart; on a kept connection the second would wait for a delayed ACK.
    disable_nagle_algorithm = True
    timeout = 120

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Nothing: the API log has it."""


def make_application(config: Config, certificate_authority: str) -> Application:
    """The WSGI application; `certificate_authority` is base64 of the Kubernetes API's CA, in PEM."""
    for service in SERVED:
        # Made now: in the first call it would hold the lock, and the balancer's routing, for a second.
        get_backend(service)[config.account][config.region]
        get_service_model(service)
    get_service_model(Tagging.service)
    lock = threading.RLock()
    automation = Automation(config.automation_url)
    application = Application(
        account=config.account,
        authorizer=Authorizer(automation, config.account),
        journal=Journal(config.dir / "logs"),
        lock=lock,
    )
    load_balancing = LoadBalancing(
        account=config.account,
        region=config.region,
        listener_port=port_of(config.balancer_url),
        health=BalancerHealth(config.balancer_admin_url),
        lock=lock,
    )
    application.add(load_balancing)
    application.add(Registry(account=config.account, automation=automation, lock=lock))
    application.add(
        Clusters(
            account=config.account,
            endpoint=config.kubernetes_url,
            certificate_authority=certificate_authority,
            lock=lock,
            pace_seconds=config.engine_pace_seconds,
        )
    )
    faults = Faults()
    databases = Databases(config, automation=automation, faults=faults, moto_lock=lock)
    caches = ElastiCache(
        directory=config.dir / "engines" / "elasticache",
        tls_dir=config.tls_dir,
        account=config.account,
        region=config.region,
        automation_url=config.automation_url,
        metric_period_seconds=config.metric_period_seconds,
        pace_seconds=config.engine_pace_seconds,
        faults=faults,
    )
    application.add(databases)
    application.add(caches)
    application.add(Tagging({"rds": databases.tagged, "elasticache": caches.tagged}, faults))
    application.add_internal(ENGINES, faults.endpoint)
    application.add_internal("/_sandbox/routing", load_balancing.routing)
    application.add_internal("/_sandbox/health", _health)
    return application


def _health(_: Request) -> Response:
    return json_response({"status": "ok"})


class _Server(ThreadedWSGIServer):
    request_queue_size = socket.SOMAXCONN


def make_server(host: str, port: int, application: Application) -> BaseWSGIServer:
    """A bound server; `serve_forever` runs it."""
    return _Server(host, port, application, handler=_Handler)
