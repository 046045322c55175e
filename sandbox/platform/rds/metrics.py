"""The CloudWatch metrics of a DB instance, of what its processes do.

Names and meanings: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-metrics.html
"""

from collections.abc import Mapping

from sandbox.platform.metrics import share_of_processors, since
from sandbox.postgres.processes import Usage

NAMESPACE = "AWS/RDS"
DIMENSION = "DBInstanceIdentifier"
PROCESSORS = 0.5
"""What an instance counts as having. All that a sandbox runs shares the machine's few: queries that would have all of
an instance's on AWS must look as busy here, also while others are."""


def values(before: Usage | None, seen: Usage, period: int) -> Mapping[str, tuple[float, str]]:
    """Values and units of one instance's metrics; of one that is new, what it used since it started."""
    elapsed = seen.at - before.at if before is not None else float(period)
    used = since(before.cpu_seconds if before is not None else None, seen.cpu_seconds)
    return {
        "CPUUtilization": (share_of_processors(used, elapsed, PROCESSORS), "Percent"),
        "DatabaseConnections": (float(seen.connections), "Count"),
    }
