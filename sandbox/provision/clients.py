"""Administrator's clients of both planes."""

import threading
from typing import Any

import boto3
from botocore.config import Config as ClientConfig

from sandbox.config import Config

_PLATFORM = frozenset({"elbv2", "ecr", "eks", "ec2", "rds", "elasticache", "resourcegroupstaggingapi"})


class Clients:
    """boto3 clients of one sandbox, each made when first asked for; usable from several threads.

    The addresses are given explicitly, so that neither the caller's profile nor proxies are consulted.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self._lock = threading.Lock()  # making a client is not safe in threads, using one is
        self._session: Any = boto3.Session(
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106 - the sandbox's administrator
            region_name=config.region,
        )
        self._clients: dict[str, Any] = {}

    def __getitem__(self, service: str) -> Any:
        """The client of `service`, by its boto3 name."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._make(service)
            return self._clients[service]

    def _make(self, service: str) -> Any:
        plane = self.config.platform_url if service in _PLATFORM else self.config.automation_url
        return self._session.client(
            service,
            endpoint_url=plane,
            config=ClientConfig(
                connect_timeout=2,
                read_timeout=20,
                retries={"total_max_attempts": 2},
                proxies={},
                s3={"addressing_style": "path"},
            ),
        )


def tags(config: Config) -> list[dict[str, str]]:
    """What every resource of the platform carries."""
    return [
        {"Key": "Service", "Value": config.service},
        {"Key": "Environment", "Value": config.environment},
        {"Key": "ManagedBy", "Value": "sandbox"},
    ]
