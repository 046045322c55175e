"""The checks can fail: what is wrong in a configuration is refused, and what is broken in the platform is noticed."""

import json
import re
import shutil

import pytest

from tests.infrastructure import terraform as tf
from tests.infrastructure import test_terraform_aws as aws
from tests.infrastructure import test_terraform_recovery as recovery
from tests.infrastructure import test_terraform_security as security
from tests.infrastructure.platform import Platform

WRONG = {
    "an argument that does not exist": (
        'resource "aws_vpc" "x" {\n  cidr_block = "10.0.0.0/16"\n  cidr = "10.0.0.0/16"\n}',
        'An argument named "cidr" is not expected here',
    ),
    "a value of another type": (
        'resource "aws_lb" "x" {\n  name = "x"\n  idle_timeout = "a minute"\n}',
        'Inappropriate value for attribute "idle_timeout": a number is required',
    ),
    "a required argument that is missing": (
        'resource "aws_eks_cluster" "x" {\n  name = "x"\n  vpc_config {\n    subnet_ids = []\n  }\n}',
        'The argument "role_arn" is required',
    ),
    "a required block that is missing": (
        'resource "aws_eks_cluster" "x" {\n  name = "x"\n  role_arn = "x"\n}',
        'At least 1 "vpc_config" blocks are required',
    ),
    "a block too many": (
        'resource "aws_lb_target_group" "x" {\n  health_check {}\n  health_check {}\n}',
        'No more than 1 "health_check" blocks are allowed',
    ),
    "a reference to nothing": (
        'output "x" {\n  value = aws_vpc.other.id\n}',
        'A managed resource "aws_vpc" "other" has not been declared',
    ),
    "an attribute that the resource does not have": (
        'output "x" {\n  value = aws_vpc.main.vpc_identifier\n}',
        'This object has no argument, nested block, or exported attribute named "vpc_identifier"',
    ),
    "a type of resource that does not exist": (
        'resource "aws_detection_api" "x" {}',
        'The provider hashicorp/aws does not support resource type "aws_detection_api"',
    ),
    "a value for what only AWS sets": (
        'resource "aws_vpc" "x" {\n  cidr_block = "10.0.0.0/16"\n  arn = "arn:aws:ec2"\n}',
        'Can\'t configure a value for "arn"',
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_configuration_is_refused(terraform, configuration, what):
    text, message = WRONG[what]
    (configuration / "wrong.tf").write_text(text + "\n")
    said = terraform.validate(configuration)
    assert any(message in f"{problem['summary']}: {problem.get('detail', '')}" for problem in said), said
    assert {problem["severity"] for problem in said} == {"error"}


def test_a_refused_variable_fails_the_plan(terraform, configuration):
    with pytest.raises(tf.TerraformError, match=r"15\.13 or newer"):
        terraform.plan(configuration, "prod", "-var=database_version=15.4")


# What is broken → file, what stands there, what is put in its place, environment, and the test that notices.
BROKEN = {
    "the database is reachable from everywhere": (
        "security_groups.tf",
        'resource "aws_vpc_security_group_egress_rule" "alb_to_nodes" {',
        'resource "aws_vpc_security_group_ingress_rule" "open" {\n'
        "  security_group_id = aws_security_group.database.id\n"
        '  ip_protocol = "tcp"\n  from_port = 5432\n  to_port = 5432\n  cidr_ipv4 = "0.0.0.0/0"\n}\n\n'
        'resource "aws_vpc_security_group_egress_rule" "alb_to_nodes" {',
        security.test_no_security_group_is_open_to_the_world_but_the_load_balancers,
    ),
    "nodes may reach what drills restore": (
        "security_groups.tf",
        '"functions drill"    = { port = local.database_port, from = aws_security_group.functions.id,',
        '"nodes drill"    = { port = local.database_port, from = aws_security_group.nodes.id,',
        security.test_each_pair_of_neighbours_and_no_other_may_talk,
    ),
    "the service may write anywhere in the backup bucket": (
        "irsa.tf",
        "/application-data/incoming/*",
        "/*",
        security.test_the_services_role_may_do_what_the_service_does_and_no_more,
    ),
    "a role may do everything with what it cannot name": (
        "irsa.tf",
        '"elasticloadbalancing:DescribeTags",',
        '"elasticloadbalancing:ModifyListener",',
        security.test_no_role_may_do_everything_or_touch_everything,
    ),
    "the database is not encrypted": (
        "rds.tf",
        'storage_encrypted     = true\n  kms_key_id            = aws_kms_key.main["database"].arn',
        "storage_encrypted     = false",
        security.test_every_store_is_encrypted_with_a_key_of_ours,
    ),
    "the administrator has a password in plain text": (
        "rds.tf",
        "manage_master_user_password         = true",
        'password = "correct horse battery staple"',
        security.test_there_is_no_secret_in_plain_text,
    ),
    "a parameter of the contract is missing": (
        "contract.tf",
        "    cluster_name               = aws_eks_cluster.main.name\n",
        "",
        recovery.test_every_parameter_of_the_contract_is_written_and_no_other,
    ),
    "the colours are mixed up in the contract": (
        "contract.tf",
        'target_group_blue_arn      = aws_lb_target_group.main["blue"].arn',
        'target_group_blue_arn      = aws_lb_target_group.main["green"].arn',
        recovery.test_the_automation_can_read_what_is_written,
    ),
    "the hourly snapshots miss the database": (
        "rds.tf",
        'tags = { backup = "true" }',
        'tags = { backups = "true" }',
        recovery.test_database_and_cache_are_what_the_hourly_snapshots_select,
    ),
    "manifests are deleted with the backups": (
        "s3.tf",
        '"manifests/"             = 400',
        '"manifests/"             = 90',
        recovery.test_backups_are_archived_after_30_days_where_they_can_still_be_read_at_once_and_deleted_after_90,
    ),
    "an alarm fires too late": (
        "cloudwatch.tf",
        "threshold = 150",
        "threshold = 190",
        aws.TestMonitoring().test_each_alarm_watches_its_metric_over_five_minutes_at_its_threshold,
    ),
    "all zones go out through one NAT gateway": (
        "vpc.tf",
        "aws_nat_gateway.main[var.nat_gateway_per_zone ? count.index : 0].id",
        "aws_nat_gateway.main[0].id",
        aws.TestNetwork().test_private_subnets_go_out_through_their_own_zones_nat_gateway,
    ),
    "pods can get at the nodes' credentials": (
        "eks.tf",
        "http_put_response_hop_limit = 1",
        "http_put_response_hop_limit = 2",
        aws.TestCluster().test_nodes_have_encrypted_disks_and_keep_their_credentials_from_pods,
    ),
}


@pytest.fixture(scope="module")
def foreseeing(tmp_path_factory):
    with tf.serving(tmp_path_factory.mktemp("provider"), known=True) as served:
        yield served


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_on_purpose_is_noticed(foreseeing, configuration, what):
    name, old, new, notices = BROKEN[what]
    file = configuration / name
    before = file.read_text()
    assert before.count(old) >= 1, "what is to be broken is not there any more"
    file.write_text(before.replace(old, new))
    broken = Platform("prod", foreseeing.plan(configuration, "prod"))
    # One of the tests takes the platform by its environment.
    arguments = (lambda _: broken, "prod", 3) if "platform_of" in notices.__code__.co_varnames else (broken,)
    with pytest.raises((AssertionError, KeyError)):
        notices(*arguments)


def test_a_restored_weight_or_endpoint_would_be_noticed(terraform, configuration):
    """Without `ignore_changes` a later apply would undo a restore."""
    contract = configuration / "contract.tf"
    contract.write_text(contract.read_text().replace("ignore_changes = [value]", "ignore_changes = [description]"))
    terraform.plan(configuration, "dev")
    terraform.run(configuration, "apply", "-input=false", "-parallelism=32", "dev.tfplan")
    applied = recovery.Applied(terraform, configuration)
    assert not applied.is_left_alone('aws_ssm_parameter.endpoint["database"]', "value", "elsewhere:5432")


def test_the_schema_has_every_type_that_is_in_use(terraform, tmp_path):
    """So that a new resource is not forgotten: derive it again (scripts/derive_provider_schema.py)."""
    (tmp_path / "schema.tf").write_text((tf.SOURCE / "bootstrap/main.tf").read_text().partition("# -- state")[0])
    shutil.copy(tf.SOURCE / "bootstrap/variables.tf", tmp_path)
    known = json.loads(terraform.run(tmp_path, "providers", "schema", "-json"))["provider_schemas"].popitem()[1]
    text = "\n".join(path.read_text() for path in sorted(tf.SOURCE.rglob("*.tf")))
    lines = text.splitlines()
    used = {line.split('"')[1] for line in lines if line.startswith('resource "aws_')}
    read = {line.split('"')[1] for line in lines if line.startswith('data "aws_')}
    assert used == set(known["resource_schemas"])
    assert read == set(known["data_source_schemas"])


def test_the_schema_is_of_a_provider_that_the_configuration_takes():
    version = json.loads((tf.ROOT / "tests/infrastructure/provider/schema.json").read_text())["provider_version"]
    for folder in (tf.SOURCE, tf.SOURCE / "bootstrap"):
        (least,) = re.findall(r'version = "~> ([\d.]+)"', (folder / "main.tf").read_text())
        major, minor = (int(part) for part in least.split("."))
        found = tuple(int(part) for part in version.split("."))
        assert found[0] == major
        assert found[1] >= minor
