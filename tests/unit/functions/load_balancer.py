"""A load balancer in moto: two target groups, all traffic on blue."""

from dataclasses import replace

from opskit import clients
from opskit.platform import Platform
from opskit.traffic import Colour


def with_load_balancer(platform: Platform) -> Platform:
    """The platform, with one that is there."""
    ec2, elb = clients.client("ec2"), clients.client("elbv2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=f"us-east-1{zone}")["Subnet"][
            "SubnetId"
        ]
        for n, zone in enumerate("ab")
    ]
    balancer = elb.create_load_balancer(Name="detection-api", Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    groups = {
        colour: elb.create_target_group(Name=f"detection-api-{colour}", Protocol="HTTP", Port=8000, VpcId=vpc)[
            "TargetGroups"
        ][0]["TargetGroupArn"]
        for colour in Colour
    }
    listener = elb.create_listener(
        LoadBalancerArn=balancer,
        Protocol="HTTP",
        Port=80,
        DefaultActions=[
            {
                "Type": "forward",
                "ForwardConfig": {
                    "TargetGroups": [
                        {"TargetGroupArn": groups[c], "Weight": 100 if c is Colour.BLUE else 0} for c in Colour
                    ]
                },
            }
        ],
    )["Listeners"][0]["ListenerArn"]
    return replace(
        platform,
        listener_arn=listener,
        load_balancer_arn=balancer,
        target_group_blue_arn=groups[Colour.BLUE],
        target_group_green_arn=groups[Colour.GREEN],
    )
