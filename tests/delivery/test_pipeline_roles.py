"""The pipelines' roles, as terraform/bootstrap makes them, are enough for what their jobs run, and for no more.

The sandbox decides by IAM as AWS does. What `plan` and `apply` may cannot be tried: it is Terraform's to use.
"""

import json

import pytest

from tests.infrastructure import terraform as tf
from tests.infrastructure.platform import Platform

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def policies(tmp_path_factory, config):
    """Role → its policy, for the sandbox's account and environment."""
    with tf.serving(tmp_path_factory.mktemp("provider"), known=True) as served:
        folder = tf.copy_configuration(tmp_path_factory.mktemp("bootstrap") / "terraform") / "bootstrap"
        served.run(folder, "plan", "-input=false", "-out=plan.tfplan", "-var=github_repository=acme/operations")
        planned = Platform("bootstrap", json.loads(served.run(folder, "show", "-json", "plan.tfplan")))
    return {
        policy.index: policy["policy"]
        .replace("123456789012", config.account)
        .replace(f"{config.service}-staging", config.name)
        .replace(f"{config.service}/staging", f"{config.service}/{config.environment}")
        for policy in planned.of("iam_role_policy")
    }


@pytest.fixture(scope="module")
def credentials(policies, operator):
    """Role → the variables of somebody who has assumed it."""

    def assume(role):
        iam, name = operator.clients["iam"], f"pipeline-{role}"
        trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
        iam.put_role_policy(RoleName=name, PolicyName="pipeline", PolicyDocument=policies[role])
        given = operator.clients["sts"].assume_role(RoleArn=arn, RoleSessionName="GitHubActions")["Credentials"]
        return {
            "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
            "AWS_SESSION_TOKEN": given["SessionToken"],
        }

    made = {role: assume(role) for role in ("release-dev", "verify-staging", "plan-dev")}
    return lambda role: made[role]


def test_the_role_that_releases_is_enough_for_a_release(shell, deployed, credentials):
    assert deployed.code == 0, deployed.output
    done = shell.run("release.sh", IMAGE="1.2.0", NAME="role-1", OPS_ENVIRONMENT="dev", **credentials("release-dev"))
    assert done.code == 0, done.output
    done = shell.run("release.sh", IMAGE="1.1.0", NAME="role-2", OPS_ENVIRONMENT="dev", **credentials("release-dev"))
    assert done.code == 0, done.output


def test_the_role_that_verifies_is_enough_for_a_backup_a_drill_and_the_objectives(
    shell, deployed, credentials, operator
):
    assert deployed.code == 0, deployed.output
    with operator.pulse(1.0):
        done = shell.run("disaster-recovery.sh", "backup", **credentials("verify-staging"))
        assert done.code == 0, done.output
        done = shell.run("disaster-recovery.sh", "test", **credentials("verify-staging"))
    assert "denied" not in done.output.lower(), done.output
    assert done.code == 0, done.output


@pytest.mark.parametrize(
    ("role", "script", "arguments"),
    [
        ("verify-staging", "release.sh", ()),
        ("plan-dev", "release.sh", ()),
        ("release-dev", "disaster-recovery.sh", ("backup",)),
    ],
)
def test_no_role_may_do_anothers_work(shell, deployed, credentials, role, script, arguments):
    variables = {"IMAGE": "1.2.0", "NAME": f"by-{role}", "OPS_ENVIRONMENT": "dev"}
    done = shell.run(script, *arguments, **variables, **credentials(role))
    assert done.code == 4, done.output
    assert "denied" in done.output.lower()
