"""Copies of the live database beside it, made by the workflow, and taken away again."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from opskit.clock import timestamp
from sandbox.operator import Execution, Operator

REACH_SECONDS = 60.0
GONE_SECONDS = 60.0


def database_time(operator: Operator) -> datetime:
    """The live database's own time."""
    now: datetime = operator.sql("SELECT clock_timestamp()")[0][0]
    return now.astimezone(UTC)


def latest(operator: Operator) -> datetime:
    """The live database's latest restorable time; raises LookupError if it has none."""
    found: datetime | None = operator.database().get("LatestRestorableTime")
    if found is None:
        raise LookupError("the database has no latest restorable time")
    return found


def wait_for_log(operator: Operator, moment: datetime) -> None:
    """Wait until the log goes on beyond `moment`, so that the database can be restored to it."""
    what = f"the log to reach {timestamp(moment)}"
    operator.until(lambda: latest(operator), lambda at: at > moment, what, seconds=REACH_SECONDS)


def begin(operator: Operator, moment: datetime) -> str:
    """Start to restore the database alone, beside production, as it was at `moment`; the execution's ARN."""
    at = timestamp(moment)
    return operator.start(workflow="restore", components=["database"], moment=at, declared_at=at)


def instance_of(done: Execution) -> str:
    """The DB instance that an execution has made."""
    (copy,) = done.output["restored"]
    return str(copy["name"])


def remove(operator: Operator, instances: Sequence[str]) -> None:
    """Delete DB instances, as their administrator does, and wait until they are gone."""
    rds = operator.clients["rds"]
    for instance in instances:
        rds.delete_db_instance(DBInstanceIdentifier=instance, SkipFinalSnapshot=True, DeleteAutomatedBackups=True)
    end = time.monotonic() + GONE_SECONDS
    while left := {*instances} & {one["DBInstanceIdentifier"] for one in rds.describe_db_instances()["DBInstances"]}:
        if time.monotonic() > end:
            raise TimeoutError(f"still there after {GONE_SECONDS:.0f} s: {', '.join(sorted(left))}")
        time.sleep(0.1)
