"""EKS managed node groups: how many nodes one has, may have, and is to have."""

from dataclasses import asdict, dataclass
from typing import Any

from opskit import clients
from opskit.adapters.aws_failures import named

ACTIVE = "ACTIVE"


@dataclass(frozen=True, slots=True)
class NodeGroupState:
    """A node group now. Its bounds are its own (`scalingConfig`); `desired` is what it is told to have."""

    name: str
    arn: str
    status: str
    minimum: int
    maximum: int
    desired: int

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


class NodeGroups:
    """The node groups of one cluster. Methods raise NotFoundError and NotReadyError for those refusals."""

    def __init__(self, cluster_name: str, client: Any = None) -> None:
        self._cluster = cluster_name
        self._client = client or clients.client("eks")

    def state(self, name: str) -> NodeGroupState:
        """The node group `name`."""
        with named(f"describe node group {name}"):
            found = self._client.describe_nodegroup(clusterName=self._cluster, nodegroupName=name)["nodegroup"]
        scaling = found["scalingConfig"]
        return NodeGroupState(
            name=found["nodegroupName"],
            arn=found["nodegroupArn"],
            status=found["status"],
            minimum=scaling["minSize"],
            maximum=scaling["maxSize"],
            desired=scaling["desiredSize"],
        )

    def scale(self, state: NodeGroupState, desired: int, token: str) -> None:
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
