"""The SSM parameters through which the automation learns about the platform."""

from collections.abc import Mapping

from opskit.platform import PARAMETERS, path_of
from sandbox.provision.clients import Clients


def publish(clients: Clients, values: Mapping[str, str]) -> None:
    """Write the contract's parameters, all of them and nothing else; raises `ValueError` naming the odd ones."""
    missing, unknown = set(PARAMETERS) - values.keys(), values.keys() - set(PARAMETERS)
    if missing or unknown:
        raise ValueError(f"platform contract: missing {sorted(missing)}, unknown {sorted(unknown)}")
    path = path_of(clients.config.service, clients.config.environment)
    for name, value in values.items():
        clients["ssm"].put_parameter(Name=f"{path}{name}", Value=value, Type="String", Overwrite=True)
