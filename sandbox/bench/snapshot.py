"""`make bench-snapshot`: an hourly cycle for a fleet, retention included, beside a bare loop over the same API.

The bare loop is one paginated describe, a create for each database and a delete for each snapshot that is too old,
whose names it is told, in 16 threads. The workflow's own handlers are called in the state machine's order, in one
process with it and against the same moto; what they hand over, lock, record and prove is among their calls. Both are
measured hour by hour in turn. Once a day the workflow lists all snapshots: that hour is measured, too, and a day's
mean counts it.
"""

import argparse
import json
import logging
import os
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import urllib3

from sandbox.bench import fleet

OUT = Path(__file__).parents[2] / "out" / "bench" / "snapshot.json"
TARGET_CALLS, TARGET_SECONDS = 1.1, 1.3
THREADS = 16
HOURS = 24
SETTINGS = {
    "event_age_seconds": 900,
    "poll_seconds": 0,
    "source_wait_seconds": 600,
    "snapshot_timeout_seconds": 1800,
    "lease_seconds": 420,
    "dump_age_seconds": 1800,
    "retention": f"hourly={HOURS},daily=0,weekly=0,monthly=0",
}


@dataclass(frozen=True, slots=True)
class Cycle:
    """One hour: seconds, and calls by service and operation."""

    seconds: float
    calls: dict[str, int]

    @property
    def total(self) -> int:
        """All calls."""
        return sum(self.calls.values())


@dataclass
class Clock:
    """Stands at the beginning of the hour that is measured, and runs from there."""

    start: datetime = fleet.LAST_HOUR
    since: float = field(default_factory=time.monotonic)

    def set(self, moment: datetime) -> None:
        """Go on from `moment`."""
        self.start, self.since = moment, time.monotonic()

    def now(self) -> datetime:
        """The present moment."""
        return self.start + timedelta(seconds=time.monotonic() - self.since)


class Endpoint:
    """The server, and what it has counted."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._pool = urllib3.PoolManager()

    def counts(self, region: str) -> Counter[str]:
        """Calls so far, by service and operation."""
        found: dict[str, int] = self._pool.request("GET", self.url + fleet.COUNTS).json()
        prefix = f"{region} "
        return Counter({name.removeprefix(prefix): n for name, n in found.items() if name.startswith(prefix)})

    @contextmanager
    def measured(self, region: str, into: list[Cycle]) -> Iterator[None]:
        """Add what happens meanwhile to `into`."""
        before, started = self.counts(region), time.perf_counter()
        yield
        seconds = time.perf_counter() - started
        into.append(Cycle(round(seconds, 3), dict(self.counts(region) - before)))


@contextmanager
def serving(databases: int) -> Iterator[Endpoint]:
    """A server with the fleet and its history."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "sandbox.bench.fleet", str(port), str(databases), str(HOURS)]
    with subprocess.Popen(  # noqa: S603 - this package, with arguments made here
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - it was asked for
            if process.stdout.readline().strip() != "ready":
                raise RuntimeError(f"{' '.join(command)} ended with status {process.wait()}")
            yield Endpoint(f"http://127.0.0.1:{port}")
        finally:
            process.terminate()


class BareLoop:
    """What it takes at least."""

    def __init__(self, endpoint: Endpoint) -> None:
        import boto3  # noqa: PLC0415 - after the environment is set
        from botocore.config import Config  # noqa: PLC0415

        config = Config(max_pool_connections=THREADS)
        self._rds: Any = boto3.client("rds", endpoint_url=endpoint.url, region_name=fleet.REGIONS[1], config=config)

    def cycle(self, hour: datetime) -> None:
        """Snapshot every database, and delete those of a day ago."""
        pages = self._rds.get_paginator("describe_db_instances").paginate(PaginationConfig={"PageSize": 100})
        found = [one["DBInstanceIdentifier"] for page in pages for one in page["DBInstances"]]
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda name: self._take(name, hour), found))
            list(pool.map(lambda name: self._delete(name, hour - timedelta(hours=HOURS)), found))

    def _take(self, database: str, hour: datetime) -> None:
        tags = fleet.snapshot_tags(fleet.SERVICE, fleet.ENVIRONMENT, database, hour, "bare")
        self._rds.create_db_snapshot(
            DBInstanceIdentifier=database,
            DBSnapshotIdentifier=_name(database, hour),
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )

    def _delete(self, database: str, hour: datetime) -> None:
        self._rds.delete_db_snapshot(DBSnapshotIdentifier=_name(database, hour))


def _name(database: str, hour: datetime) -> str:
    return fleet.snapshot_name(fleet.SERVICE, fleet.ENVIRONMENT, database, hour, limit=fleet.DATABASE_SNAPSHOT_NAME)


def measure(databases: int, cycles: int) -> dict[str, Any]:
    """The figures, for so many databases and cycles beside the one that lists everything."""
    with serving(databases) as endpoint:
        _environment(endpoint)
        from sandbox.bench.snapshot_run import Workflow  # noqa: PLC0415 - opskit's clients are made by it

        workflow, bare = Workflow(SETTINGS), BareLoop(endpoint)
        ours: list[Cycle] = []
        loops: list[Cycle] = []
        for number in range(1, cycles + 2):
            hour = fleet.LAST_HOUR + timedelta(hours=number)
            with endpoint.measured(fleet.REGIONS[1], loops):
                bare.cycle(hour)
            with endpoint.measured(fleet.REGIONS[0], ours):
                outcome = workflow.cycle(hour)
            _check(outcome, databases)
    return _figures(databases, ours, loops)


def _environment(endpoint: Endpoint) -> None:
    os.environ |= {
        "AWS_ENDPOINT_URL": endpoint.url,
        "AWS_DEFAULT_REGION": fleet.REGIONS[0],
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
        "POWERTOOLS_METRICS_DISABLED": "true",
    }
    logging.disable(logging.CRITICAL)


def _check(outcome: dict[str, Any], databases: int) -> None:
    """A cycle that did not do its work is not worth measuring."""
    verified, deleted = outcome["counts"]["VERIFIED"], outcome["pruned"]["deleted"]
    if (verified, deleted, outcome["pruned"]["left"]) != (databases, databases, 0):
        raise RuntimeError(f"{verified} of {databases} were verified, {deleted} deleted: {outcome}")


def _figures(databases: int, ours: list[Cycle], loops: list[Cycle]) -> dict[str, Any]:
    """Means over the same hours of both; the first hour of the workflow is the one that lists everything."""
    listing, *usual = ours
    bare_calls, bare_seconds = _means(loops[1:])
    calls, seconds = _means(usual)
    day_calls = (calls * (HOURS - 1) + listing.total) / HOURS
    day_seconds = (seconds * (HOURS - 1) + listing.seconds) / HOURS
    return {
        "databases": databases,
        "snapshots_before": databases * HOURS,
        "bare_loop": {"calls": bare_calls, "seconds": bare_seconds, "each": [one.seconds for one in loops]},
        "workflow": {"calls": calls, "seconds": seconds, "each": [one.seconds for one in ours], "by": usual[-1].calls},
        "hour_that_lists_everything": {"calls": listing.total, "seconds": listing.seconds, "by": listing.calls},
        "ratios": {
            "calls": round(calls / bare_calls, 3),
            "seconds": round(seconds / bare_seconds, 3),
            "calls_mean_of_a_day": round(day_calls / bare_calls, 3),
            "seconds_mean_of_a_day": round(day_seconds / bare_seconds, 3),
        },
        "targets": {
            "calls": {"target": TARGET_CALLS, "met": day_calls <= TARGET_CALLS * bare_calls},
            "seconds": {"target": TARGET_SECONDS, "met": day_seconds <= TARGET_SECONDS * bare_seconds},
        },
    }


def _means(cycles: list[Cycle]) -> tuple[float, float]:
    calls, seconds = (
        statistics.mean(values) for values in ([one.total for one in cycles], [one.seconds for one in cycles])
    )
    return round(calls, 1), round(seconds, 3)


def main() -> int:
    """Run the benchmark; 0 if every target was met."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.bench.snapshot", description=__doc__)
    parser.add_argument("--databases", type=int, default=1000)
    parser.add_argument("--cycles", type=int, default=3)
    arguments = parser.parse_args()
    figures = measure(arguments.databases, arguments.cycles)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    return 0 if all(target["met"] for target in figures["targets"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
