"""A service of another name: nothing that Terraform makes still says the one that the defaults are for."""

import json
import re
from collections.abc import Iterator

import pytest

from tests.infrastructure import terraform as tf
from tests.infrastructure.platform import Platform

pytestmark = pytest.mark.skipif(tf.REAL_PROVIDER, reason="the real provider asks an account")
SERVICE = "orders-api"
ADMINISTRATOR = "arn:aws:iam::123456789012:role/orders-api-pipeline-apply-dev"
# The workflows' groups in the cluster are of this product, whatever the service is called.
DEFAULT = re.compile(r"detection(?!-ops:(release|backup|remediate)$)", re.IGNORECASE)


def texts(value, path=""):
    """Every text in a document, keys too, by where it is."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield f"{path}.{key} (key)", key
            yield from texts(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from texts(inner, f"{path}[{number}]")
    elif isinstance(value, str):
        yield path, value


def old_names(platform: Platform) -> Iterator[str]:
    """Where the plan has the default's name: in a resource, an output, a variable."""
    planned = {"outputs": platform.outputs, "variables": platform.variables}
    found = {address: resource.values for address, resource in platform.resources.items()}
    for path, text in texts(planned | found):
        if DEFAULT.search(text):
            yield f"{path}: {text[:120]}"


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """Folder below terraform/, arguments → what it would make."""
    with tf.serving(tmp_path_factory.mktemp("provider"), known=True) as served:

        def plan(folder, *arguments):
            copy = tf.copy_configuration(tmp_path_factory.mktemp("copy") / "terraform") / folder
            served.run(copy, "plan", "-input=false", "-out=plan.tfplan", *arguments)
            return Platform("", json.loads(served.run(copy, "show", "-json", "plan.tfplan")))

        yield plan


@pytest.mark.parametrize("environment", tf.ENVIRONMENTS)
def test_an_environment_has_the_services_own_names_alone(planned, environment):
    platform = planned(
        ".",
        f"-var-file=environments/{environment}.tfvars",
        f"-var=service={SERVICE}",
        "-var=database_name=orders",
        f'-var=cluster_administrator_arns=["{ADMINISTRATOR}"]',
        # Everybody's own to choose; dev has none.
        *(["-var=domain_name=orders.example.com"] if environment != "dev" else []),
    )
    assert list(old_names(platform)) == []
    name = f"{SERVICE}-{environment}"
    assert platform["eks_cluster.main"]["name"] == name
    assert platform['lb_target_group.main["blue"]']["name"] == f"{name}-blue"
    assert platform['ssm_parameter.contract["namespace"]']["value"] == SERVICE
    assert platform["db_instance.main"]["db_name"] == "orders"
    assert platform.outputs["manifest_values"]["DATABASE_USER"] == "orders_api"
    (trust,) = json.loads(platform["iam_role.operator"]["assume_role_policy"])["Statement"]
    allowed = trust["Condition"]["ArnLike"]["aws:PrincipalArn"]
    assert allowed == [f"arn:aws:iam::123456789012:role/{name}-automation-*", ADMINISTRATOR]


def test_so_has_the_account(planned):
    account = planned("bootstrap", f"-var=service={SERVICE}", "-var=github_repository=acme/orders")
    assert list(old_names(account)) == []
    assert account["s3_bucket.state"]["bucket"] == "orders-api-terraform-state-123456789012"
    assert {role["name"].rpartition("-pipeline-")[0] for role in account.of("iam_role")} == {SERVICE}


def test_a_name_that_stayed_would_be_seen(planned):
    """The defaults are full of it."""
    platform = planned(".", "-var-file=environments/dev.tfvars")
    assert len(list(old_names(platform))) > 100
