"""CloudWatch metrics of engines: read and sent once in each metric period."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import boto3
from botocore.config import Config as ClientConfig
from botocore.exceptions import BotoCoreError, ClientError

log = logging.getLogger(__name__)
Reading = TypeVar("Reading")
# PutMetricData takes up to 1,000:
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html
_DATA_PER_CALL = 1000


class Publisher(Generic[Reading]):
    """Reads and sends from a thread of its own, started once there is something to read."""

    def __init__(
        self,
        namespace: str,
        readings: Callable[[], Mapping[str, Reading]],
        values: Callable[[Reading | None, Reading, int], Mapping[str, tuple[float, str]]],
        *,
        dimension: str,
        endpoint_url: str,
        region: str,
        period: int,
    ) -> None:
        """`readings` gives what is read of everything that answers, by the value of its `dimension`.

        `values` turns the reading of the period before (None for what is new) and that of now into the metrics'
        values and units.
        """
        self._namespace = namespace
        self._readings = readings
        self._values = values
        self._dimension = dimension
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
                threading.Thread(target=self._run, name=f"metrics of {self._namespace}", daemon=True).start()

    def data(self, before: Mapping[str, Reading], seen: Mapping[str, Reading], at: datetime) -> list[dict[str, Any]]:
        """The data of the period that ended at `at`."""
        return [
            {
                "MetricName": metric,
                "Dimensions": [{"Name": self._dimension, "Value": name}],
                "Timestamp": at,
                "Value": value,
                "Unit": unit,
                "StorageResolution": 1,
            }
            for name, reading in seen.items()
            for metric, (value, unit) in self._values(before.get(name), reading, self._period).items()
        ]

    def _run(self) -> None:
        client: Any = boto3.client(
            "cloudwatch",
            endpoint_url=self._endpoint_url,
            region_name=self._region,
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106 - the sandbox's administrator
            config=ClientConfig(connect_timeout=1, read_timeout=5, retries={"total_max_attempts": 1}, proxies={}),
        )
        before: Mapping[str, Reading] = {}
        away = False
        while True:
            now = time.time()
            begun = now - now % self._period
            time.sleep(begun + self._period - now)
            try:
                seen = self._readings()
            except Exception:
                log.exception("%s could not be read", self._namespace)
                continue
            data = self.data(before, seen, datetime.fromtimestamp(begun, UTC))
            before = seen
            try:
                for first in range(0, len(data), _DATA_PER_CALL):
                    part = data[first : first + _DATA_PER_CALL]
                    client.put_metric_data(Namespace=self._namespace, MetricData=part)
                away = False
            except (BotoCoreError, ClientError) as error:
                if not away:
                    log.warning("a period's metrics were not published: %s", error)
                away = True


def since(before: float | None, now: float) -> float:
    """How much a counter grew; one that began again at zero, and so went back, is taken as it is."""
    return now - before if before is not None and now >= before else now


def share_of_processors(seconds: float, elapsed: float, processors: float = 1.0) -> float:
    """Processor time as a percentage of what so many processors have."""
    return min(100.0, 100 * max(0.0, seconds) / max(elapsed * processors, 0.001))
