"""What each environment's plan holds: network, cluster, database, cache, load balancer, monitoring, scaling."""

import ipaddress
import json

import pytest

from sandbox.provision.cluster import KUBERNETES_GROUPS

DATABASE = {
    "dev": ("db.t4g.small", 50, False, 7, 0),
    "staging": ("db.t4g.medium", 100, True, 14, 0),
    "prod": ("db.t4g.large", 500, True, 30, 1),
}

CACHE = {"dev": ("cache.t4g.micro", 1), "staging": ("cache.t4g.small", 2), "prod": ("cache.t4g.medium", 3)}

# The specification's eight; the load balancer's hosts have one alarm for each colour, the cache's one for all nodes.
ALARMS = {
    "eks-cpu": ("node_cpu_utilization", "Average", "GreaterThanThreshold", 80),
    "eks-memory": ("node_memory_utilization", "Average", "GreaterThanThreshold", 85),
    "database-cpu": ("CPUUtilization", "Average", "GreaterThanThreshold", 70),
    "database-connections": ("DatabaseConnections", "Average", "GreaterThanThreshold", 150),
    "alb-response-time": ("TargetResponseTime", "Average", "GreaterThanThreshold", 1),
    "alb-unhealthy-hosts-blue": ("UnHealthyHostCount", "Average", "GreaterThanOrEqualToThreshold", 1),
    "alb-unhealthy-hosts-green": ("UnHealthyHostCount", "Average", "GreaterThanOrEqualToThreshold", 1),
}
CACHE_ALARMS = {
    "cache-evictions": ("Evictions", "Sum", "SUM(METRICS())", 100),
    "cache-cpu": ("CPUUtilization", "Average", "MAX(METRICS())", 75),
}

SCALING = {
    "dev": {"on_demand": (["t3.medium"], 2, 5)},
    "staging": {"on_demand": (["t3.medium", "t3a.medium"], 2, 10)},
    "prod": {
        "on_demand": (["t3.large", "t3a.large"], 3, 10),
        "spot": (["t3.large", "t3a.large", "m5.large", "m5a.large"], 1, 10),
    },
}

LOG_TYPES = {"api", "audit", "authenticator", "controllerManager", "scheduler"}


def parameters(group):
    return {parameter["name"]: parameter["value"] for parameter in group["parameter"]}


class TestNetwork:
    def test_the_vpc_has_three_public_and_three_private_subnets_in_three_zones(self, platform):
        network = ipaddress.ip_network(platform["vpc.main"]["cidr_block"])
        assert str(network) == "10.0.0.0/16"
        expected = {"public": (101, 102, 103), "private": (1, 2, 3)}
        for name, thirds in expected.items():
            subnets = platform.of("subnet", name)
            assert {s["cidr_block"] for s in subnets} == {f"10.0.{third}.0/24" for third in thirds}
            assert len({s["availability_zone"] for s in subnets}) == 3

    def test_no_subnet_gives_its_instances_public_addresses(self, platform):
        assert not any(subnet["map_public_ip_on_launch"] for subnet in platform.of("subnet"))

    def test_only_public_subnets_have_a_route_to_the_internet_gateway(self, platform):
        public = {a["subnet_id"] for a in platform.of("route_table_association", "public")}
        assert public == {subnet["id"] for subnet in platform.of("subnet", "public")}
        assert platform["route.internet"]["route_table_id"] == platform["route_table.public"]["id"]
        assert all(route["gateway_id"] is None for route in platform.of("route", "nat"))

    @pytest.mark.parametrize(("environment", "gateways"), [("dev", 1), ("staging", 3), ("prod", 3)])
    def test_private_subnets_go_out_through_their_own_zones_nat_gateway(self, platform_of, environment, gateways):
        platform = platform_of(environment)
        subnet_of = {gateway["id"]: gateway["subnet_id"] for gateway in platform.of("nat_gateway")}
        zone_of = {subnet["id"]: subnet["availability_zone"] for subnet in platform.of("subnet")}
        assert len(subnet_of) == gateways
        assert {zone_of[s] for s in subnet_of.values()} <= set(zone_of.values())
        tables = {
            a["route_table_id"]: zone_of[a["subnet_id"]] for a in platform.of("route_table_association", "private")
        }
        for route in platform.of("route", "nat"):
            assert route["destination_cidr_block"] == "0.0.0.0/0"
            if gateways == 3:
                assert zone_of[subnet_of[route["nat_gateway_id"]]] == tables[route["route_table_id"]]

    def test_network_acls_let_in_answers_and_web_requests_and_nothing_else_from_outside(self, platform):
        def from_outside(acl):
            rules = [r for r in platform.of("network_acl_rule") if r["network_acl_id"] == acl["id"] and not r["egress"]]
            return {(r["from_port"], r["to_port"]) for r in rules if r["cidr_block"] == "0.0.0.0/0"}

        assert from_outside(platform["network_acl.public"]) == {(80, 80), (443, 443), (1024, 65535)}
        assert from_outside(platform["network_acl.private"]) == {(1024, 65535)}
        for name in ("public", "private"):
            subnets = {subnet["id"] for subnet in platform.of("subnet", name)}
            assert set(platform[f"network_acl.{name}"]["subnet_ids"]) == subnets

    def test_all_traffic_is_in_the_flow_logs(self, platform):
        log = platform["flow_log.main"]
        assert (log["vpc_id"], log["traffic_type"]) == (platform["vpc.main"]["id"], "ALL")
        assert log["log_destination"] == platform["cloudwatch_log_group.flow"]["arn"]


class TestCluster:
    def test_the_version_is_in_standard_support(self, platform):
        cluster = platform["eks_cluster.main"]
        assert tuple(map(int, cluster["version"].split("."))) >= (1, 35)
        assert cluster["upgrade_policy"][0]["support_type"] == "STANDARD"
        assert {group["version"] for group in platform.of("eks_node_group")} == {cluster["version"]}

    def test_it_is_reached_from_within_and_from_named_networks(self, platform):
        (network,) = platform["eks_cluster.main"]["vpc_config"]
        assert network["endpoint_private_access"] is True
        assert network["endpoint_public_access"] is True
        assert network["public_access_cidrs"]
        assert "0.0.0.0/0" not in network["public_access_cidrs"]

    def test_every_log_of_the_control_plane_is_kept(self, platform):
        assert set(platform["eks_cluster.main"]["enabled_cluster_log_types"]) == LOG_TYPES
        assert (
            platform["cloudwatch_log_group.cluster"]["name"] == f"/aws/eks/detection-api-{platform.environment}/cluster"
        )

    def test_its_secrets_are_encrypted_with_our_key(self, platform):
        (encryption,) = platform["eks_cluster.main"]["encryption_config"]
        assert encryption["resources"] == ["secrets"]
        assert encryption["provider"][0]["key_arn"] == platform['kms_key.main["cluster"]']["arn"]

    def test_service_accounts_get_roles_through_its_oidc_provider(self, platform):
        provider = platform["iam_openid_connect_provider.cluster"]
        assert provider["url"] == platform["eks_cluster.main"]["identity"][0]["oidc"][0]["issuer"]
        assert provider["client_id_list"] == ["sts.amazonaws.com"]
        accounts = {
            statement["Condition"]["StringLike"][f"{provider['url'].removeprefix('https://')}:sub"]
            for role, statement in platform.statements("assume_role_policy")
            if statement["Action"] == "sts:AssumeRoleWithWebIdentity"
        }
        assert accounts == {
            "system:serviceaccount:kube-system:aws-node",
            "system:serviceaccount:kube-system:efs-csi-*",
            "system:serviceaccount:amazon-cloudwatch:cloudwatch-agent",
            "system:serviceaccount:kube-system:aws-load-balancer-controller",
            "system:serviceaccount:kube-system:cluster-autoscaler",
            "system:serviceaccount:detection-api:detection-api",
        }

    def test_only_entries_let_anybody_in_and_the_workflows_have_theirs(self, platform):
        (access,) = platform["eks_cluster.main"]["access_config"]
        assert access["authentication_mode"] == "API"
        assert access["bootstrap_cluster_creator_admin_permissions"] is False
        operator = platform["eks_access_entry.operator"]
        assert operator["principal_arn"] == platform["iam_role.operator"]["arn"]
        assert set(operator["kubernetes_groups"]) == set(KUBERNETES_GROUPS)

    def test_it_has_the_add_ons_that_the_manifests_need(self, platform):
        addons = {addon["addon_name"]: addon for addon in platform.of("eks_addon")}
        assert set(addons) == {
            "vpc-cni",
            "kube-proxy",
            "coredns",
            "metrics-server",
            "aws-efs-csi-driver",
            "amazon-cloudwatch-observability",
        }
        assert json.loads(addons["vpc-cni"]["configuration_values"])["enableNetworkPolicy"] == "true"
        for name in ("vpc-cni", "aws-efs-csi-driver", "amazon-cloudwatch-observability"):
            assert addons[name]["service_account_role_arn"].startswith("arn:aws:iam::")

    def test_nodes_have_encrypted_disks_and_keep_their_credentials_from_pods(self, platform):
        template = platform["launch_template.nodes"]
        (disk,) = template["block_device_mappings"]
        assert disk["ebs"][0]["volume_size"] == 50
        assert disk["ebs"][0]["encrypted"] == "true"
        assert disk["ebs"][0]["kms_key_id"] == platform['kms_key.main["cluster"]']["arn"]
        (metadata,) = template["metadata_options"]
        assert (metadata["http_tokens"], metadata["http_put_response_hop_limit"]) == ("required", 1)


class TestDatabase:
    def test_it_is_postgresql_15_in_a_version_that_is_still_created(self, platform):
        database = platform["db_instance.main"]
        major, minor = map(int, database["engine_version"].split("."))
        assert database["engine"] == "postgres"
        assert major == 15
        assert minor >= 13
        assert platform["db_parameter_group.main"]["family"] == "postgres15"

    def test_class_storage_standby_backups_and_replica_are_the_environments(self, platform):
        database = platform["db_instance.main"]
        found = (
            database["instance_class"],
            database["allocated_storage"],
            database["multi_az"],
            database["backup_retention_period"],
            len(platform.of("db_instance", "replica")),
        )
        assert found == DATABASE[platform.environment]

    def test_its_parameters_are_those_of_the_specification(self, platform):
        assert parameters(platform["db_parameter_group.main"]) == {
            "max_connections": "200",
            "log_statement": "all",
            "log_min_duration_statement": "1000",
            "shared_preload_libraries": "pg_stat_statements",
            "rds.force_ssl": "1",
        }

    def test_nobody_needs_a_password_and_the_administrators_is_managed(self, platform):
        database = platform["db_instance.main"]
        assert database["iam_database_authentication_enabled"] is True
        assert database["manage_master_user_password"] is True
        assert database["password"] is None
        assert database["master_user_secret_kms_key_id"]

    def test_it_is_watched_and_its_logs_are_exported(self, platform):
        database = platform["db_instance.main"]
        assert database["monitoring_interval"] == 60
        assert database["monitoring_role_arn"] == platform["iam_role.monitoring"]["arn"]
        assert set(database["enabled_cloudwatch_logs_exports"]) == {"postgresql", "upgrade"}
        groups = {group["name"] for group in platform.of("cloudwatch_log_group", "database")}
        for log in ("postgresql", "upgrade"):
            assert f"/aws/rds/instance/{database['identifier']}/{log}" in groups

    def test_it_cannot_be_lost_by_accident(self, platform):
        database = platform["db_instance.main"]
        assert database["deletion_protection"] is (platform.environment == "prod")
        assert database["skip_final_snapshot"] is False
        assert database["final_snapshot_identifier"]
        assert database["delete_automated_backups"] is False

    def test_its_daily_backup_is_taken_when_the_specification_says_and_not_during_maintenance(self, platform):
        database = platform["db_instance.main"]
        assert database["backup_window"] == "03:00-04:00"
        assert database["maintenance_window"] == "sun:05:30-sun:06:30"

    def test_the_replica_of_production_is_in_another_zone(self, prod):
        (replica,) = prod.of("db_instance", "replica")
        main = prod["db_instance.main"]
        assert replica["replicate_source_db"] == main["identifier"]
        assert replica["availability_zone"] != main["availability_zone"]
        assert replica["deletion_protection"] is True

    def test_it_is_private(self, platform):
        for database in platform.of("db_instance"):
            assert database["publicly_accessible"] is False
        private = {subnet["id"] for subnet in platform.of("subnet", "private")}
        for group in platform.of("db_subnet_group"):
            assert set(group["subnet_ids"]) == private


class TestCache:
    def test_it_is_redis_7_with_the_environments_nodes(self, platform):
        cache = platform["elasticache_replication_group.main"]
        assert (cache["engine"], cache["engine_version"][:2], cache["port"]) == ("redis", "7.", 6379)
        assert (cache["node_type"], cache["num_cache_clusters"]) == CACHE[platform.environment]

    def test_it_fails_over_wherever_there_is_something_to_fail_over_to(self, platform):
        cache = platform["elasticache_replication_group.main"]
        several = platform.environment != "dev"
        assert cache["automatic_failover_enabled"] is several
        assert cache["multi_az_enabled"] is several

    def test_it_is_encrypted_at_rest_and_in_transit_everywhere(self, platform):
        cache = platform["elasticache_replication_group.main"]
        assert str(cache["at_rest_encryption_enabled"]).lower() == "true"
        assert cache["transit_encryption_enabled"] is True
        assert cache["transit_encryption_mode"] == "required"
        assert cache["kms_key_id"] == platform['kms_key.main["cache"]']["arn"]

    def test_its_parameters_are_those_of_the_specification(self, platform):
        assert platform["elasticache_parameter_group.main"]["family"] == "redis7"
        assert parameters(platform["elasticache_parameter_group.main"]) == {
            "maxmemory-policy": "allkeys-lru",
            "tcp-keepalive": "300",
            "notify-keyspace-events": "Ex",
            "slowlog-log-slower-than": "1000",
        }

    def test_its_snapshots_are_kept_for_30_days(self, platform):
        cache = platform["elasticache_replication_group.main"]
        assert cache["snapshot_retention_limit"] == 30
        assert cache["snapshot_window"] == "03:00-05:00"
        assert cache["final_snapshot_identifier"]

    def test_slow_and_engine_logs_are_delivered(self, platform):
        name = f"detection-api-{platform.environment}"
        found = {
            log["log_type"]: log for log in platform["elasticache_replication_group.main"]["log_delivery_configuration"]
        }
        assert set(found) == {"slow-log", "engine-log"}
        for kind, log in found.items():
            assert log["destination_type"] == "cloudwatch-logs"
            assert log["destination"] == f"/aws/elasticache/{name}/{kind}"


class TestLoadBalancer:
    def test_it_faces_the_internet_in_three_zones(self, platform):
        balancer = platform["lb.main"]
        assert (balancer["load_balancer_type"], balancer["internal"]) == ("application", False)
        assert set(balancer["subnets"]) == {subnet["id"] for subnet in platform.of("subnet", "public")}
        assert balancer["idle_timeout"] == 60
        assert balancer["drop_invalid_header_fields"] is True
        assert balancer["enable_deletion_protection"] is (platform.environment == "prod")

    def test_http_is_redirected_where_there_is_https(self, staging, prod):
        for platform in (staging, prod):
            redirect = platform["lb_listener.redirect[0]"]
            assert (redirect["port"], redirect["protocol"]) == (80, "HTTP")
            assert redirect["default_action"][0]["redirect"][0]["status_code"] == "HTTP_301"
            assert redirect["default_action"][0]["redirect"][0]["protocol"] == "HTTPS"
            https = platform["lb_listener.https[0]"]
            assert (https["port"], https["protocol"]) == (443, "HTTPS")
            assert https["ssl_policy"].startswith("ELBSecurityPolicy-TLS13-1-2")
            assert https["certificate_arn"] == platform["acm_certificate.main[0]"]["arn"]
            assert not platform.of("lb_listener", "http")

    def test_dev_serves_http_alone(self, dev):
        assert [(listener["port"], listener["protocol"]) for listener in dev.of("lb_listener")] == [(80, "HTTP")]

    def test_targets_are_checked_as_the_specification_says(self, platform):
        for group in platform.of("lb_target_group"):
            assert (group["target_type"], group["protocol"], group["port"]) == ("ip", "HTTP", 8000)
            assert group["deregistration_delay"] == "30"
            (check,) = group["health_check"]
            assert (check["path"], check["interval"]) == ("/health", 30)
            assert (check["healthy_threshold"], check["unhealthy_threshold"]) == (2, 2)

    def test_access_logs_are_kept_30_days_then_archived_and_deleted_at_90(self, platform):
        (logs,) = platform["lb.main"]["access_logs"]
        assert logs["enabled"] is True
        assert logs["bucket"] == platform['s3_bucket.main["access-logs"]']["bucket"]
        (rule,) = platform['s3_bucket_lifecycle_configuration.main["access-logs"]']["rule"]
        assert [t["days"] for t in rule["transition"]] == [30]
        assert rule["transition"][0]["storage_class"].startswith("GLACIER")
        assert rule["expiration"][0]["days"] == 90


class TestMonitoring:
    def test_each_alarm_watches_its_metric_over_five_minutes_at_its_threshold(self, platform):
        found = {
            alarm.index: (alarm["metric_name"], alarm["statistic"], alarm["comparison_operator"], alarm["threshold"])
            for alarm in platform.of("cloudwatch_metric_alarm", "main")
        }
        assert found == ALARMS
        for alarm in platform.of("cloudwatch_metric_alarm", "main"):
            assert (alarm["period"], alarm["evaluation_periods"]) == (300, 1)

    def test_the_caches_alarms_watch_every_node(self, platform):
        nodes = platform["elasticache_replication_group.main"]["num_cache_clusters"]
        found = {}
        for alarm in platform.of("cloudwatch_metric_alarm", "cache"):
            total, *parts = sorted(alarm["metric_query"], key=lambda query: query["id"] != "all")
            metrics = [part["metric"][0] for part in parts]
            assert [m["dimensions"]["CacheClusterId"] for m in metrics] == [
                f"detection-api-{platform.environment}-{number:03d}" for number in range(1, nodes + 1)
            ]
            assert {m["period"] for m in metrics} == {300}
            (kind,) = {(m["metric_name"], m["stat"]) for m in metrics}
            found[alarm.index] = (*kind, total["expression"], alarm["threshold"])
        assert found == CACHE_ALARMS

    def test_every_alarm_tells_somebody_and_is_about_a_resource(self, platform):
        topic = f"arn:aws:sns:us-east-1:123456789012:detection-api-{platform.environment}-operations"
        alarms = platform.of("cloudwatch_metric_alarm")
        for alarm in alarms:
            assert alarm["alarm_actions"] == [topic]
            assert alarm["alarm_name"] == f"detection-api-{platform.environment}-{alarm.index}"
        about = platform.outputs["alarms"]
        assert set(about) == {alarm["alarm_name"] for alarm in alarms}
        assert set(about.values()) <= {resource.values.get("arn") for resource in platform.resources.values()}

    def test_the_dashboard_has_the_five_widgets(self, platform):
        widgets = json.loads(platform["cloudwatch_dashboard.main"]["dashboard_body"])["widgets"]
        titles = [widget["properties"]["title"] for widget in widgets]
        assert titles == ["Cluster", "Load balancer", "Database", "Cache", "Errors"]
        assert platform["cloudwatch_log_group.application"]["name"] in widgets[-1]["properties"]["query"]
        for widget in widgets[:-1]:
            assert all(len(metric) >= 4 for metric in widget["properties"]["metrics"])

    @pytest.mark.parametrize(("environment", "days"), [("dev", 7), ("staging", 14), ("prod", 30)])
    def test_logs_are_kept_as_long_as_the_environment_says(self, platform_of, environment, days):
        groups = platform_of(environment).of("cloudwatch_log_group")
        assert {group["retention_in_days"] for group in groups} == {days}
        names = {group["name"] for group in groups}
        assert f"/aws/application/detection-api-{environment}" in names
        insights = f"/aws/containerinsights/detection-api-{environment}/"
        kinds = {"application", "dataplane", "host", "performance"}
        assert {name.removeprefix(insights) for name in names if name.startswith(insights)} == kinds

    def test_calls_and_the_objects_of_backups_and_evidence_are_in_the_trail(self, platform):
        trail = platform["cloudtrail.main[0]"]
        assert trail["is_multi_region_trail"] is True
        assert trail["enable_log_file_validation"] is True
        selectors = {
            selector["name"]: {field["field"]: field for field in selector["field_selector"]}
            for selector in trail["advanced_event_selector"]
        }
        assert selectors["Management"]["eventCategory"]["equals"] == ["Management"]
        objects = selectors["Objects of backups and evidence"]["resources.ARN"]["starts_with"]
        name = f"detection-api-{platform.environment}"
        assert set(objects) == {f"arn:aws:s3:::{name}-{bucket}-123456789012/" for bucket in ("backups", "evidence")}


class TestScaling:
    def test_node_groups_grow_as_far_as_the_environment_says(self, platform):
        found = {
            group.name: (
                group["instance_types"],
                group["scaling_config"][0]["min_size"],
                group["scaling_config"][0]["max_size"],
            )
            for group in platform.of("eks_node_group")
        }
        assert found == SCALING[platform.environment]

    def test_spot_nodes_take_only_what_tolerates_them(self, prod):
        (spot,) = prod.of("eks_node_group", "spot")
        assert spot["capacity_type"] == "SPOT"
        (taint,) = spot["taint"]
        assert (taint["key"], taint["value"], taint["effect"]) == ("lifecycle", "spot", "NO_SCHEDULE")
        (on_demand,) = prod.of("eks_node_group", "on_demand")
        assert on_demand["capacity_type"] == "ON_DEMAND"
        assert not on_demand["taint"]

    def test_nodes_are_spread_over_all_zones(self, platform):
        private = {subnet["id"] for subnet in platform.of("subnet", "private")}
        for group in platform.of("eks_node_group"):
            assert set(group["subnet_ids"]) == private

    def test_the_databases_storage_grows_to_twice_its_size(self, platform):
        database = platform["db_instance.main"]
        assert database["max_allocated_storage"] == 2 * database["allocated_storage"]


def test_everything_that_can_carry_tags_says_whose_it_is(platform):
    tagged = [r for r in platform.resources.values() if "tags_all" in r.values]
    assert len(tagged) > 80
    for resource in tagged:
        tags = resource["tags_all"]
        assert (tags["Service"], tags["Environment"]) == ("detection-api", platform.environment), resource.address
        assert tags["ManagedBy"] == "terraform", resource.address


def test_applied_once_there_is_nothing_left_to_change(terraform, configuration):
    """What is planned can be made in one go, and the configuration is then what there is."""
    terraform.plan(configuration, "prod")
    terraform.run(configuration, "apply", "-input=false", "-parallelism=32", "prod.tfplan")
    text = terraform.run(
        configuration, "plan", "-input=false", "-detailed-exitcode", "-var-file=environments/prod.tfvars"
    )
    assert "No changes" in text
