"""Who may do what: security groups, policies, keys, secrets."""

import json
import re

import pytest

from tests.infrastructure.platform import listed

# Actions for which AWS knows no resources; everything else with Resource "*" is refused below.
WITHOUT_RESOURCES = re.compile(
    r"(ec2|autoscaling|elasticloadbalancing):Describe\w+|ec2:GetInstanceTypesFromInstanceRequirements"
)
SECRETS = re.compile(r"password|secret|auth_token")


def name_of(platform, security_group_id):
    return {
        group["id"]: group["name"].removeprefix(f"detection-api-{platform.environment}-")
        for group in platform.of("security_group")
    }.get(security_group_id, "cluster")


def test_no_security_group_is_open_to_the_world_but_the_load_balancers(platform):
    open_rules = [r for r in platform.of("vpc_security_group_ingress_rule") if r["cidr_ipv4"] or r["cidr_ipv6"]]
    assert open_rules
    alb = platform["security_group.alb"]["id"]
    ports = {80, 443} if platform.variables["https"] else {80}
    assert {(r["security_group_id"], r["from_port"], r["to_port"]) for r in open_rules} == {(alb, p, p) for p in ports}


def test_security_groups_know_no_rules_but_these(platform):
    """Rules are resources of their own: a group with rules inside would fight with them."""
    for group in platform.of("security_group") + platform.of("default_security_group"):
        assert not group["ingress"], group.address
        assert not group["egress"], group.address


def test_each_pair_of_neighbours_and_no_other_may_talk(platform):
    inbound = {
        (
            name_of(platform, r["referenced_security_group_id"]),
            name_of(platform, r["security_group_id"]),
            r["from_port"],
        )
        for r in platform.of("vpc_security_group_ingress_rule")
        if r["referenced_security_group_id"]
    }
    assert inbound == {
        ("alb", "nodes", 8000),
        ("nodes", "database", 5432),
        ("nodes", "redis", 6379),
        ("nodes", "queue", 2049),
        ("functions", "database", 5432),
        ("functions", "redis", 6379),
        ("functions", "drill", 5432),
        ("functions", "drill", 6379),
        ("functions", "cluster", 443),
    }
    outbound = {
        (
            name_of(platform, r["security_group_id"]),
            name_of(platform, r["referenced_security_group_id"]),
            r["from_port"],
        )
        for r in platform.of("vpc_security_group_egress_rule")
        if r["referenced_security_group_id"]
    }
    # The functions reach the cluster by the rule for AWS APIs.
    assert outbound == inbound - {("functions", "cluster", 443)}


def test_what_drills_restore_reaches_nothing(platform):
    drill = platform["security_group.drill"]["id"]
    assert not [r for r in platform.of("vpc_security_group_egress_rule") if r["security_group_id"] == drill]


def test_every_rule_names_one_port(platform):
    for rule in platform.of("vpc_security_group_ingress_rule") + platform.of("vpc_security_group_egress_rule"):
        assert rule["ip_protocol"] == "tcp", rule.address
        assert rule["from_port"] == rule["to_port"], rule.address
        assert rule["description"], rule.address


def test_descriptions_have_only_characters_that_ec2_takes(platform):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html"""
    kinds = ("security_group", "vpc_security_group_ingress_rule", "vpc_security_group_egress_rule")
    for resource in (found for kind in kinds for found in platform.of(kind)):
        assert re.fullmatch(r"[\w. :/()#,@\[\]+=&;{}!$*-]{1,255}", resource["description"], re.ASCII), resource.address


def test_no_role_may_do_everything_or_touch_everything(platform):
    seen = 0
    for resource, statement in platform.statements("policy"):
        if resource.kind != "aws_iam_role_policy":
            continue
        seen += 1
        where = f"{resource.address} {statement.get('Sid')}"
        assert statement["Sid"], where
        for action in listed(statement["Action"]):
            assert "*" not in action, where
            if listed(statement["Resource"]) == ["*"]:
                assert WITHOUT_RESOURCES.fullmatch(action), f"{where}: {action}"
    assert seen >= 10


def test_the_services_role_may_do_what_the_service_does_and_no_more(platform):
    name, account = f"detection-api-{platform.environment}", "123456789012"
    policy = json.loads(platform["iam_role_policy.service"]["policy"])
    found = {
        (action, statement["Resource"]) for statement in policy["Statement"] for action in listed(statement["Action"])
    }
    key = platform['kms_key.main["backup"]']["arn"]
    parameters = f"arn:aws:ssm:us-east-1:{account}:parameter/detection-api/{platform.environment}/endpoints/*"
    assert found == {
        ("ssm:GetParameter", parameters),
        ("rds-db:connect", f"arn:aws:rds-db:us-east-1:{account}:dbuser:*/detection_api"),
        ("s3:PutObject", f"arn:aws:s3:::{name}-backups-{account}/application-data/incoming/*"),
        ("kms:GenerateDataKey", key),
        ("kms:Decrypt", key),
    }


def test_the_controller_may_register_targets_in_the_two_groups_only(platform):
    policy = json.loads(platform["iam_role_policy.load_balancer_controller"]["policy"])
    (change,) = [s for s in policy["Statement"] if s["Resource"] != "*"]
    assert set(change["Resource"]) == {group["arn"] for group in platform.of("lb_target_group")}
    assert set(change["Action"]) == {"elasticloadbalancing:RegisterTargets", "elasticloadbalancing:DeregisterTargets"}


def test_the_cluster_operator_is_assumed_by_the_automation_and_administrators_and_can_do_nothing_in_aws(platform):
    operator = platform["iam_role.operator"]
    (trust,) = json.loads(operator["assume_role_policy"])["Statement"]
    pattern = f"arn:aws:iam::123456789012:role/detection-api-{platform.environment}-automation-*"
    administrators = sorted(platform.variables["cluster_administrator_arns"])
    assert trust["Condition"] == {"ArnLike": {"aws:PrincipalArn": [pattern, *administrators]}}
    policies = platform.of("iam_role_policy") + platform.of("iam_role_policy_attachment")
    assert operator["name"] not in {policy["role"] for policy in policies}


def test_every_trust_in_a_service_is_bound_to_this_account(platform):
    """But for EC2, whose instance profiles know no source."""
    for role, statement in platform.statements("assume_role_policy"):
        principal = statement["Principal"]
        if "Service" in principal and principal["Service"] != "ec2.amazonaws.com":
            (condition,) = statement["Condition"].values()
            assert set(condition) <= {"aws:SourceAccount", "aws:SourceArn"}, role.address
            assert "123456789012" in next(iter(condition.values())), role.address


def test_every_store_is_encrypted_with_a_key_of_ours(platform):
    keys = {
        purpose: platform[f'kms_key.main["{purpose}"]']["arn"] for purpose in ("database", "cache", "backup", "cluster")
    }
    database = platform["db_instance.main"]
    assert (database["storage_encrypted"], database["kms_key_id"]) == (True, keys["database"])
    assert all(replica["storage_encrypted"] for replica in platform.of("db_instance", "replica"))
    assert platform["elasticache_replication_group.main"]["kms_key_id"] == keys["cache"]
    queue = platform["efs_file_system.queue"]
    assert (queue["encrypted"], queue["kms_key_id"]) == (True, keys["cluster"])
    (rule,) = platform['s3_bucket_server_side_encryption_configuration.main["backups"]']["rule"]
    (default,) = rule["apply_server_side_encryption_by_default"]
    assert (default["sse_algorithm"], default["kms_master_key_id"]) == ("aws:kms", keys["backup"])
    logs = platform['kms_key.main["logs"]']["arn"]
    assert {group["kms_key_id"] for group in platform.of("cloudwatch_log_group")} == {logs}
    assert platform["cloudtrail.main[0]"]["kms_key_id"] == logs


def test_two_buckets_alone_use_s3s_own_key_because_their_writers_know_no_other(platform):
    own = {
        found.index
        for found in platform.of("s3_bucket_server_side_encryption_configuration")
        if found["rule"][0]["apply_server_side_encryption_by_default"][0]["sse_algorithm"] == "AES256"
    }
    assert own == {"cache-exports", "access-logs"}


def test_keys_are_rotated_and_survive_a_month(platform):
    for key in platform.of("kms_key"):
        assert (key["enable_key_rotation"], key["deletion_window_in_days"]) == (True, 30)


def test_a_key_is_open_to_others_only_under_a_condition(platform):
    for resource, statement in platform.statements("policy"):
        if resource.kind != "aws_kms_key" or statement["Sid"] == "IAM":
            continue
        assert statement["Condition"], f"{resource.address} {statement['Sid']}"
        assert "kms:*" not in listed(statement["Action"])


@pytest.mark.parametrize("bucket", ["backups", "cache-exports", "access-logs", "trail"])
def test_a_bucket_is_private_versioned_and_refuses_plain_http(platform, bucket):
    closed = platform[f's3_bucket_public_access_block.main["{bucket}"]']
    for setting in ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets"):
        assert closed[setting] is True
    (versioning,) = platform[f's3_bucket_versioning.main["{bucket}"]']["versioning_configuration"]
    assert versioning["status"] == "Enabled"
    statements = json.loads(platform[f's3_bucket_policy.main["{bucket}"]']["policy"])["Statement"]
    (refused,) = [s for s in statements if s["Effect"] == "Deny"]
    assert refused["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert (refused["Principal"], refused["Action"]) == ("*", "s3:*")
    for allowed in (s for s in statements if s["Effect"] == "Allow"):
        assert set(allowed["Principal"]) == {"Service"}


def test_there_is_no_secret_in_plain_text(platform):
    """Neither in an attribute whose name says so, nor in a variable, an output or a parameter."""
    for resource in platform.resources.values():
        for name, value in resource.values.items():
            if SECRETS.search(name) and isinstance(value, str):
                assert name.endswith(("_arn", "_id", "_key_id", "_mode")), f"{resource.address}.{name} = {value!r}"
    assert not [
        name for name in (*platform.variables, *platform.outputs) if SECRETS.search(name) and not name.endswith("_arn")
    ]
