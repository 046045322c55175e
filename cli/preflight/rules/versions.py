"""Whether AWS still supports a version, and for how long."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cli.preflight.finding import Finding, failed, passed, unknown

# What is nearer than this is to be planned now.
SOON_DAYS = 90


@dataclass(frozen=True, slots=True)
class Support:
    """Until when a version is supported: at the usual price, and at that of extended support.

    `source`: who says so.
    """

    standard_until: datetime | None
    extended_until: datetime | None
    source: str


def judge_support(what: str, support: Support, now: datetime, upgrade: str) -> Finding:
    """`what` is a product with its version; `upgrade` says how to get to a newer one.

    Extended support is support: it passes, with what it costs. Its end is not waited for.
    """
    standard, extended = support.standard_until, support.extended_until
    facts = {"standard_until": standard, "extended_until": extended, "source": support.source}
    last = extended or standard
    if last is None:
        return passed(f"{what}: supported, no end is announced ({support.source})", **facts)
    if last <= now:
        return failed(f"{what}: its support ended {last:%Y-%m-%d} ({support.source})", f"{upgrade} now", **facts)
    days = (last - now).days
    if standard is not None and standard <= now:
        if days < SOON_DAYS:
            return failed(
                f"{what}: extended support ends {last:%Y-%m-%d}, in {days} days, and AWS upgrades by itself then",
                f"{upgrade} before",
                **facts,
            )
        reason = f"{what}: in extended support, at extra cost, until {last:%Y-%m-%d} ({support.source})"
        return passed(reason, f"{upgrade}: standard support ended {standard:%Y-%m-%d}", **facts)
    end = standard or last
    soon = f"{upgrade} before {end:%Y-%m-%d}" if (end - now).days < SOON_DAYS else None
    return passed(f"{what}: in standard support until {end:%Y-%m-%d} ({support.source})", soon, **facts)


def kubernetes_support(versions: Sequence[Mapping[str, Any]], version: str) -> Support | None:
    """Of EKS's DescribeClusterVersions; None if it does not list the version."""
    source = "eks:DescribeClusterVersions"
    for one in versions:
        if one.get("clusterVersion") == version:
            return Support(one.get("endOfStandardSupportDate"), one.get("endOfExtendedSupportDate"), source)
    return None


def database_support(majors: Sequence[Mapping[str, Any]], version: str) -> Support | None:
    """Of RDS's DescribeDBMajorEngineVersions; None if it does not list the major version, or no lifecycle of it."""
    major = version.partition(".")[0]
    for one in majors:
        if one.get("MajorEngineVersion") == major and one.get("SupportedEngineLifecycles"):
            ends = {cycle["LifecycleSupportName"]: cycle for cycle in one["SupportedEngineLifecycles"]}
            standard = ends.get("open-source-rds-standard-support", {}).get("LifecycleSupportEndDate")
            extended = ends.get("open-source-rds-extended-support", {}).get("LifecycleSupportEndDate")
            return Support(standard, extended, "rds:DescribeDBMajorEngineVersions")
    return None


CACHE_DOCUMENT = "https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/engine-versions.html, read 2026-11-23"
# ElastiCache's API lists versions without an end. Majors of Redis OSS with an announced one:
_CACHE_ENDS = {
    "4": (datetime(2026, 1, 31, tzinfo=UTC), datetime(2029, 1, 31, tzinfo=UTC)),
    "5": (datetime(2026, 1, 31, tzinfo=UTC), datetime(2029, 1, 31, tzinfo=UTC)),
    "6": (datetime(2027, 1, 31, tzinfo=UTC), datetime(2030, 1, 31, tzinfo=UTC)),
}


def cache_support(offered: Sequence[Mapping[str, Any]], engine: str, version: str) -> Support | None:
    """Of ElastiCache's DescribeCacheEngineVersions, with the documented ends; None if the version is not offered."""
    wanted = version.split(".")[:2]
    listed = any(
        one.get("Engine") == engine and str(one.get("EngineVersion", "")).split(".")[:2] == wanted for one in offered
    )
    ends = _CACHE_ENDS.get(version.partition(".")[0]) if engine == "redis" else None
    if ends is not None:
        return Support(*ends, CACHE_DOCUMENT)
    return Support(None, None, "elasticache:DescribeCacheEngineVersions") if listed else None


def not_listed(what: str, source: str, upgrade: str) -> Finding:
    """AWS's answer has it not: it cannot be created any more, or never could."""
    return failed(f"{what}: {source} does not list it", f"{upgrade}: what cannot be created cannot be restored either")


def no_lifecycle(what: str) -> Finding:
    """The version is offered, and nothing is said about its end."""
    return unknown(f"{what}: offered, but RDS says nothing about its end", "see the release calendar of RDS")
