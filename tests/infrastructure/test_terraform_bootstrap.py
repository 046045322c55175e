"""What terraform/bootstrap gives the pipelines: who may log in, from where, and what that role may do."""

import json
import re
from fnmatch import fnmatchcase

import pytest
import yaml

from tests.infrastructure import terraform as tf
from tests.infrastructure.platform import Platform, listed

pytestmark = pytest.mark.skipif(tf.REAL_PROVIDER, reason="the real provider asks an account")
ACCOUNT, REPOSITORY = "123456789012", "acme/operations"
HOST = "token.actions.githubusercontent.com"
# Services by what their types in Terraform begin with, where that is not the service's own prefix in IAM.
PREFIXES = {
    "cloudwatch_log": "logs",
    "db": "rds",
    "default": "ec2",
    "efs": "elasticfilesystem",
    "eip": "ec2",
    "flow": "ec2",
    "internet": "ec2",
    "launch": "ec2",
    "lb": "elasticloadbalancing",
    "nat": "ec2",
    "network": "ec2",
    "route": "ec2",
    "security": "ec2",
    "subnet": "ec2",
    "vpc": "ec2",
}


@pytest.fixture(scope="module")
def bootstrap(tmp_path_factory):
    """Variables → what bootstrap makes with them."""
    with tf.serving(tmp_path_factory.mktemp("provider"), known=True) as served:
        folder = tf.copy_configuration(tmp_path_factory.mktemp("bootstrap") / "terraform") / "bootstrap"

        def plan(*variables, expect=0):
            arguments = [f"-var={variable}" for variable in variables]
            text = served.run(folder, "plan", "-input=false", "-out=plan.tfplan", *arguments, expect=expect)
            if expect:
                return text
            return Platform("bootstrap", json.loads(served.run(folder, "show", "-json", "plan.tfplan")))

        yield plan


@pytest.fixture(scope="module")
def account(bootstrap):
    return bootstrap(f"github_repository={REPOSITORY}")


def workflows():
    for path in sorted((tf.ROOT / ".github/workflows").glob("*.yml")):
        yield from yaml.safe_load(path.read_text())["jobs"].values()


def statements(account, role):
    return json.loads(account[f'iam_role_policy.pipeline["{role}"]']["policy"])["Statement"]


def allowed(account, role, action, resource="*"):
    """Whether the role may do that, conditions aside."""
    return any(
        any(fnmatchcase(action, pattern) for pattern in listed(each["Action"]))
        and any(fnmatchcase(resource, pattern) for pattern in listed(each["Resource"]))
        for each in statements(account, role)
    )


def test_without_a_repository_nobody_may_log_in(bootstrap):
    plain = bootstrap()
    assert not [resource for resource in plain.resources if resource.startswith("aws_iam_")]
    assert plain.outputs["github_variables"] == {}


def test_github_is_trusted_for_this_account_alone(account):
    (provider,) = account.of("iam_openid_connect_provider")
    assert (provider["url"], provider["client_id_list"]) == (f"https://{HOST}", ["sts.amazonaws.com"])


def test_a_provider_that_is_there_is_used(bootstrap):
    """There is one for all repositories of an account."""
    found = bootstrap(f"github_repository={REPOSITORY}", "create_github_provider=false")
    assert not found.of("iam_openid_connect_provider")
    assert len(found.of("iam_role")) == 10


def test_each_role_is_for_one_environment_of_one_repository(account):
    roles = account.of("iam_role")
    assert len(roles) == 10
    for role in roles:
        (trust,) = json.loads(role["assume_role_policy"])["Statement"]
        assert trust["Action"] == "sts:AssumeRoleWithWebIdentity"
        assert trust["Principal"] == {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{HOST}"}
        (operator,) = trust["Condition"]
        assert operator == "StringEquals", "a pattern would let others in"
        given = trust["Condition"][operator]
        assert given.pop(f"{HOST}:aud") == "sts.amazonaws.com"
        what, environment = role.index.split("-")
        job = environment if what in ("apply", "release") else f"{environment}-{what}"
        assert given == {f"{HOST}:sub": f"repo:{REPOSITORY}:environment:{job}"}


def test_every_job_that_logs_in_has_its_role_and_every_role_has_its_job(account):
    asked = {}
    for job in workflows():
        for step in job.get("steps", ()):
            if wanted := re.findall(r"vars\.(\w+)", step.get("with", {}).get("role-to-assume", "")):
                environment = job["environment"]
                name = environment if isinstance(environment, str) else environment["name"]
                names = [re.sub(r"\$\{\{.*\}\}", each, name) for each in tf.ENVIRONMENTS] if "${{" in name else [name]
                for each in names:
                    asked.setdefault(each, set()).update(wanted)
                longest = int(step["with"].get("role-duration-seconds", 3600))
                assert {role["max_session_duration"] >= longest for role in account.of("iam_role")} == {True}
    told = account.outputs["github_variables"]
    assert {environment: set(variables) for environment, variables in told.items()} == asked
    arns = [arn for variables in told.values() for arn in variables.values()]
    assert sorted(arns) == sorted(role["arn"] for role in account.of("iam_role"))


def test_an_environment_that_is_not_in_the_account_has_no_role(bootstrap):
    found = bootstrap(f"github_repository={REPOSITORY}", 'environments=["prod"]')
    assert {role.index for role in found.of("iam_role")} == {"plan-prod", "apply-prod", "release-prod"}


@pytest.mark.parametrize("variable", ["github_repository=*/*", "github_repository=acme", 'environments=["qa"]'])
def test_what_would_let_in_others_is_refused(bootstrap, variable):
    assert "Invalid value for variable" in bootstrap(variable, expect=1)


def test_policies_are_as_short_as_iam_wants_them(account):
    policies = account.of("iam_role_policy")
    assert len(policies) == 10
    assert max(len(policy["policy"]) for policy in policies) <= 10_240


@pytest.mark.parametrize("environment", tf.ENVIRONMENTS)
def test_the_role_that_plans_changes_nothing_and_reads_no_data(account, environment):
    role, name = f"plan-{environment}", f"detection-api-{environment}"
    verbs = {action.split(":")[1] for each in statements(account, role) for action in listed(each["Action"])}
    assert not [verb for verb in verbs if not re.match(r"(Describe|Get|List)", verb)]
    reads = [each for each in statements(account, role) if "s3:GetObject" in listed(each["Action"])]
    assert {each["Resource"] for each in reads} == {
        f"arn:aws:s3:::detection-api-terraform-state-{ACCOUNT}/{environment}/*",
        f"arn:aws:s3:::{name}-backups-{ACCOUNT}/trust/database.pem",
    }
    for action in ("secretsmanager:GetSecretValue", "dynamodb:GetItem", "logs:GetLogEvents", "kms:Decrypt"):
        assert not allowed(account, role, action)


@pytest.mark.parametrize("what", ["plan", "apply"])
def test_terraform_may_use_every_service_that_it_makes_something_of(account, what):
    text = "\n".join(path.read_text() for path in sorted(tf.SOURCE.glob("*.tf")))
    kinds = set(re.findall(r'^resource "aws_(\w+)"', text, re.MULTILINE))
    services = {
        next((PREFIXES[each] for each in PREFIXES if f"{kind}_".startswith(f"{each}_")), kind.split("_")[0])
        for kind in kinds
    }
    known = {action.split(":")[0] for each in statements(account, f"{what}-dev") for action in listed(each["Action"])}
    assert len(services) > 12
    assert services <= known


def test_the_role_that_applies_may_use_every_service_that_the_stack_makes_something_of(account):
    text = (tf.ROOT / "template.yaml").read_text()
    services = {kind.lower() for kind in re.findall(r"Type: AWS::(\w+)::", text)} - {"serverless", "lambda"}
    known = {action.split(":")[0] for each in statements(account, "apply-dev") for action in listed(each["Action"])}
    assert services | {"lambda", "states", "cloudformation"} <= known


@pytest.mark.parametrize("environment", tf.ENVIRONMENTS)
def test_the_role_that_applies_reaches_neither_the_pipelines_roles_nor_another_environment(account, environment):
    role = f"apply-{environment}"
    (other, *_) = (each for each in tf.ENVIRONMENTS if each != environment)
    own = f"arn:aws:iam::{ACCOUNT}:role/detection-api-{environment}-automation-x"
    for action in ("iam:PutRolePolicy", "iam:CreateRole", "iam:PassRole"):
        assert allowed(account, role, action, own)
        for foreign in (f"detection-api-{other}-x", *(found["name"] for found in account.of("iam_role"))):
            assert not allowed(account, role, action, f"arn:aws:iam::{ACCOUNT}:role/{foreign}"), foreign
    for action in ("iam:DeleteOpenIDConnectProvider", "iam:UpdateOpenIDConnectProviderThumbprint"):
        assert not allowed(account, role, action, f"arn:aws:iam::{ACCOUNT}:oidc-provider/{HOST}")
    for action in ("s3:DeleteBucket", "s3:PutBucketVersioning", "s3:DeleteObjectVersion"):
        assert not allowed(account, role, action, f"arn:aws:s3:::detection-api-terraform-state-{ACCOUNT}")
    state = f"arn:aws:s3:::detection-api-terraform-state-{ACCOUNT}"
    assert allowed(account, role, "s3:PutObject", f"{state}/{environment}/platform.tfstate")
    assert not allowed(account, role, "s3:PutObject", f"{state}/{other}/platform.tfstate")
    table = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/detection-api"
    assert allowed(account, role, "dynamodb:UpdateTable", f"{table}-{environment}-ledger")
    assert not allowed(account, role, "dynamodb:UpdateTable", f"{table}-{other}-ledger")


@pytest.mark.parametrize(
    ("role", "workflows"), [("release-prod", {"release"}), ("verify-staging", {"snapshot", "drill", "objectives"})]
)
def test_who_starts_workflows_may_start_these_and_do_nothing_of_what_they_do(account, role, workflows):
    environment = role.partition("-")[2]
    machine = f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:detection-api-{environment}-"
    known = ("release", "snapshot", "restore", "drill", "objectives", "remediate")
    assert {name for name in known if allowed(account, role, "states:StartExecution", machine + name)} == workflows
    changing = [
        action
        for each in statements(account, role)
        for action in listed(each["Action"])
        if not re.match(r"\w+:(Describe|Get|List|Query|Decrypt)", action)
    ]
    assert changing == ["states:StartExecution"]
