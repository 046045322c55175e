"""The Redis replication group, with the placement and parameters that `terraform/` gives it."""

import time
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from sandbox.provision.clients import Clients, tags
from sandbox.provision.network import Network

ENGINE_VERSION = "7.0"
NODE_TYPE = "cache.t4g.medium"
FAMILY = "redis7"
PARAMETERS = {
    "maxmemory-policy": "allkeys-lru",
    "notify-keyspace-events": "Ex",
    "slowlog-log-slower-than": "1000",
    "tcp-keepalive": "300",
}
"""As the specification has them: events of expired keys, and every query of more than a millisecond logged."""

AVAILABLE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Cache:
    """What was created; `host` and `port` are the primary endpoint."""

    replication_group_id: str
    replication_group_arn: str
    parameter_group: str
    subnet_group: str
    security_group_id: str
    host: str
    port: int

    @property
    def url(self) -> str:
        """For clients."""
        return f"redis://{self.host}:{self.port}/0"


def provision(clients: Clients, network: Network, *, nodes: int = 2, kms_key: str | None = None) -> Cache:
    """Create what is missing and wait for it: one primary and `nodes` - 1 replicas, encrypted with `kms_key`.

    Raises `TimeoutError` if the group does not become available, and botocore's errors.
    """
    name = clients.config.name
    security_group_id = _security_group(clients, network)
    create_subnet_group(clients, network, name)
    _parameter_group(clients)
    _create(
        clients,
        "create_replication_group",
        "ReplicationGroupAlreadyExists",
        ReplicationGroupId=name,
        ReplicationGroupDescription=f"Read cache of {name}",
        NumCacheClusters=nodes,
        AutomaticFailoverEnabled=nodes > 1,
        MultiAZEnabled=nodes > 1,
        CacheNodeType=NODE_TYPE,
        Engine="redis",
        EngineVersion=ENGINE_VERSION,
        CacheParameterGroupName=name,
        CacheSubnetGroupName=name,
        SecurityGroupIds=[security_group_id],
        AtRestEncryptionEnabled=True,
        SnapshotRetentionLimit=0,
        **({"KmsKeyId": kms_key} if kms_key else {}),
        # What the snapshot workflow selects by.
        Tags=[*tags(clients.config), {"Key": "backup", "Value": "true"}],
    )
    group = _available(clients, name)
    endpoint = group["NodeGroups"][0]["PrimaryEndpoint"]
    return Cache(name, group["ARN"], name, name, security_group_id, endpoint["Address"], int(endpoint["Port"]))


def _available(clients: Clients, name: str) -> dict[str, Any]:
    deadline = time.monotonic() + AVAILABLE_SECONDS
    while True:
        found = clients["elasticache"].describe_replication_groups(ReplicationGroupId=name)
        group: dict[str, Any] = found["ReplicationGroups"][0]
        if group["Status"] == "available":
            return group
        if time.monotonic() > deadline or group["Status"] == "create-failed":
            raise TimeoutError(f"replication group {name} is {group['Status']}")
        time.sleep(0.1)


def _parameter_group(clients: Clients) -> None:
    name = clients.config.name
    _create(
        clients,
        "create_cache_parameter_group",
        "CacheParameterGroupAlreadyExists",
        CacheParameterGroupName=name,
        CacheParameterGroupFamily=FAMILY,
        Description=f"Read cache of {name}",
        Tags=tags(clients.config),
    )
    clients["elasticache"].modify_cache_parameter_group(
        CacheParameterGroupName=name,
        ParameterNameValues=[{"ParameterName": key, "ParameterValue": value} for key, value in PARAMETERS.items()],
    )


def create_subnet_group(clients: Clients, network: Network, name: str) -> None:
    """A group of the private subnets, unless it is there."""
    _create(
        clients,
        "create_cache_subnet_group",
        "CacheSubnetGroupAlreadyExists",
        CacheSubnetGroupName=name,
        CacheSubnetGroupDescription=f"Private subnets of {clients.config.name}",
        SubnetIds=list(network.private_subnet_ids),
        Tags=tags(clients.config),
    )


def _security_group(clients: Clients, network: Network) -> str:
    ec2, name = clients["ec2"], f"{clients.config.name}-redis"
    found = ec2.describe_security_groups(Filters=[{"Name": "tag:Name", "Values": [name]}])["SecurityGroups"]
    if found:
        return str(found[0]["GroupId"])
    made = ec2.create_security_group(
        GroupName=name,
        Description="Clients of the cache",
        VpcId=network.vpc_id,
        TagSpecifications=[
            {"ResourceType": "security-group", "Tags": [{"Key": "Name", "Value": name}, *tags(clients.config)]}
        ],
    )
    return str(made["GroupId"])


def _create(clients: Clients, operation: str, exists: str, **arguments: Any) -> None:
    """Call a Create operation, content with a resource that is there already."""
    try:
        getattr(clients["elasticache"], operation)(**arguments)
    except ClientError as error:
        if not error.response["Error"]["Code"].startswith(exists):
            raise
