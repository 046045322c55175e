"""The EKS cluster, and the one role through which workflows reach it."""

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from sandbox.provision.clients import Clients, tags
from sandbox.provision.network import Network

KUBERNETES_GROUPS = ("detection-ops:release", "detection-ops:backup", "detection-ops:remediate")
"""The groups that the cluster operator belongs to; RoleBindings of the service's manifests refer to them."""


NODE_GROUP = "on-demand"
NODES = {"minSize": 2, "maxSize": 4, "desiredSize": 2}
"""The node group and its bounds. Pods do not run on its nodes: only the numbers are real."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """ARNs of what was created, and the name of the node group that repairs may scale."""

    cluster_arn: str
    operator_role_arn: str
    node_group: str


def provision(clients: Clients, network: Network) -> Cluster:
    """Create roles, cluster and access entry, or find those that are there."""
    config = clients.config
    control_plane_role = _role(clients, f"{config.name}-cluster", {"Service": "eks.amazonaws.com"})
    # Any role of the account whose own policy says so may assume it: only the release functions' policies do.
    operator_role = _role(clients, f"{config.name}-cluster-operator", {"AWS": f"arn:aws:iam::{config.account}:root"})
    cluster_arn = _cluster(clients, network, control_plane_role)
    with _ignoring("ResourceInUseException"):
        clients["eks"].create_access_entry(
            clusterName=config.name,
            principalArn=operator_role,
            kubernetesGroups=list(KUBERNETES_GROUPS),
            type="STANDARD",
        )
    _node_group(clients, network)
    return Cluster(cluster_arn, operator_role, NODE_GROUP)


def _node_group(clients: Clients, network: Network) -> None:
    config = clients.config
    role = _role(clients, f"{config.name}-nodes", {"Service": "ec2.amazonaws.com"})
    with _ignoring("ResourceInUseException"):
        clients["eks"].create_nodegroup(
            clusterName=config.name,
            nodegroupName=NODE_GROUP,
            nodeRole=role,
            subnets=list(network.private_subnet_ids),
            capacityType="ON_DEMAND",
            instanceTypes=["t3.large"],
            scalingConfig=dict(NODES),
            labels={"lifecycle": "on-demand"},
            tags={tag["Key"]: tag["Value"] for tag in tags(config)},
        )


def _role(clients: Clients, name: str, principal: dict[str, str]) -> str:
    iam = clients["iam"]
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}],
    }
    with _ignoring("EntityAlreadyExists"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust), Tags=tags(clients.config))
    return str(iam.get_role(RoleName=name)["Role"]["Arn"])


def _cluster(clients: Clients, network: Network, role_arn: str) -> str:
    eks, name = clients["eks"], clients.config.name
    with _ignoring("ResourceInUseException"):
        eks.create_cluster(
            name=name,
            version="1.32",
            roleArn=role_arn,
            resourcesVpcConfig={"subnetIds": list(network.private_subnet_ids)},
            accessConfig={"authenticationMode": "API"},
            tags={tag["Key"]: tag["Value"] for tag in tags(clients.config)},
        )
    return str(eks.describe_cluster(name=name)["cluster"]["arn"])


class _ignoring(suppress):  # noqa: N801 - reads as the context manager it is
    """Ignore a ClientError of one code: what was to be created is there."""

    def __init__(self, code: str) -> None:
        super().__init__(ClientError)
        self._code = code

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        if isinstance(error, ClientError) and error.response["Error"]["Code"] != self._code:
            return False
        return bool(super().__exit__(kind, error, trace))
