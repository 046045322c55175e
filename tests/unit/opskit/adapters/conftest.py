from collections.abc import Iterator
from functools import cache
from typing import Any

import boto3
import pytest
from hypothesis import settings
from moto import mock_aws

from opskit.platform import Platform

# Hypothesis' default deadline is an assertion on wall time.
settings.register_profile("steady", deadline=None)
settings.load_profile("steady")

REGION = "us-east-1"
ACCOUNT = "123456789012"


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """AWS as moto knows it, whatever endpoints and credentials the shell around the tests has."""
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    for service in ("ELASTIC_LOAD_BALANCING_V2", "ECR", "EKS", "EC2", "STS", "SNS", "CLOUDWATCH"):
        monkeypatch.delenv(f"AWS_ENDPOINT_URL_{service}", raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws():
        yield


@cache
def session() -> boto3.Session:
    """One for all tests: reading the descriptions of the services takes longer than any test."""
    return boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=REGION)


@cache
def aws_client(service: str) -> Any:
    """A client of moto's `service`; it keeps no state of its own."""
    return session().client(service)  # type: ignore[call-overload]


def make_platform(**changes: Any) -> Platform:
    elb = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}"
    values: dict[str, Any] = {
        "service": "detection-api",
        "environment": "dev",
        "listener_arn": f"{elb}:listener/app/detection-api-dev/0123456789abcdef/fedcba9876543210",
        "load_balancer_arn": f"{elb}:loadbalancer/app/detection-api-dev/0123456789abcdef",
        "target_group_blue_arn": f"{elb}:targetgroup/detection-api-dev-blue/00000000000000b1",
        "target_group_green_arn": f"{elb}:targetgroup/detection-api-dev-green/0000000000000092",
        "service_url": "http://127.0.0.1:8000",
        "test_header": "X-Release-Colour",
        "cluster_name": "detection-api-dev",
        "cluster_arn": f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/detection-api-dev",
        "cluster_operator_role_arn": f"arn:aws:iam::{ACCOUNT}:role/detection-api-dev-cluster-operator",
        "namespace": "detection-api",
        "image_repository": "detection-api",
        "image_repository_arn": f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/detection-api",
        "release_alarms": (),
        "function_subnet_ids": ("subnet-1",),
        "function_security_group_id": "sg-1",
        "database_name": "detections",
        "database_key_arn": "arn:aws:kms:us-east-1:123456789012:key/database",
        "cache_user": "none",
        "cache_key_arn": "arn:aws:kms:us-east-1:123456789012:key/cache",
        "backup_bucket": "detection-api-dev-backups",
        "backup_key_arn": "arn:aws:kms:us-east-1:123456789012:key/backup",
        "cache_export_bucket": "detection-api-dev-cache-exports",
        "terraform_state_bucket": "detection-api-terraform-state",
        "terraform_state_key": "dev/platform.tfstate",
        "drill_subnet_group": "detection-api-dev-drill",
        "drill_cache_subnet_group": "detection-api-dev-drill",
        "drill_security_group_id": "sg-2",
        "alarm_resources": (),
        "node_group": "none",
    }
    return Platform(**(values | changes))


@pytest.fixture
def platform() -> Platform:
    return make_platform()


def network() -> tuple[str, list[str]]:
    """A VPC and two of its subnets."""
    ec2 = aws_client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=REGION + zone)["Subnet"]["SubnetId"]
        for n, zone in enumerate("ab")
    ]
    return vpc, subnets
