"""The database and the cache, what the service needs to use them, and the parameters that say where they are."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from botocore.exceptions import ClientError

from opskit.platform import endpoint_parameter
from sandbox.provision import cache, database, roles
from sandbox.provision.clients import Clients
from sandbox.provision.database import Database
from sandbox.provision.keys import Keys
from sandbox.provision.network import Network


def provision(clients: Clients, network: Network, keys: Keys) -> dict[str, Any]:
    """Create both, side by side, or leave what is there; wait for them, and return facts about them.

    Raises `TimeoutError` or `RuntimeError` for an engine that does not come up.
    """
    with ThreadPoolExecutor(2, thread_name_prefix="engines") as pool:
        of_database = pool.submit(_database, clients, network, keys)
        of_cache = pool.submit(cache.provision, clients, network, kms_key=keys.cache)
        found, group = of_database.result(), of_cache.result()
    publish(clients, "database", f"{found.host}:{found.port}")
    publish(clients, "cache", f"{group.host}:{group.port}")
    return {"database": asdict(found), "cache": asdict(group)}


def _database(clients: Clients, network: Network, keys: Keys) -> Database:
    database.begin(clients, network, kms_key=keys.database)
    found = database.finish(clients)
    roles.create(clients, found)
    return found


def publish(clients: Clients, kind: str, endpoint: str) -> None:
    """Say where `kind` is, unless it is said: the parameter belongs to restores from then on."""
    config = clients.config
    try:
        clients["ssm"].put_parameter(
            Name=endpoint_parameter(config.service, config.environment, kind),
            Value=endpoint,
            Type="String",
            Description=f"Where the {kind} of {config.name} is; restores change it",
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ParameterAlreadyExists":
            raise
