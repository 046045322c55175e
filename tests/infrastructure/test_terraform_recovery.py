"""What recovery needs of the platform: backups that last, a place for drills, endpoints that restores may move."""

import json
import ssl
from dataclasses import dataclass
from pathlib import Path

import pytest

from opskit import platform as contract
from opskit.platform import DATABASE_AUTHORITIES, PARAMETERS, Platform, endpoint_parameter, path_of
from tests.infrastructure.terraform import SOURCE, Terraform, copy_configuration


@dataclass(frozen=True)
class Applied:
    """A configuration that has been applied, to nothing at all."""

    terraform: Terraform
    folder: Path

    def is_left_alone(self, address, attribute, value):
        """Whether a plan still finds nothing to do after somebody else changed this attribute of a resource."""
        name, _, index = address.removesuffix("]").partition("[")
        file = self.folder / "terraform.tfstate"
        before = file.read_text()
        state = json.loads(before)
        (resource,) = [r for r in state["resources"] if f"{r['type']}.{r['name']}" == name and r["mode"] == "managed"]
        (instance,) = [i for i in resource["instances"] if not index or i["index_key"] == json.loads(index)]
        assert instance["attributes"][attribute] != value
        instance["attributes"][attribute] = value
        try:
            file.write_text(json.dumps(state))
            text = self.terraform.run(self.folder, "plan", "-input=false", "-var-file=environments/dev.tfvars")
        finally:
            file.write_text(before)
        return "No changes" in text


@pytest.fixture(scope="module")
def applied(terraform, tmp_path_factory):
    folder = copy_configuration(tmp_path_factory.mktemp("applied") / "terraform")
    terraform.plan(folder, "dev")
    terraform.run(folder, "apply", "-input=false", "-parallelism=32", "dev.tfplan")
    return Applied(terraform, folder)


def values(platform):
    return {parameter["name"]: parameter["value"] for parameter in platform.of("ssm_parameter", "contract")}


def test_every_parameter_of_the_contract_is_written_and_no_other(platform):
    path = path_of("detection-api", platform.environment)
    assert set(values(platform)) == {f"{path}{name}" for name in PARAMETERS}
    assert {parameter["type"] for parameter in platform.of("ssm_parameter")} == {"String"}


def test_the_automation_can_read_what_is_written(platform):
    path = path_of("detection-api", platform.environment)
    written = {name.removeprefix(path): value for name, value in values(platform).items()}
    read = Platform.parse("detection-api", platform.environment, written)
    assert read.listener_arn in {listener["arn"] for listener in platform.of("lb_listener")}
    assert read.target_group_blue_arn == platform['lb_target_group.main["blue"]']["arn"]
    assert read.target_group_green_arn == platform['lb_target_group.main["green"]']["arn"]
    assert read.function_subnet_ids == tuple(platform[f"subnet.private[{n}]"]["id"] for n in range(3))
    assert read.function_security_group_id == platform["security_group.functions"]["id"]
    assert read.drill_security_group_id == platform["security_group.drill"]["id"]
    assert read.cluster_operator_role_arn == platform["iam_role.operator"]["arn"]
    assert read.database_key_arn == platform["db_instance.main"]["kms_key_id"]
    assert read.cache_key_arn == platform["elasticache_replication_group.main"]["kms_key_id"]
    assert read.namespace == "detection-api"
    assert read.cache_user == "none"
    assert read.node_group == platform["eks_node_group.on_demand"]["node_group_name"]


def test_the_automation_is_told_what_each_alarm_is_about(platform):
    path = path_of("detection-api", platform.environment)
    written = {name.removeprefix(path): value for name, value in values(platform).items()}
    read = Platform.parse("detection-api", platform.environment, written)
    alarms = {alarm["alarm_name"] for alarm in platform.of("cloudwatch_metric_alarm")}
    assert {name: read.alarm_resource(name) for name in alarms} == platform.outputs["alarms"]
    assert len(read.alarm_resources) == len(alarms)
    # The longest that a standard parameter takes, for names as long as AWS allows a balancer (32 characters):
    # https://docs.aws.amazon.com/general/latest/gr/ssm.html
    longer = len(read.alarm_resources) * 2 * (32 - len(f"detection-api-{platform.environment}"))
    assert len(written["alarm_resources"]) + longer < 4096


def test_the_alarms_that_stop_a_release_are_there(platform):
    path = path_of("detection-api", platform.environment)
    named = values(platform)[f"{path}release_alarms"].split(",")
    alarms = {alarm["alarm_name"]: alarm for alarm in platform.of("cloudwatch_metric_alarm")}
    assert {alarms[name]["metric_name"] for name in named} == {
        "HTTPCode_Target_5XX_Count",
        "HTTPCode_ELB_5XX_Count",
        "TargetResponseTime",
    }
    for name in named:
        assert alarms[name]["treat_missing_data"] == "notBreaching"


def test_the_endpoints_are_written_where_the_service_reads_them(platform):
    found = {parameter["name"]: parameter["value"] for parameter in platform.of("ssm_parameter", "endpoint")}
    database, cache = (
        endpoint_parameter("detection-api", platform.environment, kind) for kind in ("database", "cache")
    )
    assert found == {
        database: f"{platform['db_instance.main']['address']}:5432",
        cache: f"{platform['elasticache_replication_group.main']['primary_endpoint_address']}:6379",
    }


def test_a_restore_may_move_an_endpoint_and_terraform_leaves_it(applied):
    assert applied.is_left_alone('aws_ssm_parameter.endpoint["database"]', "value", "elsewhere:5432")


def test_a_release_may_move_the_weights_and_terraform_leaves_them(applied):
    moved = [
        {"type": "forward", "target_group_arn": "arn:aws:elasticloadbalancing:::targetgroup/other/1", "forward": []}
    ]
    assert applied.is_left_alone("aws_lb_listener.http[0]", "default_action", moved)


def test_anything_else_that_was_changed_is_put_back(applied):
    """So that the two above prove something."""
    assert not applied.is_left_alone('aws_ssm_parameter.contract["namespace"]', "value", "elsewhere")


def test_database_and_cache_are_what_the_hourly_snapshots_select(platform):
    tagged = {
        resource.address for resource in platform.resources.values() if "backup" in (resource.values.get("tags") or {})
    }
    assert tagged == {"aws_db_instance.main", "aws_elasticache_replication_group.main"}
    for address in tagged:
        assert platform.resources[address]["tags"]["backup"] == "true"
    name = f"detection-api-{platform.environment}"
    assert platform["db_instance.main"]["identifier"] == name
    assert platform["elasticache_replication_group.main"]["replication_group_id"] == name


def test_drills_have_subnet_groups_of_their_own(platform):
    name = f"detection-api-{platform.environment}-drill"
    assert platform["db_subnet_group.drill"]["name"] == name
    assert platform["elasticache_subnet_group.drill"]["name"] == name
    assert not any(database["db_subnet_group_name"] == name for database in platform.of("db_instance"))


def test_backups_are_archived_after_30_days_where_they_can_still_be_read_at_once_and_deleted_after_90(platform):
    rules = {rule["id"]: rule for rule in platform["s3_bucket_lifecycle_configuration.backups"]["rule"]}
    days = {name: rule["expiration"][0]["days"] for name, rule in rules.items() if rule["expiration"]}
    assert days == {
        "application-data": 90,
        "cluster-configuration": 90,
        "runs": 90,
        "terraform-state": 90,
        "manifests": 400,
    }
    for name in days:
        (transition,) = rules[name]["transition"]
        assert (transition["days"], transition["storage_class"]) == (30, "GLACIER_IR")
        assert rules[name]["filter"][0]["prefix"] == f"{name}/"


def test_what_is_current_is_never_deleted(platform):
    prefixes = [
        r["filter"][0]["prefix"]
        for r in platform["s3_bucket_lifecycle_configuration.backups"]["rule"]
        if r["expiration"]
    ]
    for current in (DATABASE_AUTHORITIES, "objectives/latest.json"):
        assert not any(current.startswith(prefix) for prefix in prefixes)


@pytest.mark.parametrize(("environment", "days"), [("dev", 0), ("staging", 14), ("prod", 30)])
def test_backups_cannot_be_deleted_for_as_long_as_the_environment_says(platform_of, environment, days):
    platform = platform_of(environment)
    assert platform['s3_bucket.main["backups"]']["object_lock_enabled"] is True
    locks = platform.of("s3_bucket_object_lock_configuration")
    assert [lock["rule"][0]["default_retention"][0]["days"] for lock in locks] == ([days] if days else [])


def test_elasticache_and_nobody_else_may_export_to_the_export_bucket(platform):
    statements = json.loads(platform['s3_bucket_policy.main["cache-exports"]']["policy"])["Statement"]
    (allowed,) = [s for s in statements if s["Effect"] == "Allow"]
    assert allowed["Principal"] == {"Service": "us-east-1.elasticache-snapshot.amazonaws.com"}
    assert allowed["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    assert {"s3:PutObject", "s3:GetBucketAcl", "s3:ListBucketMultipartUploads"} <= set(allowed["Action"])
    bucket = platform['s3_bucket.main["cache-exports"]']["arn"]
    assert allowed["Resource"] == [bucket, f"{bucket}/*"]


def test_the_authorities_of_the_databases_certificates_are_in_the_backup_bucket(platform):
    found = platform["s3_object.database_authorities"]
    assert (found["bucket"], found["key"]) == (platform['s3_bucket.main["backups"]']["bucket"], DATABASE_AUTHORITIES)
    assert found["content"] == (SOURCE / "files/database-authorities-us-east-1.pem").read_text()
    names = [
        dict(pair for part in certificate["subject"] for pair in part)["commonName"]
        for certificate in ssl.create_default_context(cadata=found["content"]).get_ca_certs()
    ]
    assert set(names) == {f"Amazon RDS us-east-1 Root CA {kind} G1" for kind in ("RSA2048", "RSA4096", "ECC384")}
    # rds-ca-rsa2048-g1, which the instance has, is of one of them.
    assert platform["db_instance.main"]["ca_cert_identifier"] == "rds-ca-rsa2048-g1"


def test_the_queue_is_mounted_in_every_zone_as_the_pods_user(platform):
    private = {subnet["id"] for subnet in platform.of("subnet", "private")}
    assert {target["subnet_id"] for target in platform.of("efs_mount_target")} == private
    point = platform["efs_access_point.queue"]
    assert (point["posix_user"][0]["uid"], point["posix_user"][0]["gid"]) == (10001, 10001)
    assert (
        platform.outputs["manifest_values"]["QUEUE_VOLUME"]
        == f"{platform['efs_file_system.queue']['id']}::{point['id']}"
    )


def test_the_contract_is_the_only_definition(platform):
    """No parameter of the path is written beside it."""
    path = contract.path_of("detection-api", platform.environment)
    under = [p for p in platform.of("ssm_parameter") if p["name"].startswith(path)]
    assert len(under) == len(PARAMETERS)
