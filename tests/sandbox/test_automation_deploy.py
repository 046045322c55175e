"""The SAM CLI builds and deploys a stack like the automation's into the sandbox, and it runs."""

import json
import os
import platform
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox import build
from sandbox import deploy as deployment
from tests.sandbox.fixtures.automation import Plane, eventually, running_plane

TEMPLATE = Path(__file__).parent / "fixtures" / "stack" / "template.yaml"
PARAMETERS = {"Prefix": "small", "ListenerArn": "/small/listener", "SubnetIds": "/small/subnets"}


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with running_plane(tmp_path_factory.mktemp("plane")) as running:
        ssm = running.client("ssm")
        ssm.put_parameter(Name="/small/listener", Value="arn:the-listener", Type="String")
        ssm.put_parameter(Name="/small/subnets", Value="subnet-1,subnet-2", Type="StringList")
        yield running


@pytest.fixture(scope="module")
def one_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH with every program but the Pythons that the template's runtime would like to find."""
    programs = tmp_path_factory.mktemp("bin")
    for directory in os.environ["PATH"].split(os.pathsep):
        for program in Path(directory).glob("*"):
            link = programs / program.name
            if not program.name.startswith(("python3.12", "python3.13")) and not link.is_symlink():
                link.symlink_to(program)
    return str(programs)


@pytest.fixture(scope="module")
def stack(plane: Plane, one_python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[deployment.Deployment]:
    with pytest.MonkeyPatch.context() as builds:
        builds.setattr(build, "BUILDS", tmp_path_factory.mktemp("build") / "sam")
        with pytest.MonkeyPatch.context() as machine:
            machine.setenv("PATH", one_python)
            machine.setenv("AWS_PROFILE", "a-profile-that-does-not-exist")
            deployed = deployment.deploy(plane.config, PARAMETERS, template=TEMPLATE, stack="small")
        yield deployed


def test_the_stack_runs_as_deployed(plane: Plane, stack: deployment.Deployment) -> None:
    assert stack.outputs["TableName"] == "small-ledger"
    topic = "arn:aws:sns:us-east-1:000000000000:small-operations"
    url, _ = plane.queue(topic)

    ended = plane.ended(plane.start(stack.outputs["MachineArn"], {"key": "one"}))

    assert ended["status"] == "SUCCEEDED", (ended.get("error"), ended.get("cause"))
    written = json.loads(ended["output"])
    assert written["python"] == platform.python_version()
    assert written["listener"] == "arn:the-listener"
    assert written["subnets"] == "subnet-1;subnet-2"
    assert "/python/opskit/" in written["layer"]
    assert Path(written["boto3"]).parents[1] == Path(written["layer"]).parents[1]
    assert json.loads(plane.message(url)["Message"]) == written


def test_the_rule_on_the_machines_status_reaches_its_function(plane: Plane, stack: deployment.Deployment) -> None:
    execution = plane.start(stack.outputs["MachineArn"], {"no": "key"})
    assert plane.ended(execution)["error"] == "States.QueryEvaluationError"

    table, name = plane.client("dynamodb"), execution.rsplit(":", 1)[1]
    found = eventually(lambda: table.get_item(TableName="small-ledger", Key={"pk": {"S": name}}).get("Item"))
    assert found["status"] == {"S": "FAILED"}


def test_the_layer_is_small_and_holds_no_caches(plane: Plane, stack: deployment.Deployment) -> None:
    s3 = plane.client("s3")
    bucket = "detection-api-dev-artifacts-000000000000"
    objects = s3.list_objects_v2(Bucket=bucket)["Contents"]
    largest = max(objects, key=lambda item: item["Size"])
    path = plane.config.dir / "layer.zip"
    s3.download_file(bucket, largest["Key"], str(path))
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())

    assert largest["Size"] < 10_000_000
    assert "python/opskit/errors.py" in names
    assert not [name for name in names if name.endswith(".pyc")]


def test_the_same_content_is_built_once_and_a_changed_parameter_updates_the_stack(
    plane: Plane, stack: deployment.Deployment
) -> None:
    said: list[str] = []

    again = deployment.deploy(
        plane.config, {**PARAMETERS, "PauseSeconds": "1"}, template=TEMPLATE, stack="small", progress=said.append
    )

    assert stack.build_seconds > 0
    assert again.build_seconds == 0
    assert any("Modify" in line and "Machine" in line for line in said)
    definition = plane.client("stepfunctions").describe_state_machine(stateMachineArn=again.outputs["MachineArn"])[
        "definition"
    ]
    assert json.loads(definition)["States"]["Pause"]["Seconds"] == 1


def test_a_failed_deployment_says_why_and_can_be_repeated(
    plane: Plane, stack: deployment.Deployment, tmp_path: Path
) -> None:
    broken = tmp_path / "template.yaml"
    table = {
        "TableName": "free",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    }
    function = {
        "Runtime": "python3.13",
        "Handler": "index.handler",
        "Role": "arn:aws:iam::000000000000:role/none",
        "Code": {"ZipFile": "def handler(event, context): ..."},
        "Layers": ["arn:aws:lambda:us-east-1:000000000000:layer:missing:1"],
    }
    resources: dict[str, Any] = {
        "Table": {"Type": "AWS::DynamoDB::Table", "Properties": table},
        "Function": {"Type": "AWS::Lambda::Function", "Properties": function, "DependsOn": "Table"},
    }
    broken.write_text(json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}))

    with pytest.raises(deployment.DeployError, match=r"Function CREATE_FAILED"):
        deployment.deploy(plane.config, {}, template=broken, stack="broken", progress=lambda _line: None)

    del resources["Function"]
    broken.write_text(json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}))
    deployment.deploy(plane.config, {}, template=broken, stack="broken", progress=lambda _line: None)
    assert "free" in plane.client("dynamodb").list_tables()["TableNames"]
