"""The load balancer, both colours' target groups, the live listener and the test route to each colour."""

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from sandbox.config import port_of
from sandbox.provision.clients import Clients, tags
from sandbox.provision.network import Network

TEST_HEADER = "X-Release-Colour"
_COLOURS = ("blue", "green")
_APPLICATION_PORT = 8000
_MAX_NAME = 32


@dataclass(frozen=True, slots=True)
class Balancer:
    """ARNs of what was created."""

    load_balancer_arn: str
    listener_arn: str
    target_group_arns: dict[str, str]


def provision(clients: Clients, network: Network, *, deregistration_delay_seconds: int) -> Balancer:
    """Create what is missing; weights that are there already stay as they are.

    Raises `ValueError` if the names that follow from service and environment are too long for the ELB API.
    """
    longest = f"{clients.config.name}-green"
    if len(longest) > _MAX_NAME:
        raise ValueError(f"{longest!r} is longer than the {_MAX_NAME} characters of a target group's name")
    load_balancer_arn = _load_balancer(clients, network)
    groups = {colour: _target_group(clients, network, colour) for colour in _COLOURS}
    for arn in groups.values():
        clients["elbv2"].modify_target_group_attributes(
            TargetGroupArn=arn,
            Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": str(deregistration_delay_seconds)}],
        )
    listener_arn = _listener(clients, load_balancer_arn, groups)
    _test_rules(clients, listener_arn, groups)
    return Balancer(load_balancer_arn, listener_arn, groups)


def _load_balancer(clients: Clients, network: Network) -> str:
    elb, name = clients["elbv2"], clients.config.name
    try:
        found = elb.describe_load_balancers(Names=[name])["LoadBalancers"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "LoadBalancerNotFound":
            raise
        found = elb.create_load_balancer(
            Name=name,
            Subnets=list(network.public_subnet_ids),
            SecurityGroups=[network.balancer_security_group_id],
            Scheme="internet-facing",
            Type="application",
            Tags=tags(clients.config),
        )["LoadBalancers"]
        elb.modify_load_balancer_attributes(
            LoadBalancerArn=found[0]["LoadBalancerArn"],
            Attributes=[{"Key": "idle_timeout.timeout_seconds", "Value": "60"}],
        )
    return str(found[0]["LoadBalancerArn"])


def _target_group(clients: Clients, network: Network, colour: str) -> str:
    elb, name = clients["elbv2"], f"{clients.config.name}-{colour}"
    try:
        found = elb.describe_target_groups(Names=[name])["TargetGroups"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "TargetGroupNotFound":
            raise
        found = elb.create_target_group(
            Name=name,
            Protocol="HTTP",
            Port=_APPLICATION_PORT,
            VpcId=network.vpc_id,
            TargetType="ip",
            HealthCheckPath="/health",
            HealthCheckProtocol="HTTP",
            HealthCheckIntervalSeconds=30,
            HealthCheckTimeoutSeconds=5,
            HealthyThresholdCount=2,
            UnhealthyThresholdCount=2,
            Matcher={"HttpCode": "200"},
            Tags=[*tags(clients.config), {"Key": "Colour", "Value": colour}],
        )["TargetGroups"]
    return str(found[0]["TargetGroupArn"])


def _listener(clients: Clients, load_balancer_arn: str, groups: dict[str, str]) -> str:
    elb = clients["elbv2"]
    found = elb.describe_listeners(LoadBalancerArn=load_balancer_arn)["Listeners"]
    if not found:
        found = elb.create_listener(
            LoadBalancerArn=load_balancer_arn,
            Protocol="HTTP",
            Port=port_of(clients.config.balancer_url),
            DefaultActions=[_forward({groups["blue"]: 100, groups["green"]: 0})],
            Tags=tags(clients.config),
        )["Listeners"]
    return str(found[0]["ListenerArn"])


def _test_rules(clients: Clients, listener_arn: str, groups: dict[str, str]) -> None:
    elb = clients["elbv2"]
    taken = {rule["Priority"] for rule in elb.describe_rules(ListenerArn=listener_arn)["Rules"]}
    for priority, colour in enumerate(_COLOURS, start=1):
        if str(priority) not in taken:
            elb.create_rule(
                ListenerArn=listener_arn,
                Priority=priority,
                Conditions=[
                    {
                        "Field": "http-header",
                        "HttpHeaderConfig": {"HttpHeaderName": TEST_HEADER, "Values": [colour]},
                    }
                ],
                Actions=[_forward({groups[colour]: 1})],
            )


def _forward(weights: dict[str, int]) -> dict[str, Any]:
    return {
        "Type": "forward",
        "ForwardConfig": {
            "TargetGroups": [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in weights.items()],
            "TargetGroupStickinessConfig": {"Enabled": False},
        },
    }
