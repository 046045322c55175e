"""A restore of a large database by the workflow, beside the same by hand: copy the base backup, recover to the moment.

Both work on the same files (the newest base backup that `pg_basebackup` made, and the archive of the log), with the
same programs, to the same moment, in turn. By hand ends when the recovered server has been promoted and answers; the
workflow when it has verified the copy, which includes counting its rows. So the hand counts them too, and both ratios
are given.
"""

import shutil
import statistics
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sandbox.bench.copies import begin, database_time, instance_of, remove, wait_for_log
from sandbox.bench.figures import progress, spread
from sandbox.bench.history import expect, last, passages
from sandbox.operator import Operator
from sandbox.postgres import backup
from sandbox.postgres.backup import BaseBackup
from sandbox.postgres.server import Server
from sandbox.provision.database import DATABASE, MASTER

TABLE = "bench_large"
MIB = 1024**2
BATCH_ROWS = 200_000
ROW_BYTES = 416
"""About; twelve digests and the row's own."""
LATER = 0.05
"""So much of it is written after the base backup, and has to be recovered from the log."""
COPIES_ON_DISK = 6
"""The database, its base backup, the log of all of it, and a copy, with something to spare."""
WAIT_SECONDS = 600.0
SNAPSHOT = "bench-large"

NOT_SHOWN = (
    "a restore on AWS, whose speed is not this machine's: what the workflow adds is seconds, most of them until the "
    "next look at the copy, and they weigh the more the shorter the engine's own part is; here that is very short",
)


@dataclass(frozen=True, slots=True)
class Source:
    """What both restore: the base backup, the log's archive, the moment."""

    base: BaseBackup
    archive: Path
    moment: datetime


@dataclass(frozen=True, slots=True)
class ByWorkflow:
    """Seconds from the start until the copy was there, until it was verified, and until the end; rows in the copy."""

    available: float
    verified: float
    ended: float
    rows: int


@dataclass(frozen=True, slots=True)
class ByHand:
    """Seconds until the copy answered, and until its rows were counted; rows in it."""

    answering: float
    counted: float
    rows: int


def measure(operator: Operator, mebibytes: int, repetitions: int) -> dict[str, Any]:
    """Fill the live database up to a size, restore it by both ways in turn; the figures."""
    _check_room(operator, mebibytes)
    source = _prepare(operator, mebibytes)
    size = _size(operator)
    by_workflow, by_hand = [], []
    for number in range(repetitions):
        progress(f"a restore of {size / MIB:,.0f} MiB: {number + 1} of {repetitions}, by the workflow")
        by_workflow.append(_by_workflow(operator, source))
        progress(f"a restore of {size / MIB:,.0f} MiB: {number + 1} of {repetitions}, by hand")
        by_hand.append(_by_hand(operator.config.dir / "engines" / "by-hand", source))
    return _figures(size, by_workflow, by_hand)


def _check_room(operator: Operator, mebibytes: int) -> None:
    free = shutil.disk_usage(operator.config.dir).free
    if free < COPIES_ON_DISK * mebibytes * MIB:
        raise SystemExit(
            f"{operator.config.dir} has {free / MIB:,.0f} MiB left; this takes {COPIES_ON_DISK * mebibytes:,} MiB"
        )


def _prepare(operator: Operator, mebibytes: int) -> Source:
    operator.sql(f"CREATE TABLE IF NOT EXISTS {TABLE} (id bigint PRIMARY KEY, body text NOT NULL)")
    reached = 0
    while (size := _size(operator)) < mebibytes * MIB:
        progress(f"filling the database: {size / MIB:,.0f} of {mebibytes:,} MiB")
        reached = _insert(operator, reached, min(BATCH_ROWS, (mebibytes * MIB - size) // ROW_BYTES + 1000))
    progress("its base backup")
    base = _base_backup(operator)
    for _ in range(10):
        reached = _insert(operator, reached, max(1, int(reached * LATER / 10)))
    moment = database_time(operator)
    wait_for_log(operator, moment)
    return Source(base, operator.server().directory / "archive", moment)


def _insert(operator: Operator, reached: int, count: int) -> int:
    """Add rows that do not compress; the number of the last."""
    operator.sql(
        f"INSERT INTO {TABLE} SELECT n, repeat(md5(n::text), 12) "  # noqa: S608
        "FROM generate_series(cast(:first AS bigint), cast(:last AS bigint)) AS n",
        first=reached + 1,
        last=reached + count,
    )
    return reached + count


def _size(operator: Operator) -> int:
    return int(operator.sql("SELECT pg_database_size(current_database())")[0][0])


def _base_backup(operator: Operator) -> BaseBackup:
    """Take a snapshot of the live database; the base backup that the sandbox has made for it."""
    rds, live = operator.clients["rds"], operator.database()
    rds.create_db_snapshot(DBInstanceIdentifier=live["DBInstanceIdentifier"], DBSnapshotIdentifier=SNAPSHOT)
    taken = operator.until(
        lambda: rds.describe_db_snapshots(DBSnapshotIdentifier=SNAPSHOT)["DBSnapshots"][0],
        lambda one: one["Status"] in ("available", "failed"),
        "the snapshot",
        seconds=WAIT_SECONDS,
    )
    if taken["Status"] == "failed":
        raise SystemExit("the snapshot failed: see logs/platform.log")
    kept = operator.config.dir / "engines" / "rds" / "snapshots"
    newest = max(kept.glob(f"{live['DbiResourceId']}-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    return BaseBackup(newest, database_time(operator))


def _by_workflow(operator: Operator, source: Source) -> ByWorkflow:
    done = expect(operator.wait(begin(operator, source.moment), seconds=WAIT_SECONDS), "SUCCEEDED")
    path, instance = passages(operator, done.arn), instance_of(done)
    found = ByWorkflow(
        available=last(path, "CheckCopies").left,
        verified=last(path, "VerifyRestore").left,
        ended=path[-1].left,
        rows=int(operator.sql(f"SELECT count(*) FROM {TABLE}", instance=instance)[0][0]),  # noqa: S608
    )
    remove(operator, [instance])
    return found


def _by_hand(directory: Path, source: Source) -> ByHand:
    server = Server(directory)
    began = time.monotonic()
    try:
        backup.recover(server, source.base, source.archive, source.moment, password_users=(MASTER,))
        with closing(server.connect(DATABASE)) as session:
            session.run("SELECT 1")
            answering = time.monotonic() - began
            rows = int(session.run(f"SELECT count(*) FROM {TABLE}")[0][0])  # noqa: S608
            return ByHand(answering, time.monotonic() - began, rows)
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


def _figures(size: int, by_workflow: Sequence[ByWorkflow], by_hand: Sequence[ByHand]) -> dict[str, Any]:
    rows = {one.rows for one in by_workflow} | {one.rows for one in by_hand}
    if len(rows) != 1:
        raise SystemExit(f"the copies do not have the same rows: {sorted(rows)}")
    verified = statistics.median(one.verified for one in by_workflow)
    answering = statistics.median(one.answering for one in by_hand)
    counted = statistics.median(one.counted for one in by_hand)
    return {
        "database_mib": round(size / MIB),
        "rows": rows.pop(),
        "workflow_seconds": {
            "until_available": spread([one.available for one in by_workflow]),
            "until_verified": spread([one.verified for one in by_workflow]),
            "until_ended": spread([one.ended for one in by_workflow]),
        },
        "by_hand_seconds": {
            "until_it_answers": spread([one.answering for one in by_hand]),
            "until_its_rows_are_counted": spread([one.counted for one in by_hand]),
        },
        "ratio": round(verified / answering, 3),
        "ratio_with_rows_counted_by_both": round(verified / counted, 3),
        "seconds_added": {
            "all": round(verified - answering, 3),
            "with_rows_counted_by_both": round(verified - counted, 3),
        },
        "not_shown": list(NOT_SHOWN),
    }
