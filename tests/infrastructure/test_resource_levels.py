"""The check of statements against AWS's service authorization reference finds what it is there for."""

import json
import subprocess

import pytest

from scripts.policy_use.allowed import ROOT, main

PYTHON = ROOT / ".venv-checkov" / "bin" / "python"


def check(statements: str) -> subprocess.CompletedProcess[str]:
    command = [PYTHON, ROOT / "scripts" / "check_resource_levels.py"]
    return subprocess.run(command, input=statements, capture_output=True, text=True, check=False)


def test_every_statement_of_the_template_is_about_resources_wherever_aws_supports_that(capsys):
    main()
    done = check(capsys.readouterr().out)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("actions", "resources", "problem"),
    [
        (["sns:Publsh"], ["*"], "AWS has no action sns:Publsh"),
        (["sns:Publish"], ["*"], "sns:Publish takes resources and is allowed on *"),
        (["tag:GetResources"], ["arn:aws:s3:::x"], "tag:GetResources takes no resources"),
        (["sns:Publish"], ["arn:aws:sqs:us-east-1:1:x"], "sns:Publish is never about arn:aws:sqs:us-east-1:1:x"),
        (["rds:DeleteDBInstance"], ["arn:aws:rds:${R}:1:db:*", "arn:aws:rds:${R}:1:es:*"], "no action is about arn"),
    ],
    ids=["unknown", "all", "none", "another", "too many"],
)
def test_what_is_wrong_is_told(actions, resources, problem):
    done = check(json.dumps({"Role": {"Sid": {"actions": actions, "resources": resources}}}))
    assert done.returncode == 1
    assert f"Role Sid: {problem}" in done.stderr
