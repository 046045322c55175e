"""EKS managed node groups: how many nodes one has, may have, and is to have."""

from typing import Any

from opskit import clients
from opskit.adapters.aws_failures import named
from opskit.decisions.capacity import NodeGroup


class NodeGroups:
    """The node groups of one cluster. Methods raise NotFoundError and NotReadyError for those refusals."""

    def __init__(self, cluster_name: str, client: Any = None) -> None:
        self._cluster = cluster_name
        self._client = client or clients.client("eks")

    def state(self, name: str) -> NodeGroup:
        """The node group `name`."""
        with named(f"describe node group {name}"):
            found = self._client.describe_nodegroup(clusterName=self._cluster, nodegroupName=name)["nodegroup"]
        scaling = found["scalingConfig"]
        return NodeGroup(
            name=found["nodegroupName"],
            status=found["status"],
            minimum=scaling["minSize"],
            maximum=scaling["maxSize"],
            desired=scaling["desiredSize"],
        )

    def scale(self, state: NodeGroup, desired: int, token: str) -> None:
        """Have the group run `desired` nodes, within the bounds that `state` has.

        `token`: the same one with the same number begins one update only. EKS makes one update of a group at a time:
        NotReadyError while another is under way.
        https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdateNodegroupConfig.html
        """
        with named(f"scale node group {state.name}"):
            self._client.update_nodegroup_config(
                clusterName=self._cluster,
                nodegroupName=state.name,
                scalingConfig={"minSize": state.minimum, "maxSize": state.maximum, "desiredSize": desired},
                clientRequestToken=token,
            )
