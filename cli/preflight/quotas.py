"""Quotas: those of the account where AWS tells them, the documented defaults elsewhere."""

from typing import Any

from cli.failures import explain
from cli.preflight.check import Sources
from cli.preflight.finding import Finding
from cli.preflight.rules.quotas import Limit, judge_quota
from cli.preflight.versions import cache, nothing_live
from opskit.adapters.caches import Caches
from opskit.decisions.cache_turn import BACKUPS_PER_NODE, WINDOW

_INCREASE = "ask for more in the Service Quotas console"
# A restore and a drill at the same time, and a run with one by hand.
_COPIES = 2
# A snapshot's Map, a release, the heartbeat and the objectives at the same time. New accounts begin with 10.
_CONCURRENT = 20
_NODES_PER_REGION = 300
_NODES_DOCUMENT = "the default of https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/quota-limits.html"
_BACKUPS_DOCUMENT = "fixed: https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/backups.html#backups-constraints"


def database_snapshots(sources: Sources) -> Finding:
    """Manual DB snapshots of the account and region."""
    return _of_databases(sources, "ManualSnapshots", "manual DB snapshots", "the next backups", "or keep fewer")


def database_instances(sources: Sources) -> Finding:
    """DB instances of the account and region."""
    return _of_databases(sources, "DBInstances", "DB instances", "a restore beside a drill", "or delete what is left")


def cache_nodes(sources: Sources) -> Finding:
    """Nodes of the account and region: a restore takes as many as the live cache has."""
    session = sources.session
    clusters = session.client("elasticache").get_paginator("describe_cache_clusters").paginate()
    used = sum(one.get("NumCacheNodes", 0) for page in clusters for one in page["CacheClusters"])
    live = cache(sources)
    limit = _service_quota(sources, "elasticache", "Nodes per Region", _NODES_PER_REGION, _NODES_DOCUMENT)
    needed = _COPIES * max(1, len(live.nodes) if live else 1)
    advice = f"{_INCREASE} (ElastiCache: Nodes per Region)"
    what = "cache nodes in the region"
    return judge_quota(
        what, used=used, limit=limit, needed=needed, needed_for="a restore beside a drill", advice=advice
    )


def cache_backups(sources: Sources) -> Finding:
    """Manual backups in 24 hours of the node of the live cache that has most of them."""
    session = sources.session
    live = cache(sources)
    if live is None:
        return nothing_live("cache")
    caches = Caches(session.client("elasticache"), session.client("resourcegroupstaggingapi"))
    recent = [
        snapshot
        for snapshot in caches.snapshots_without_tags().values()
        if snapshot.taken_at and snapshot.taken_at > sources.now - WINDOW
    ]
    # One of the whole group is of a node that the answer does not always name, so it counts on each.
    of_group = sum(one.group == live.identifier and one.cluster_id is None for one in recent)
    used = {node.cluster_id: sum(one.cluster_id == node.cluster_id for one in recent) + of_group for node in live.nodes}
    node = min(used, key=lambda name: (used[name], name))
    return judge_quota(
        f"manual backups of {node} in 24 hours, the node of {live.identifier} with the fewest",
        used=used[node],
        limit=Limit(BACKUPS_PER_NODE, _BACKUPS_DOCUMENT),
        needed=1,
        needed_for="the next backup",
        advice="wait until some are a day old, and back up by hand less often",
    )


def functions(sources: Sources) -> Finding:
    """Concurrent executions that no function has reserved."""
    limits = sources.session.client("lambda").get_account_settings()["AccountLimit"]
    whole, free = int(limits["ConcurrentExecutions"]), int(limits["UnreservedConcurrentExecutions"])
    return judge_quota(
        "concurrent executions of functions are reserved",
        used=whole - free,
        limit=Limit(whole, "lambda:GetAccountSettings"),
        needed=_CONCURRENT,
        needed_for="the workflows at the same time",
        advice=f"{_INCREASE} (Lambda: Concurrent executions)",
    )


def _of_databases(sources: Sources, name: str, what: str, needed_for: str, otherwise: str) -> Finding:
    listed = sources.session.client("rds").describe_account_attributes()["AccountQuotas"]
    found = {quota["AccountQuotaName"]: quota for quota in listed}[name]
    return judge_quota(
        what,
        used=found["Used"],
        limit=Limit(found["Max"], "rds:DescribeAccountAttributes"),
        needed=_COPIES,
        needed_for=needed_for,
        advice=f"{_INCREASE} (RDS), {otherwise}",
    )


def _service_quota(sources: Sources, service: str, name: str, default: int, document: str) -> Limit:
    """The account's quota by its name, or the documented default with the reason why it is that."""
    try:
        found = _listed(sources, service, name)
    except Exception as error:
        failure = explain(error, sources.session)
        if failure is None:
            raise
        return Limit(default, document, f"Service Quotas could not be read: {failure.name}")
    if found is None:
        return Limit(default, document, f"Service Quotas has no {name!r} of {service}")
    return Limit(int(found["Value"]), f"servicequotas:ListServiceQuotas, {found['QuotaCode']}")


def _listed(sources: Sources, service: str, name: str) -> Any:
    client = sources.session.client("service-quotas")
    pages = client.get_paginator("list_service_quotas").paginate(ServiceCode=service)
    return next((quota for page in pages for quota in page["Quotas"] if quota["QuotaName"] == name), None)
