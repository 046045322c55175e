from typing import Any

import pytest
from botocore.stub import Stubber

from opskit.adapters.node_groups import NodeGroups
from opskit.decisions.capacity import NodeGroup
from opskit.errors import NotFoundError, NotReadyError

from .conftest import aws_client, network, session


@pytest.fixture
def eks() -> Any:
    client = aws_client("eks")
    _, subnets = network()
    role = "arn:aws:iam::123456789012:role/x"
    client.create_cluster(name="c", roleArn=role, resourcesVpcConfig={"subnetIds": subnets})
    client.create_nodegroup(
        clusterName="c",
        nodegroupName="on-demand",
        nodeRole=role,
        subnets=subnets,
        scalingConfig={"minSize": 2, "maxSize": 4, "desiredSize": 2},
    )
    return client


def test_a_node_group_is_read_and_scaled(eks: Any) -> None:
    groups = NodeGroups("c", eks)
    assert groups.state("on-demand") == NodeGroup("on-demand", minimum=2, desired=2, maximum=4)
    groups.scale(groups.state("on-demand"), 3, "t" * 64)
    assert groups.state("on-demand") == NodeGroup("on-demand", minimum=2, desired=3, maximum=4)


def test_one_that_is_not_there_is_named(eks: Any) -> None:
    with pytest.raises(NotFoundError, match="node group spot"):
        NodeGroups("c", eks).state("spot")


def test_another_update_under_way_is_not_ready() -> None:
    client = session().client("eks")
    expected = {
        "clusterName": "c",
        "nodegroupName": "on-demand",
        "scalingConfig": {"minSize": 2, "maxSize": 4, "desiredSize": 3},
        "clientRequestToken": "token",
    }
    with Stubber(client) as stub:
        stub.add_client_error("update_nodegroup_config", "ResourceInUseException", "updating", 409, None, expected)
        with pytest.raises(NotReadyError, match="ResourceInUseException: updating"):
            NodeGroups("c", client).scale(NodeGroup("on-demand", 2, 2, 4), 3, "token")
