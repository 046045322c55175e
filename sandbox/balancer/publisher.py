"""Publishes the balancer's metrics to CloudWatch, from a thread of its own."""

import asyncio
import logging
import queue
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config as ClientConfig
from botocore.exceptions import BotoCoreError, ClientError

from sandbox.balancer.measurements import metric_data
from sandbox.balancer.state import Table

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch.type_defs import MetricDatumTypeDef

log = logging.getLogger(__name__)

NAMESPACE = "AWS/ApplicationELB"
MAX_BACKLOG = 120
"""Periods kept while CloudWatch cannot be reached; the oldest go first."""


class Publisher:
    """Takes one period's numbers in the event loop and sends them with one PutMetricData from its thread."""

    def __init__(self, table: Table, *, endpoint_url: str, region: str, period: int) -> None:
        self._table = table
        self._period = period
        self._backlog: queue.Queue[list[MetricDatumTypeDef]] = queue.Queue(MAX_BACKLOG)
        self._endpoint_url = endpoint_url
        self._region = region

    def start(self) -> None:
        """Start the sending thread; it ends with the process."""
        threading.Thread(target=self._send_forever, name="cloudwatch", daemon=True).start()

    async def publish(self) -> None:
        """Hand over each period that has passed, forever. Periods begin on multiples of their length."""
        while True:
            now = datetime.now(UTC).timestamp()
            begun = now - now % self._period
            await asyncio.sleep(begun + self._period - now)
            data = self.collect(datetime.fromtimestamp(begun, UTC))
            if data:
                if self._backlog.full():
                    self._backlog.get_nowait()
                    log.warning("a period's metrics were dropped: CloudWatch has been away for too long")
                self._backlog.put_nowait(data)

    def collect(self, at: datetime) -> "list[MetricDatumTypeDef]":
        """The metrics of the period that began at `at`, and begin the next one."""
        load_balancer = self._table.load_balancer
        if load_balancer is None:
            return []
        data = metric_data(*self._table.tally.drain(), None, {"LoadBalancer": load_balancer}, at)
        for group in self._table.groups.values():
            dimensions = {"TargetGroup": group.full_name, "LoadBalancer": load_balancer}
            data += metric_data(*group.tally.drain(), group.host_counts(), dimensions, at)
        return data

    def _send_forever(self) -> None:
        client = boto3.client(
            "cloudwatch",
            endpoint_url=self._endpoint_url,
            region_name=self._region,
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106 - the sandbox's administrator
            config=ClientConfig(
                connect_timeout=1, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2}
            ),
        )
        away = False
        while True:
            data = self._backlog.get()
            try:
                client.put_metric_data(Namespace=NAMESPACE, MetricData=data)
                away = False
            except (BotoCoreError, ClientError) as error:
                if not away:
                    log.warning("a period's metrics were not published: %s", error)
                away = True
