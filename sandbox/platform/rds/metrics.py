"""The CloudWatch metrics of a DB instance, of what its processes do.

Names and meanings: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-metrics.html
"""

from collections.abc import Mapping

from sandbox.platform.metrics import share_of_processor, since
from sandbox.postgres.processes import Usage

NAMESPACE = "AWS/RDS"
DIMENSION = "DBInstanceIdentifier"


def values(before: Usage | None, seen: Usage, period: int) -> Mapping[str, tuple[float, str]]:
    """Values and units of one instance's metrics; of one that is new, what it used since it started."""
    elapsed = seen.at - before.at if before is not None else float(period)
    used = since(before.cpu_seconds if before is not None else None, seen.cpu_seconds)
    return {
        "CPUUtilization": (share_of_processor(used, elapsed), "Percent"),
        "DatabaseConnections": (float(seen.connections), "Count"),
    }
