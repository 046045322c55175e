"""Where drills restore to: subnet groups of their own. Their security group is the network's."""

from dataclasses import dataclass

from sandbox.provision import cache
from sandbox.provision.clients import Clients, tags
from sandbox.provision.network import Network


@dataclass(frozen=True, slots=True)
class Drills:
    """Names of the subnet groups, and the id of the security group."""

    subnet_group: str
    cache_subnet_group: str
    security_group_id: str


def provision(clients: Clients, network: Network) -> Drills:
    """Create the groups, or leave those that are there."""
    rds, name = clients["rds"], f"{clients.config.name}-drill"
    try:
        rds.describe_db_subnet_groups(DBSubnetGroupName=name)
    except rds.exceptions.DBSubnetGroupNotFoundFault:
        rds.create_db_subnet_group(
            DBSubnetGroupName=name,
            DBSubnetGroupDescription="Private subnets, for drills",
            SubnetIds=list(network.private_subnet_ids),
            Tags=tags(clients.config),
        )
    cache.create_subnet_group(clients, network, name)
    return Drills(name, name, network.drill_security_group_id)
