"""What the automation plane notes of the statements that allow something."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.fixtures.automation import Plane, running_plane


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("use")


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory, directory: Path) -> Iterator[Plane]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SANDBOX_POLICY_USE", str(directory))
        with running_plane(tmp_path_factory.mktemp("plane")) as running:
            yield running


def noted(directory: Path, role: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for file in directory.glob("*.jsonl") for line in file.read_text().splitlines()]
    return [line for line in lines if line["role"] == role.rpartition("/")[2]]


SOURCE = """
    import boto3

    def handler(event, context):
        for _ in range(3):
            boto3.client("ssm").get_parameters_by_path(Path="/a/b")
        try:
            boto3.client("ssm").get_parameter(Name="/a/b/c")
        except Exception as error:
            return type(error).__name__
"""


def test_a_use_is_noted_once_with_the_statement_the_action_and_the_resource(plane: Plane, directory: Path) -> None:
    everywhere = "arn:aws:ssm:*:*:parameter"
    role = plane.role(
        {
            "Sid": "Read",
            "Effect": "Allow",
            "Action": ["ssm:GetParametersByPath", "ssm:GetParameter"],
            "Resource": [f"{everywhere}/x/*", f"{everywhere}/a/b"],
        },
        {"Effect": "Allow", "Action": "ssm:Get*Path", "Resource": "*"},
        {"Sid": "Never", "Effect": "Allow", "Action": "ssm:PutParameter", "Resource": "*"},
    )
    function = plane.function(SOURCE, role=role)
    assert plane.invoke(function) == ("AccessDeniedException", None)

    found = noted(directory, role)

    name = function.rpartition(":")[2]
    assert all(line["by"] == name for line in found)
    assert [(line["sid"], line["action"], line["resource"]) for line in found] == [
        ("Read", "ssm:GetParametersByPath", 1),
        ("", "ssm:GetParametersByPath", 0),
    ]
    assert found[1]["allows"] == ["ssm:Get*Path"]


def test_what_the_platform_plane_asks_for_is_noted_and_what_is_simulated_is_not(plane: Plane, directory: Path) -> None:
    allow = {"Sid": "Change", "Effect": "Allow", "Action": "rds:ModifyDBInstance", "Resource": "arn:aws:rds:*:*:db:x"}
    role = plane.role(allow)
    arn = "arn:aws:rds:us-east-1:000000000000:db:x"
    simulated = plane.client("iam").simulate_principal_policy(
        PolicySourceArn=role, ActionNames=["rds:ModifyDBInstance"], ResourceArns=[arn]
    )
    assert simulated["EvaluationResults"][0]["EvalDecision"] == "allowed"
    assert noted(directory, role) == []

    given = plane.client("sts").assume_role(RoleArn=role, RoleSessionName="someone")["Credentials"]
    question = {
        "access_key_id": given["AccessKeyId"],
        "session_token": given["SessionToken"],
        "action": "rds:ModifyDBInstance",
        "resource": arn,
    }
    assert plane.ask("/_sandbox/authorize", question)[1]["decision"] == "allowed"
    assert plane.ask("/_sandbox/authorize", {**question, "action": "rds:DeleteDBInstance"})[1]["decision"] != "allowed"
    [line] = noted(directory, role)
    assert (line["by"], line["sid"], line["action"]) == ("someone", "Change", "rds:ModifyDBInstance")
