"""A restore in place of production, on engines that take AWS's usual durations, on a clock that runs faster.

The engines are told to take AWS's durations divided by the scale, and the stack's waits are production's divided by
it. What the machine does by itself (functions, state machine, PostgreSQL, Redis) is not scaled: it counts `scale` times
in what is scaled back, to the workflow's disadvantage.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from opskit.decisions.status import CACHE as CACHE_STATUSES
from opskit.decisions.status import DATABASE as DATABASE_STATUSES
from sandbox.bench import durations
from sandbox.bench.background import repeatedly
from sandbox.bench.critical_path import Look, Overhead, longest_chain, operations_of, reckon
from sandbox.bench.figures import progress
from sandbox.bench.history import Passage, expect, passages, seconds_in
from sandbox.operator import Execution, Operator

LOOK_SECONDS = 0.1
SPARE_SECONDS = 240.0
ROWS, KEYS = 1000, 1000
TARGET_SECONDS = 900.0
TARGET_RATIO = 1.03

_CALLED_BEFORE_VERIFIED = frozenset(
    {"PlanRestore", "BeginRestore", "CheckCopies", "VerifyRestore", "CutOver", "VerifyService"}
)
NOT_SHOWN = (
    "the engines' durations are derived from other people's tests of nearly empty databases; how much longer a larger "
    "one takes, and the first reads, which come from S3, are not in them",
    "cold starts, the network, and throttling by AWS: the first is assumed in `as_production`, the others are not",
)


def measure(operator: Operator, scale: float) -> dict[str, Any]:
    """Restore the newest set of backups in place of production, without approval; the figures."""
    _fill(operator)
    progress("the set of backups to restore")
    expect(operator.run(workflow="snapshot", seconds=SPARE_SECONDS), "SUCCEEDED")
    snapshot = _newest_snapshot(operator)
    slowest = max(durations.DATABASE.seconds, durations.CACHE.seconds) / scale
    progress(f"a restore in place of production, for {slowest:.0f} s at least")
    mark, watch = operator.api_mark(), Watch(operator)
    with _as_slow_as_aws(operator, scale), repeatedly(watch, LOOK_SECONDS):
        arn = operator.start(workflow="restore", mode="replace", approval=False, snapshot=snapshot)
        _wait(operator, arn, slowest + SPARE_SECONDS)
    return _figures(operator, expect(operator.execution(arn), "SUCCEEDED"), watch.looks, mark, scale)


def _wait(operator: Operator, arn: str, seconds: float) -> None:
    """Wait for the execution's end, and do not read its history all the while: this machine has other things to do."""
    client = operator.clients["stepfunctions"]
    operator.until(
        lambda: str(client.describe_execution(executionArn=arn)["status"]),
        lambda status: status != "RUNNING",
        f"{arn} to end",
        seconds=seconds,
    )


def _fill(operator: Operator) -> None:
    """Something to restore and to compare: rows, keys, a heartbeat."""
    operator.sql("CREATE TABLE IF NOT EXISTS bench_rows (id bigint PRIMARY KEY, body text NOT NULL)")
    operator.sql(
        "INSERT INTO bench_rows SELECT n, md5(n::text) FROM generate_series(1, :rows) AS n ON CONFLICT DO NOTHING",
        rows=ROWS,
    )
    operator.sql("INSERT INTO ops.heartbeat DEFAULT VALUES")
    with operator.cache() as client:
        for number in range(KEYS):
            client.set(f"bench-{number}", "value", ex=86_400)


def _newest_snapshot(operator: Operator) -> str:
    found = operator.clients["rds"].describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]
    return str(max(found, key=lambda one: one["SnapshotCreateTime"])["DBSnapshotIdentifier"])


@contextmanager
def _as_slow_as_aws(operator: Operator, scale: float) -> Iterator[None]:
    operator.engine_fault(
        "rds", operation="RestoreDBInstanceFromDBSnapshot", seconds=durations.DATABASE.seconds / scale
    )
    operator.engine_fault("elasticache", operation="CreateReplicationGroup", seconds=durations.CACHE.seconds / scale)
    try:
        yield
    finally:
        operator.calm_engines()


class Watch:
    """Looks at every database and cache, until those that have come meanwhile are all ready: a copy of each kind."""

    def __init__(self, operator: Operator) -> None:
        self.looks: list[Look] = []
        self._operator = operator
        self._before = {look.resource for look in _look(operator)}
        self._over = False

    def __call__(self) -> None:
        """Look once more, if there is anything left to be seen."""
        if self._over:
            return
        seen = _look(self._operator)
        self.looks += seen
        new = [look for look in seen if look.resource not in self._before]
        kinds = {look.resource.partition(":")[0] for look in new}
        self._over = len(kinds) == 2 and all(look.ready for look in new)


def _look(operator: Operator) -> list[Look]:
    """Every database and cache as it is, by the statuses for which the workflow waits."""
    instances = operator.clients["rds"].describe_db_instances()["DBInstances"]
    groups = operator.clients["elasticache"].describe_replication_groups()["ReplicationGroups"]
    at, good = datetime.now(UTC), DATABASE_STATUSES.good
    return [
        *(Look(f"rds:{one['DBInstanceIdentifier']}", at, one["DBInstanceStatus"] in good) for one in instances),
        *(Look(f"elasticache:{one['ReplicationGroupId']}", at, one["Status"] in CACHE_STATUSES.good) for one in groups),
    ]


def _figures(operator: Operator, done: Execution, looks: list[Look], mark: int, scale: float) -> dict[str, Any]:
    recovery, path = done.output["recovery_time"]["facts"], passages(operator, done.arn)
    started = operator.clients["stepfunctions"].describe_execution(executionArn=done.arn)["startDate"]
    verified = started + timedelta(seconds=float(recovery["seconds"]))
    operations = operations_of(operator.api_calls(after=mark), looks, verified)
    chain = longest_chain(operations)
    ended = (max(one.ended for one in operations) - started).total_seconds()
    overhead = _overhead(path, ended, float(recovery["seconds"]) - chain.seconds)
    poll = float(durations.scaled(scale)["RestorePollSeconds"])
    # Whatever is called more than once, is cold once.
    called = {one.name for one in path if one.name in _CALLED_BEFORE_VERIFIED}
    reckoned = reckon(
        chain.seconds,
        float(recovery["seconds"]),
        overhead,
        scale=scale,
        poll_seconds=poll,
        cold_starts_seconds=len(called) * durations.COLD_START.seconds,
    )
    return {
        "scale": scale,
        "outcome": done.output["outcome"],
        **reckoned,
        "phases_seconds": {name: round(seconds * scale, 1) for name, seconds in recovery["phases"].items()},
        "overhead_seconds_here": {
            "all": round(overhead.seconds, 3),
            "waited": round(overhead.waited, 3),
            "of_which_until_somebody_looked": round(overhead.late, 3),
            "worked": round(overhead.worked, 3),
        },
        "engine_operations": [
            {"action": one.action, "seconds": round(one.seconds * scale, 1), "on_the_path": one in chain.operations}
            for one in operations
        ],
        "at_other_durations": {
            name: {**other.as_dict(), "recovery_seconds": round(other.seconds + _more(reckoned), 1)}
            for name, other in durations.OTHERS.items()
        },
        "durations": {
            "database": durations.DATABASE.as_dict(),
            "cache": durations.CACHE.as_dict(),
            "cold_start": durations.COLD_START.as_dict(),
        },
        "waits": durations.waits(scale),
        "not_shown": list(NOT_SHOWN),
    }


def _overhead(path: list[Passage], engines_ended: float, seconds: float) -> Overhead:
    """What is on top of the path; `engines_ended` is in seconds since the execution began."""
    late = sum(max(0.0, one.left - max(one.entered, engines_ended)) for one in path if one.name == "WaitForCopies")
    return Overhead(seconds, late + seconds_in(path, "WaitForService"), late)


def _more(reckoned: dict[str, Any]) -> float:
    """What production's recovery has on top of its path."""
    return float(reckoned["as_production"]["recovery_seconds"]) - float(reckoned["path_seconds"])
