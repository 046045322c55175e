"""Which versions AWS offers and supports: what EKS, RDS and ElastiCache answer to that question.

Ends of support lie a year ahead, whenever a sandbox runs: it must not begin to fail on a day of the calendar.
Shapes: ClusterVersionInformation of the EKS API, DBEngineVersion and DBMajorEngineVersion of RDS's, CacheEngineVersion
of ElastiCache's.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.platform.calls import Answer, Call
from sandbox.postgres import binaries

KUBERNETES = ("1.31", "1.32", "1.33", "1.34", "1.35")
CACHES = {"redis": ("6.2", "7.0", "7.1"), "valkey": ("7.2", "8.0")}
_STANDARD, _EXTENDED = timedelta(days=365), timedelta(days=730)


def of_kubernetes(call: Call) -> Answer:
    """DescribeClusterVersions."""
    wanted = call.params.get("clusterVersions") or KUBERNETES
    now = datetime.now(UTC)
    found = [
        {
            "clusterVersion": version,
            "clusterType": "eks",
            "defaultVersion": version == KUBERNETES[-1],
            "endOfStandardSupportDate": now + _STANDARD,
            "endOfExtendedSupportDate": now + _EXTENDED,
            "versionStatus": "STANDARD_SUPPORT",
        }
        for version in KUBERNETES
        if version in wanted
    ]
    return call.answer({"clusterVersions": found})


def of_databases(call: Call) -> Answer:
    """DescribeDBEngineVersions: the one that runs here."""
    version = binaries.version()
    major = version.partition(".")[0]
    wanted = call.params.get("Engine") in (None, "postgres")
    wanted = wanted and call.params.get("EngineVersion") in (None, version, major)
    found = {
        "Engine": "postgres",
        "EngineVersion": version,
        "MajorEngineVersion": major,
        "DBParameterGroupFamily": f"postgres{major}",
        "Status": "available",
    }
    return call.answer({"DBEngineVersions": [found] if wanted else []})


def of_major_databases(call: Call) -> Answer:
    """DescribeDBMajorEngineVersions."""
    major, now = binaries.version().partition(".")[0], datetime.now(UTC)
    wanted = call.params.get("Engine") in (None, "postgres")
    wanted = wanted and call.params.get("MajorEngineVersion") in (None, major)
    lifecycles = [
        {"LifecycleSupportName": name, "LifecycleSupportStartDate": now - _STANDARD, "LifecycleSupportEndDate": end}
        for name, end in (
            ("open-source-rds-standard-support", now + _STANDARD),
            ("open-source-rds-extended-support", now + _EXTENDED),
        )
    ]
    found = {"Engine": "postgres", "MajorEngineVersion": major, "SupportedEngineLifecycles": lifecycles}
    return call.answer({"DBMajorEngineVersions": [found] if wanted else []})


def of_caches(call: Call) -> Mapping[str, Any]:
    """The result of DescribeCacheEngineVersions."""
    asked = call.params.get("EngineVersion")
    return {
        "CacheEngineVersions": [
            {"Engine": engine, "EngineVersion": version}
            for engine, versions in CACHES.items()
            for version in versions
            if call.params.get("Engine") in (None, engine) and asked in (None, version)
        ]
    }
