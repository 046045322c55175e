"""High-resolution data is kept for three hours, and old data is looked for once a minute.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html: data points with a
period of less than 60 seconds are available for 3 hours.

ministack keeps every point for two weeks and walks through all of them on each request to CloudWatch, which a
balancer that publishes every second makes slower and slower.
"""

import time

from ministack.services import cloudwatch

from sandbox.automation.patching import replace

RETENTION_SECONDS = 3 * 60 * 60
INTERVAL_SECONDS = 60.0

_last = time.monotonic()


def evict() -> None:
    """Drop what is older than the retention, if that was last done more than a minute ago."""
    global _last  # noqa: PLW0603 - one store, one clock
    if time.monotonic() - _last < INTERVAL_SECONDS:
        return
    _last = time.monotonic()
    oldest = time.time() - RETENTION_SECONDS
    for key, points in list(cloudwatch._metrics.items()):
        kept = [point for point in points if point["Timestamp"] >= oldest]
        if kept:
            cloudwatch._metrics[key] = kept
        else:
            del cloudwatch._metrics[key]


def apply() -> None:
    """Replace the eviction."""
    replace(cloudwatch, "_evict_old_metrics", "cf47bc1522ad", evict)
