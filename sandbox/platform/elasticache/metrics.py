"""CloudWatch metrics of every node, and a look after those that died, once in each metric period."""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.config import Config as ClientConfig
from botocore.exceptions import BotoCoreError, ClientError

from sandbox.redis.server import Statistics

log = logging.getLogger(__name__)
NAMESPACE = "AWS/ElastiCache"
Readings = Callable[[], dict[str, Statistics]]


def metric_data(
    cluster_id: str, before: Statistics | None, seen: Statistics, at: datetime, period: int
) -> list[dict[str, Any]]:
    """The data of one node for the period that ended at `at`; counts are differences to the reading `before`.

    A server that was replaced counts from zero again, so a counter that went back is taken as it is.
    """

    def since(name: str) -> float:
        now = getattr(seen, name)
        then = getattr(before, name) if before is not None else 0
        return float(now - then if now >= then else now)

    elapsed = seen.at - before.at if before is not None else float(period)
    values = {
        "Evictions": (since("evicted"), "Count"),
        "CacheHits": (since("hits"), "Count"),
        "CacheMisses": (since("misses"), "Count"),
        "EngineCPUUtilization": (min(100.0, 100 * since("cpu_seconds") / max(elapsed, 0.001)), "Percent"),
        "CurrConnections": (float(seen.connections), "Count"),
        "CurrItems": (float(seen.items), "Count"),
        "BytesUsedForCache": (float(seen.used_memory), "Bytes"),
        "DatabaseMemoryUsagePercentage": (100 * seen.used_memory / seen.maxmemory, "Percent"),
    }
    if seen.replication_lag_seconds is not None:
        values["ReplicationLag"] = (seen.replication_lag_seconds, "Seconds")
    return [
        {
            "MetricName": name,
            "Dimensions": [{"Name": "CacheClusterId", "Value": cluster_id}],
            "Timestamp": at,
            "Value": value,
            "Unit": unit,
            "StorageResolution": 1,
        }
        for name, (value, unit) in values.items()
    ]


class Publisher:
    """Reads and sends from a thread of its own, started once there is something to read."""

    def __init__(self, readings: Readings, *, endpoint_url: str, region: str, period: int) -> None:
        """`readings` gives the statistics of every node that answers, by cluster id."""
        self._readings = readings
        self._endpoint_url = endpoint_url
        self._region = region
        self._period = period
        self._lock = threading.Lock()
        self._started = False

    def start(self) -> None:
        """Start, unless it runs already."""
        with self._lock:
            if not self._started:
                self._started = True
                threading.Thread(target=self._run, name="elasticache metrics", daemon=True).start()

    def _run(self) -> None:
        client: Any = boto3.client(
            "cloudwatch",
            endpoint_url=self._endpoint_url,
            region_name=self._region,
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106 - the sandbox's administrator
            config=ClientConfig(connect_timeout=1, read_timeout=5, retries={"total_max_attempts": 1}, proxies={}),
        )
        before: dict[str, Statistics] = {}
        away = False
        while True:
            now = time.time()
            begun = now - now % self._period
            time.sleep(begun + self._period - now)
            seen = self._readings()
            at = datetime.fromtimestamp(begun, UTC)
            data = [
                datum
                for cluster_id, reading in seen.items()
                for datum in metric_data(cluster_id, before.get(cluster_id), reading, at, self._period)
            ]
            before = seen
            if not data:
                continue
            try:
                client.put_metric_data(Namespace=NAMESPACE, MetricData=data)
                away = False
            except (BotoCoreError, ClientError) as error:
                if not away:
                    log.warning("a period's metrics were not published: %s", error)
                away = True
