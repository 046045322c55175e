"""What deploys the platform and the service fits together: Terraform's own checks, manifests, colours, environments."""

import json
import re
from string import Template

import pytest
import yaml

from tests.contract.stack import ROOT, template
from tests.infrastructure import terraform as tf
from tests.infrastructure.platform import listed

needs_no_network = pytest.mark.skipif(tf.REAL_PROVIDER, reason="the real provider is downloaded by `terraform init`")


def manifests(kind=None):
    """The service's manifests, as the base has them."""
    found = [
        document
        for path in sorted((ROOT / "kubernetes/base").glob("*.yaml"))
        if path.name != "kustomization.yaml"
        for document in yaml.safe_load_all(path.read_text())
    ]
    return [document for document in found if kind in (None, document["kind"])]


def containers():
    for deployment in manifests("Deployment"):
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        yield container


class TestTerraform:
    def test_it_is_formatted(self, terraform):
        assert not terraform.run(tf.SOURCE, "fmt", "-check", "-recursive")

    @pytest.mark.parametrize("folder", [".", "bootstrap"])
    def test_it_is_valid(self, terraform, tmp_path, folder):
        copy = tf.copy_configuration(tmp_path / "terraform", backend=True) / folder
        terraform.initialise(copy)
        assert terraform.validate(copy) == []

    @pytest.mark.parametrize("environment", tf.ENVIRONMENTS)
    def test_its_own_tests_pass_in_every_environment(self, terraform, configuration, environment):
        terraform.initialise(configuration)
        tests = ["environment", "refusals"] if environment == "dev" else ["environment"]
        filters = [f"-filter=tests/{name}.tftest.hcl" for name in tests]
        text = terraform.run(configuration, "test", f"-var-file=environments/{environment}.tfvars", *filters)
        assert re.search(r"Success! [1-9]\d* passed, 0 failed\.", text)

    @needs_no_network
    def test_the_account_is_prepared_once(self, terraform, tmp_path):
        folder = tf.copy_configuration(tmp_path / "terraform") / "bootstrap"
        plan = json.loads(self._planned(terraform, folder))["planned_values"]["root_module"]["resources"]
        by_address = {resource["address"]: resource["values"] for resource in plan}
        assert by_address["aws_s3_bucket.state"]["bucket"] == "detection-api-terraform-state-123456789012"
        assert by_address["aws_s3_bucket_versioning.state"]["versioning_configuration"][0]["status"] == "Enabled"
        assert by_address["aws_ecr_repository.main"]["name"] == "detection-api"
        assert by_address["aws_ecr_repository.main"]["image_tag_mutability"] == "IMMUTABLE"
        assert by_address["aws_ebs_encryption_by_default.main"]["enabled"] is True

    @staticmethod
    def _planned(terraform, folder):
        terraform.run(folder, "plan", "-input=false", "-out=plan.tfplan")
        return terraform.run(folder, "show", "-json", "plan.tfplan")

    def test_the_state_is_encrypted_and_locked_and_each_environment_has_its_own(self, platform):
        backend = (tf.SOURCE / "backend.tf").read_text()
        assert re.search(r'backend "s3" \{[^}]*encrypt += true[^}]*use_lockfile += true', backend)
        own = (tf.SOURCE / f"environments/{platform.environment}.tfbackend").read_text()
        key = platform['ssm_parameter.contract["terraform_state_key"]']["value"]
        assert f'key    = "{key}"' in own


@needs_no_network
class TestManifests:
    def test_they_are_for_the_namespace_and_the_account_that_may_take_the_services_role(self, platform):
        (namespace,) = manifests("Namespace")
        given = platform.outputs["manifest_values"]
        name = Template(namespace["metadata"]["name"]).substitute(given)
        assert platform['ssm_parameter.contract["namespace"]']["value"] == name
        (trust,) = json.loads(platform["iam_role.service"]["assume_role_policy"])["Statement"]
        used = {d["spec"]["template"]["spec"]["serviceAccountName"] for d in manifests("Deployment")}
        accounts = {Template(account).substitute(given) for account in used}
        subjects = {f"system:serviceaccount:{name}:{account}" for account in accounts}
        assert subjects == {value for key, value in trust["Condition"]["StringLike"].items() if key.endswith(":sub")}

    def test_the_database_role_that_they_sign_in_as_is_the_one_the_pods_may(self, platform):
        user = platform.outputs["manifest_values"]["DATABASE_USER"]
        statements = json.loads(platform["iam_role_policy.service"]["policy"])["Statement"]
        (sign_in,) = (each for each in statements if each["Action"] == "rds-db:connect")
        assert sign_in["Resource"].endswith(f":dbuser:*/{user}")
        assert user == platform.variables["service"].replace("-", "_")

    def test_the_groups_that_they_give_rights_to_are_those_of_the_workflows(self, platform):
        groups = {
            subject["name"]
            for binding in manifests("RoleBinding")
            for subject in binding["subjects"]
            if subject["kind"] == "Group"
        }
        assert groups
        assert groups <= set(platform["eks_access_entry.operator"]["kubernetes_groups"])

    def test_pods_listen_where_the_load_balancer_asks(self, platform):
        (port,) = {p["containerPort"] for c in containers() for p in c["ports"] if p["name"] == "http"}
        (path,) = {c["readinessProbe"]["httpGet"]["path"] for c in containers()}
        for group in platform.of("lb_target_group"):
            assert (group["port"], group["health_check"][0]["path"]) == (port, path)
        assert platform["vpc_security_group_ingress_rule.nodes_from_alb"]["from_port"] == port

    def test_what_they_leave_open_is_filled_in_by_terraform(self, platform):
        text = "\n".join(path.read_text() for path in (ROOT / "kubernetes").rglob("*.yaml"))
        code = "\n".join(line.partition("#")[0] for line in text.splitlines())
        left_open = set(re.findall(r"\$\{(\w+)\}", code)) - {"IMAGE"}
        assert {"TARGET_GROUP_BLUE_ARN", "TARGET_GROUP_GREEN_ARN"} <= left_open
        assert left_open <= set(platform.outputs["manifest_values"])

    def test_pods_leave_only_after_the_load_balancer_has_let_go_of_them(self, platform):
        for deployment in manifests("Deployment"):
            pod = deployment["spec"]["template"]["spec"]
            (container,) = pod["containers"]
            stop = container["lifecycle"]["preStop"]["sleep"]["seconds"]
            assert pod["terminationGracePeriodSeconds"] > stop
        delays = {int(group["deregistration_delay"]) for group in platform.of("lb_target_group")}
        assert max(delays) <= template()["Parameters"]["DrainSeconds"]["Default"]

    def test_both_colours_fit_on_the_nodes(self, platform):
        """A release runs twice the pods; the smallest node of the group has two CPUs."""
        overlay = (ROOT / f"kubernetes/overlays/{platform.environment}/kustomization.yaml").read_text()
        replicas = max([int(n) for n in re.findall(r"replicas: (\d+)", overlay)] or [2])
        (cpu,) = re.findall(r'cpu: "?(\w+)"?', overlay) or ["250m"]
        cores = int(cpu.removesuffix("m")) / 1000 if cpu.endswith("m") else float(cpu)
        nodes = sum(group["scaling_config"][0]["max_size"] for group in platform.of("eks_node_group", "on_demand"))
        assert 2 * replicas * cores <= nodes * 2


@needs_no_network
class TestBlueGreen:
    def test_the_live_listener_forwards_to_exactly_the_two_colours_and_starts_with_blue(self, platform):
        live = self._live(platform)
        (action,) = live["default_action"]
        (forward,) = action["forward"]
        weights = {group["arn"]: group["weight"] for group in forward["target_group"]}
        colours = {group.index: group["arn"] for group in platform.of("lb_target_group")}
        assert weights == {colours["blue"]: 100, colours["green"]: 0}
        assert forward["stickiness"][0]["enabled"] is False

    def test_a_header_reaches_either_colour_whatever_the_weights_are(self, platform):
        live = self._live(platform)
        header = platform['ssm_parameter.contract["test_header"]']["value"]
        rules = {}
        for rule in platform.of("lb_listener_rule", "test"):
            assert rule["listener_arn"] == live["arn"]
            (condition,) = rule["condition"]
            assert condition["http_header"][0]["http_header_name"] == header
            (colour,) = listed(condition["http_header"][0]["values"])
            rules[colour] = rule["action"][0]["target_group_arn"]
        assert rules == {group.index: group["arn"] for group in platform.of("lb_target_group")}
        assert len({rule["priority"] for rule in platform.of("lb_listener_rule")}) == 2

    def test_no_client_sticks_to_a_colour(self, platform):
        for group in platform.of("lb_target_group"):
            assert group["stickiness"][0]["enabled"] is False

    def test_target_groups_are_named_as_the_load_balancers_api_allows(self, platform):
        for group in platform.of("lb_target_group"):
            assert group["name"] == f"detection-api-{platform.environment}-{group.index}"
            assert len(group["name"]) <= 32

    @staticmethod
    def _live(platform):
        arn = platform['ssm_parameter.contract["listener_arn"]']["value"]
        (live,) = [listener for listener in platform.of("lb_listener") if listener["arn"] == arn]
        return live


@needs_no_network
class TestRollback:
    def test_the_alarms_that_roll_back_are_in_time(self, platform):
        named = platform['ssm_parameter.contract["release_alarms"]']["value"].split(",")
        quick = {alarm["alarm_name"]: alarm["period"] for alarm in platform.of("cloudwatch_metric_alarm", "release")}
        assert set(quick) <= set(named)
        assert set(quick.values()) == {60}

    def test_unhealthy_new_pods_do_not_stop_the_release_that_starts_them(self, platform):
        named = platform['ssm_parameter.contract["release_alarms"]']["value"].split(",")
        assert not [name for name in named if "unhealthy-hosts" in name]


@needs_no_network
class TestEnvironments:
    @pytest.mark.parametrize("environment", tf.ENVIRONMENTS)
    def test_its_variables_say_which_it_is(self, platform_of, environment):
        assert platform_of(environment).variables["environment"] == environment

    def test_every_environment_has_variables_a_backend_manifests_and_a_deployment(self):
        def names(pattern, of=lambda path: path.stem):
            return {of(path) for path in ROOT.glob(pattern)}

        expected = set(tf.ENVIRONMENTS)
        assert names("terraform/environments/*.tfvars") == expected
        assert names("terraform/environments/*.tfbackend") == expected
        assert names("kubernetes/overlays/*/kustomization.yaml", lambda path: path.parent.name) == expected
        assert set(re.findall(r"^\[(\w+)\.deploy", (ROOT / "samconfig.toml").read_text(), re.MULTILINE)) == expected

    def test_production_is_more_available_than_the_others_and_dev_is_cheapest(self, dev, staging, prod):
        def size(platform):
            return (
                len(platform.of("db_instance")) + platform["db_instance.main"]["multi_az"],
                platform["elasticache_replication_group.main"]["num_cache_clusters"],
                sum(g["scaling_config"][0]["min_size"] for g in platform.of("eks_node_group")),
                len(platform.of("nat_gateway")),
            )

        for smaller, larger in ((dev, staging), (staging, prod)):
            assert all(a <= b for a, b in zip(size(smaller), size(larger), strict=True))
            assert size(smaller) != size(larger)

    def test_only_dev_leaves_anything_out(self, dev, staging, prod):
        for platform in (staging, prod):
            assert platform.variables["https"] is True
            assert platform.variables["cache_encryption"] is True
            assert platform.variables["detailed_monitoring"] is True
            assert platform.variables["nat_gateway_per_zone"] is True
        assert dev.variables["https"] is False
        assert dev.variables["cache_encryption"] is True

    def test_logs_of_platform_and_automation_are_kept_equally_long(self, platform):
        text = (ROOT / "samconfig.toml").read_text().partition(f"[{platform.environment}.deploy")[2]
        days = int(re.search(r"LogRetentionDays=(\d+)", text)[1])
        assert platform.variables["log_retention_days"] == days


@needs_no_network
def test_from_an_empty_account_to_a_deployed_automation(platform):
    """What the automation's deployment is told, by the names of parameters, is what Terraform writes."""
    text = (ROOT / "samconfig.toml").read_text().partition(f"[{platform.environment}.deploy")[2].partition("\n[")[0]
    asked = set(re.findall(r"=(/[\w/-]+)\"", text))
    assert asked
    assert asked <= {parameter["name"] for parameter in platform.of("ssm_parameter", "contract")}
