"""VPC, subnets and security groups."""

from dataclasses import dataclass
from typing import Any

from sandbox.provision.clients import Clients, tags

_VPC_CIDR = "10.0.0.0/16"
_PRIVATE_CIDRS = ("10.0.1.0/24", "10.0.2.0/24", "10.0.3.0/24")
_PUBLIC_CIDRS = ("10.0.101.0/24", "10.0.102.0/24", "10.0.103.0/24")


@dataclass(frozen=True, slots=True)
class Network:
    """Ids of what was created."""

    vpc_id: str
    public_subnet_ids: tuple[str, ...]
    private_subnet_ids: tuple[str, ...]
    balancer_security_group_id: str
    function_security_group_id: str
    database_security_group_id: str
    drill_security_group_id: str


def provision(clients: Clients) -> Network:
    """Create the network, or find what is there already by name."""
    ec2, name = clients["ec2"], clients.config.name
    vpc_id = _found(ec2.describe_vpcs(Filters=_named(name))["Vpcs"], "VpcId")
    if vpc_id is None:
        created = ec2.create_vpc(CidrBlock=_VPC_CIDR, TagSpecifications=_tagged("vpc", name, clients))
        vpc_id = created["Vpc"]["VpcId"]
    return Network(
        vpc_id=vpc_id,
        public_subnet_ids=_subnets(clients, vpc_id, "public", _PUBLIC_CIDRS),
        private_subnet_ids=_subnets(clients, vpc_id, "private", _PRIVATE_CIDRS),
        balancer_security_group_id=_security_group(clients, vpc_id, "alb", "Clients of the service"),
        function_security_group_id=_security_group(clients, vpc_id, "functions", "Steps of the workflows"),
        database_security_group_id=_security_group(clients, vpc_id, "database", "The database"),
        drill_security_group_id=_security_group(clients, vpc_id, "drill", "What drills restore"),
    )


def _subnets(clients: Clients, vpc_id: str, kind: str, cidrs: tuple[str, ...]) -> tuple[str, ...]:
    ec2, region = clients["ec2"], clients.config.region
    ids = []
    for zone, cidr in zip("abc", cidrs, strict=True):
        name = f"{clients.config.name}-{kind}-{zone}"
        subnet_id = _found(ec2.describe_subnets(Filters=_named(name))["Subnets"], "SubnetId")
        if subnet_id is None:
            subnet_id = ec2.create_subnet(
                VpcId=vpc_id,
                CidrBlock=cidr,
                AvailabilityZone=f"{region}{zone}",
                TagSpecifications=_tagged("subnet", name, clients),
            )["Subnet"]["SubnetId"]
        ids.append(subnet_id)
    return tuple(ids)


def _security_group(clients: Clients, vpc_id: str, kind: str, description: str) -> str:
    ec2 = clients["ec2"]
    name = f"{clients.config.name}-{kind}"
    found = _found(ec2.describe_security_groups(Filters=_named(name))["SecurityGroups"], "GroupId")
    if found is not None:
        return found
    created: str = ec2.create_security_group(
        GroupName=name,
        Description=description,
        VpcId=vpc_id,
        TagSpecifications=_tagged("security-group", name, clients),
    )["GroupId"]
    return created


def _named(name: str) -> list[dict[str, Any]]:
    return [{"Name": "tag:Name", "Values": [name]}]


def _tagged(kind: str, name: str, clients: Clients) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": [{"Key": "Name", "Value": name}, *tags(clients.config)]}]


def _found(resources: list[dict[str, Any]], key: str) -> str | None:
    return str(resources[0][key]) if resources else None
