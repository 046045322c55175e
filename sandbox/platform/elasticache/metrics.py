"""The CloudWatch metrics of a node.

Names and meanings: https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/CacheMetrics.Redis.html and
…/CacheMetrics.HostLevel.html
"""

from collections.abc import Mapping

from sandbox.platform.metrics import share_of_processors, since
from sandbox.redis.server import Statistics

NAMESPACE = "AWS/ElastiCache"
DIMENSION = "CacheClusterId"


def values(before: Statistics | None, seen: Statistics, period: int) -> Mapping[str, tuple[float, str]]:
    """Values and units of one node's metrics; counts are differences to the reading `before`.

    CPUUtilization is the host's, so it has what Redis does beside its main thread.
    """

    def grown(name: str) -> float:
        return float(since(getattr(before, name) if before is not None else None, getattr(seen, name)))

    elapsed = seen.at - before.at if before is not None else float(period)
    found = {
        "Evictions": (grown("evicted"), "Count"),
        "CacheHits": (grown("hits"), "Count"),
        "CacheMisses": (grown("misses"), "Count"),
        "CPUUtilization": (share_of_processors(grown("host_cpu_seconds"), elapsed), "Percent"),
        "EngineCPUUtilization": (share_of_processors(grown("cpu_seconds"), elapsed), "Percent"),
        "CurrConnections": (float(seen.connections), "Count"),
        "CurrItems": (float(seen.items), "Count"),
        "BytesUsedForCache": (float(seen.used_memory), "Bytes"),
        "DatabaseMemoryUsagePercentage": (100 * seen.used_memory / seen.maxmemory, "Percent"),
    }
    if seen.replication_lag_seconds is not None:
        found["ReplicationLag"] = (seen.replication_lag_seconds, "Seconds")
    return found
