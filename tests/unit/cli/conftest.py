"""`ops` against moto, whose Step Functions runs the state machines that the tests define."""

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import boto3
import botocore.loaders
import pytest
from moto import mock_aws
from typer.testing import CliRunner

from cli.main import app
from opskit.clock import SystemClock
from opskit.ledger import Ledger
from tests.unit.cli.given import ENDPOINTS, NAME, REGION, ROLE, forward


@dataclass(frozen=True)
class Ran:
    """What a run of `ops` left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


Ops = Callable[..., Ran]


@pytest.fixture(autouse=True, scope="session")
def read_service_models_once() -> Iterator[None]:
    """Every run of `ops` makes its own boto3 session, which would read megabytes of service models again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.session.create_loader", functools.cache(botocore.loaders.create_loader))
        yield


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "OPS_SANDBOX", "OPS_SANDBOX_DIR", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    values = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": REGION,
        "OPS_SERVICE": "shop",
        "OPS_ENVIRONMENT": "test",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    # The pace suits AWS; moto answers at once.
    monkeypatch.setattr("cli.follow.POLL_SECONDS", 0.05)
    monkeypatch.setattr("cli.commands.abort.POLL_SECONDS", 0.05)


@pytest.fixture
def ops() -> Ops:
    def run(*args: str) -> Ran:
        result = CliRunner().invoke(app, list(args), catch_exceptions=False)
        return Ran(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def aws() -> Iterator[None]:
    with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        yield


@pytest.fixture
def ledger(aws: None) -> Ledger:
    client = boto3.client("dynamodb", region_name=REGION)
    client.create_table(
        TableName=f"{NAME}-ledger",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
    )
    return Ledger(f"{NAME}-ledger", "shop", "test", clock=SystemClock(), client=client)


Machine = Callable[..., str]


@pytest.fixture
def machine(ledger: Ledger) -> Machine:
    """Create a workflow's state machine from its states, the first of which is where it starts."""

    def create(states: Mapping[str, Any], language: str = "JSONata", *, workflow: str = "release") -> str:
        definition = {"QueryLanguage": language, "StartAt": next(iter(states)), "States": states}
        client = boto3.client("stepfunctions", region_name=REGION)
        answer = client.create_state_machine(name=f"{NAME}-{workflow}", definition=json.dumps(definition), roleArn=ROLE)
        return answer["stateMachineArn"]

    return create


@pytest.fixture
def platform(aws: None) -> dict[str, str]:
    """A balancer with both colours' target groups, all traffic on blue, and the parameters that name them."""
    ec2 = boto3.client("ec2", region_name=REGION)
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=f"{REGION}{z}")["Subnet"]["SubnetId"]
        for n, z in enumerate("ab")
    ]
    elb = boto3.client("elbv2", region_name=REGION)
    groups = {
        colour: elb.create_target_group(Name=f"{NAME}-{colour}", Protocol="HTTP", Port=80, VpcId=vpc)["TargetGroups"][
            0
        ]["TargetGroupArn"]
        for colour in ("blue", "green")
    }
    balancer = elb.create_load_balancer(Name=NAME, Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    listener = elb.create_listener(
        LoadBalancerArn=balancer,
        Protocol="HTTP",
        Port=80,
        DefaultActions=[forward(groups, blue=100, green=0)],
    )["Listeners"][0]["ListenerArn"]
    values = {
        "listener_arn": listener,
        "load_balancer_arn": balancer,
        "target_group_blue_arn": groups["blue"],
        "target_group_green_arn": groups["green"],
        "service_url": "http://shop.example",
        "test_header": "X-Release-Colour",
        "cluster_name": NAME,
        "cluster_arn": f"arn:aws:eks:{REGION}:123456789012:cluster/{NAME}",
        "cluster_operator_role_arn": ROLE,
        "namespace": "shop",
        "image_repository": "shop",
        "image_repository_arn": f"arn:aws:ecr:{REGION}:123456789012:repository/shop",
        "release_alarms": "none",
        "function_subnet_ids": ",".join(subnets),
        "function_security_group_id": "sg-1",
        "database_name": "detections",
        "database_key_arn": "arn:aws:kms:us-east-1:123456789012:key/database",
        "cache_user": "none",
        "cache_key_arn": "arn:aws:kms:us-east-1:123456789012:key/cache",
        "backup_bucket": f"{NAME}-backups",
        "backup_key_arn": "arn:aws:kms:us-east-1:123456789012:key/backup",
        "cache_export_bucket": "detection-api-dev-cache-exports",
        "terraform_state_bucket": "detection-api-terraform-state",
        "terraform_state_key": "dev/platform.tfstate",
        "drill_subnet_group": "detection-api-dev-drill",
        "drill_cache_subnet_group": "detection-api-dev-drill",
        "drill_security_group_id": "sg-2",
        "alarm_resources": "none",
        "node_group": "none",
    }
    ssm = boto3.client("ssm", region_name=REGION)
    for name, value in values.items():
        ssm.put_parameter(Name=f"/shop/test/platform/{name}", Value=value, Type="String")
    for kind, endpoint in ENDPOINTS.items():
        ssm.put_parameter(Name=f"/shop/test/endpoints/{kind}", Value=endpoint, Type="String")
    boto3.client("s3", region_name=REGION).create_bucket(
        Bucket=values["backup_bucket"], CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    return values
