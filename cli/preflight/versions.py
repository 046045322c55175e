"""The versions of the cluster, the database and the cache."""

from cli.preflight.check import Sources
from cli.preflight.finding import Finding, failed
from cli.preflight.rules import versions as rules
from opskit.adapters.cache_state import CacheState
from opskit.adapters.caches import Caches
from opskit.adapters.database_state import DatabaseState
from opskit.adapters.databases import Databases
from opskit.adapters.endpoints import CACHE, DATABASE, Endpoints
from opskit.decisions.live import live_cache, live_database


def kubernetes_version(sources: Sources) -> Finding:
    """By EKS's own list."""
    eks = sources.session.client("eks")
    version = eks.describe_cluster(name=sources.platform.cluster_name)["cluster"]["version"]
    what, upgrade = f"Kubernetes {version}", "raise kubernetes_version in tfvars, one minor version at a time"
    pages = eks.get_paginator("describe_cluster_versions").paginate(includeAll=True)
    support = rules.kubernetes_support([one for page in pages for one in page["clusterVersions"]], version)
    if support is None:
        return rules.not_listed(what, "eks:DescribeClusterVersions", upgrade)
    return rules.judge_support(what, support, sources.now, upgrade)


def database_version(sources: Sources) -> Finding:
    """Of the live instance: the minor version must still be offered, the major one still be supported."""
    found = database(sources)
    if found is None:
        return nothing_live("database")
    rds, version = sources.session.client("rds"), found.configuration.engine_version
    what, upgrade = f"PostgreSQL {version}", "raise database_version in tfvars"
    offered = rds.describe_db_engine_versions(Engine="postgres", EngineVersion=version)["DBEngineVersions"]
    if not offered:
        return rules.not_listed(what, "rds:DescribeDBEngineVersions", upgrade)
    major = version.partition(".")[0]
    majors = rds.describe_db_major_engine_versions(Engine="postgres", MajorEngineVersion=major)
    support = rules.database_support(majors["DBMajorEngineVersions"], version)
    if support is None:
        return rules.no_lifecycle(what)
    return rules.judge_support(what, support, sources.now, upgrade)


def cache_version(sources: Sources) -> Finding:
    """Of the live group's nodes."""
    found = cache(sources)
    if found is None:
        return nothing_live("cache")
    client = sources.session.client("elasticache")
    engine, version = found.configuration.engine, found.configuration.engine_version
    what, upgrade = f"{engine} {version}", "move to a newer version, or to Valkey"
    offered = client.describe_cache_engine_versions(Engine=engine)["CacheEngineVersions"]
    support = rules.cache_support(offered, engine, version)
    if support is None:
        return rules.not_listed(what, "elasticache:DescribeCacheEngineVersions", upgrade)
    return rules.judge_support(what, support, sources.now, upgrade)


def database(sources: Sources) -> DatabaseState | None:
    """The instance that the service is told to use."""
    states = Databases(sources.session.client("rds")).instances()
    return live_database(states, _endpoint(sources, DATABASE))


def cache(sources: Sources) -> CacheState | None:
    """The replication group that the service is told to use."""
    session = sources.session
    caches = Caches(session.client("elasticache"), session.client("resourcegroupstaggingapi"))
    return live_cache(caches.groups(), _endpoint(sources, CACHE))


def _endpoint(sources: Sources, kind: str) -> str:
    session = sources.session
    return Endpoints(session.service, session.environment, session.client("ssm")).read(kind).text


def nothing_live(kind: str) -> Finding:
    """The endpoint parameter names what is not there."""
    return failed(
        f"no {kind} has the endpoint that the service is told to use",
        "see ops status; after a disaster, ops restore",
    )
