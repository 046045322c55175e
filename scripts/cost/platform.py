"""A month of the platform, from the resources that are planned."""

from collections.abc import Callable, Iterator

from scripts.cost.prices import Line, Prices
from tests.infrastructure.platform import Platform, Resource

Pricing = Callable[[Resource, Platform, Prices], Iterator[Line]]


def lines_of(platform: Platform, prices: Prices) -> list[Line]:
    """All lines; raises KeyError for a type that is neither priced here nor free by the price file."""
    found: list[Line] = []
    for resource in platform.resources.values():
        if resource.kind not in prices.data["free"]:
            found += PRICED[resource.kind](resource, platform, prices)
    return found + list(_not_planned(platform, prices))


def _cluster(_: Resource, __: Platform, prices: Prices) -> Iterator[Line]:
    yield prices.line("EKS", "control plane", prices.hours, "eks.cluster")


def _nodes(group: Resource, platform: Platform, prices: Prices) -> Iterator[Line]:
    count = float(group["scaling_config"][0]["desired_size"])
    template = platform["launch_template.nodes"]
    spot = group["capacity_type"] == "SPOT"
    kind = group["instance_types"][0]
    share = prices.assumption("spot_share") if spot else 1.0
    what = f"{kind} {'spot' if spot else 'on demand'}"
    yield prices.line("Nodes (EC2)", what, count * prices.hours, f"ec2.{kind}", share=share)
    disk = float(template["block_device_mappings"][0]["ebs"][0]["volume_size"])
    yield prices.line("Nodes (EC2)", "volumes", count * disk, "ebs.gp3")
    if template["monitoring"][0]["enabled"]:
        metrics = count * prices.assumption("metrics_per_node")
        yield prices.line("CloudWatch", "detailed monitoring of nodes", metrics, "ec2.detailed_monitoring")
    values = count * prices.assumption("observations_per_node") * 60 * prices.hours
    yield prices.line("CloudWatch", "Container Insights", values, "cloudwatch.observation")


def _nat(_: Resource, __: Platform, prices: Prices) -> Iterator[Line]:
    yield prices.line("NAT gateways", "gateways", prices.hours, "nat.gateway")


def _address(_: Resource, __: Platform, prices: Prices) -> Iterator[Line]:
    yield prices.line("NAT gateways", "public addresses", prices.hours, "vpc.public_ipv4")


def _balancer(balancer: Resource, platform: Platform, prices: Prices) -> Iterator[Line]:
    yield prices.line("Load balancer", "balancer", prices.hours, "alb.hour")
    lcus = prices.assumption("lcus", platform.environment)
    yield prices.line("Load balancer", "capacity units", lcus * prices.hours, "alb.lcu")
    zones = len(balancer["subnets"])
    yield prices.line("Load balancer", "public addresses", zones * prices.hours, "vpc.public_ipv4")


def _database(instance: Resource, platform: Platform, prices: Prices) -> Iterator[Line]:
    # A replica has the storage of its source, which it does not say itself.
    standby = 2 if instance["multi_az"] else 1
    replica = instance.name == "replica"
    what = "replica" if replica else "instance and standby" if standby == 2 else "instance"
    source = platform["db_instance.main"] if replica else instance
    yield prices.line("Database (RDS)", what, standby * prices.hours, f"rds.{instance['instance_class']}")
    stored = standby * float(source["allocated_storage"])
    yield prices.line("Database (RDS)", "storage", stored, "rds.gp3")
    if not replica:
        backups = prices.assumption("database_backup_gb", platform.environment)
        free = float(instance["allocated_storage"])
        yield prices.line("Database (RDS)", "backups beyond what is free", max(0.0, backups - free), "rds.backup")
        if instance["manage_master_user_password"]:
            yield prices.line("Database (RDS)", "administrator's secret", 1, "secrets.secret")
    if instance["monitoring_interval"]:
        yield prices.line("CloudWatch", "enhanced monitoring", prices.assumption("monitoring_gb"), "logs.ingested")


def _cache(group: Resource, platform: Platform, prices: Prices) -> Iterator[Line]:
    nodes = float(group["num_cache_clusters"])
    yield prices.line("Cache (ElastiCache)", "nodes", nodes * prices.hours, f"elasticache.{group['node_type']}")
    backups = prices.assumption("cache_backup_gb", platform.environment)
    yield prices.line("Cache (ElastiCache)", "backups", backups, "elasticache.backup")


def _key(_: Resource, __: Platform, prices: Prices) -> Iterator[Line]:
    yield prices.line("Keys (KMS)", "keys", prices.assumption("key_versions"), "kms.key")


def _alarm(alarm: Resource, _: Platform, prices: Prices) -> Iterator[Line]:
    # An alarm over several metrics is as many as it reads; the expression itself is none.
    metrics = sum(1 for query in alarm["metric_query"] if query["metric"]) or 1
    yield prices.line("CloudWatch", "alarms", metrics, "cloudwatch.alarm")


def _dashboard(_: Resource, __: Platform, prices: Prices) -> Iterator[Line]:
    yield prices.line("CloudWatch", "dashboard", 1, "cloudwatch.dashboard")


def _log_group(group: Resource, platform: Platform, prices: Prices) -> Iterator[Line]:
    # What is assumed for a prefix is that of all its groups together.
    prefix = f"/{'/'.join(group['name'].split('/')[1:3])}/"
    together = [g for g in platform.of("cloudwatch_log_group") if g["name"].startswith(prefix)]
    written = prices.log_gb(group["name"], platform.environment) / len(together)
    yield from _logs("logs", written, float(group["retention_in_days"]), prices)


def _logs(what: str, written: float, days: float, prices: Prices) -> Iterator[Line]:
    yield prices.line("CloudWatch", f"{what}, written", written, "logs.ingested")
    yield prices.line("CloudWatch", f"{what}, kept", written * days * 24 / prices.hours, "logs.stored")


def _file_system(_: Resource, platform: Platform, prices: Prices) -> Iterator[Line]:
    moved = prices.assumption("queue_traffic_gb", platform.environment)
    stored = prices.assumption("queue_gb", platform.environment)
    yield prices.line("Write queue (EFS)", "storage", stored, "efs.storage")
    yield prices.line("Write queue (EFS)", "written", moved, "efs.write")
    yield prices.line("Write queue (EFS)", "read", moved, "efs.read")


def _bucket(_: Resource, platform: Platform, prices: Prices) -> Iterator[Line]:
    # What is assumed is that of all buckets together.
    share, environment = 1 / len(platform.of("s3_bucket")), platform.environment
    yield prices.line("Buckets (S3)", "storage", share * prices.assumption("bucket_gb", environment), "s3.storage")
    archived = share * prices.assumption("bucket_archive_gb", environment)
    yield prices.line("Buckets (S3)", "archive", archived, "s3.archive")
    yield prices.line("Buckets (S3)", "writes", share * prices.assumption("bucket_writes", environment), "s3.write")


def _not_planned(platform: Platform, prices: Prices) -> Iterator[Line]:
    """What no resource is the cause of alone."""
    environment = platform.environment
    yield prices.line("NAT gateways", "data", prices.assumption("nat_gb", environment), "nat.data")
    yield prices.line("Keys (KMS)", "calls", prices.assumption("kms_requests", environment), "kms.request")
    moved = prices.assumption("zones_gb", environment)
    yield prices.line("Data transfer", "between zones", moved, "transfer.zones")
    yield prices.line("Data transfer", "out", prices.assumption("internet_gb", environment), "transfer.internet")
    events = prices.assumption("data_events", environment)
    yield prices.line("Trail (CloudTrail)", "data events", events, "cloudtrail.data_event")


PRICED: dict[str, Pricing] = {
    "aws_cloudwatch_dashboard": _dashboard,
    "aws_cloudwatch_log_group": _log_group,
    "aws_cloudwatch_metric_alarm": _alarm,
    "aws_db_instance": _database,
    "aws_efs_file_system": _file_system,
    "aws_eip": _address,
    "aws_eks_cluster": _cluster,
    "aws_eks_node_group": _nodes,
    "aws_elasticache_replication_group": _cache,
    "aws_kms_key": _key,
    "aws_lb": _balancer,
    "aws_nat_gateway": _nat,
    "aws_s3_bucket": _bucket,
}
