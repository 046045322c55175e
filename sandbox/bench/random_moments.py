"""Restores to random moments while rows are committed: which of those that were committed by then are not there?

A row bears the database's own time, and the writer asks for it again after the commit, so that no other clock decides
what was committed by a moment. The workflow measures the same by heartbeats, which is reported beside it.
"""

import contextlib
import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.bench.background import repeatedly
from sandbox.bench.committed import Loss, Writer, lost, numbers_in
from sandbox.bench.copies import begin, database_time, instance_of, latest, remove, wait_for_log
from sandbox.bench.figures import progress, spread
from sandbox.bench.history import expect
from sandbox.operator import Operator

PAUSE_SECONDS = 0.01
LEAD_SECONDS = 3.0
LOOK_SECONDS = 0.25
RESTORE_SECONDS = 180.0
NOT_SHOWN = (
    "the lag of the latest restorable time is the sandbox's, whose archive moves every second; RDS uploads logs every "
    "five minutes, so what a sudden loss of the instance costs there is minutes, whatever the workflow does",
)


@dataclass(frozen=True, slots=True)
class Restored:
    """One restore: to which moment, what is lost, and the seconds that the workflow itself found lost, if it could."""

    moment: datetime
    loss: Loss
    told: float | None


def measure(operator: Operator, restores: int, side_by_side: int) -> dict[str, Any]:
    """Restore so often, so many at a time; the figures. The copies are deleted again."""
    found: list[Restored] = []
    lags: list[float] = []

    def look() -> None:
        at = latest(operator)
        lags.append((datetime.now(UTC) - at).total_seconds())

    writer = Writer(operator)
    with (
        contextlib.closing(writer),
        repeatedly(writer, PAUSE_SECONDS),
        repeatedly(look, LOOK_SECONDS),
    ):
        time.sleep(LEAD_SECONDS)
        while len(found) < restores:
            progress(f"restores to random moments: {len(found)} of {restores}")
            found += _restore(operator, writer, min(side_by_side, restores - len(found)))
    return _figures(found, lags, len(writer.rows))


def _restore(operator: Operator, writer: Writer, count: int) -> list[Restored]:
    """Restore to `count` moments at once, anywhere between the first row and now."""
    first, now = writer.rows[0].committed_by.astimezone(UTC), database_time(operator)
    moments = [first + (now - first) * random.SystemRandom().random() for _ in range(count)]
    # In the precision that the API has, and not before the first row is there.
    moments = [at.replace(microsecond=at.microsecond // 1000 * 1000) + timedelta(milliseconds=1) for at in moments]
    wait_for_log(operator, max(moments))
    arns = [begin(operator, moment) for moment in moments]
    done = [expect(operator.wait(arn, seconds=RESTORE_SECONDS), "SUCCEEDED") for arn in arns]
    found = []
    for moment, execution in zip(moments, done, strict=True):
        loss = lost(tuple(writer.rows), numbers_in(operator, instance_of(execution)), moment)
        point = execution.output["recovery_point"]["facts"]["seconds"]
        found.append(Restored(moment, loss, float(point) if point is not None else None))
    remove(operator, [instance_of(execution) for execution in done])
    return found


def _figures(found: list[Restored], lags: list[float], rows: int) -> dict[str, Any]:
    told = [one.told for one in found if one.told is not None]
    return {
        "restores": len(found),
        "rows_written": rows,
        "rows_lost": {"all": sum(one.loss.rows for one in found), "most": max(one.loss.rows for one in found)},
        "rows_too_new": sum(one.loss.rows_too_new for one in found),
        "seconds_lost": spread([one.loss.seconds for one in found]),
        "seconds_from_newest_row_to_moment": spread([one.loss.behind for one in found]),
        "seconds_lost_as_the_workflow_measured": spread(told) if told else None,
        "latest_restorable_time_lag_seconds": spread(lags),
        "each": [
            {
                "moment": one.moment.isoformat(timespec="milliseconds"),
                "rows_committed_by_then": one.loss.wanted,
                "rows_lost": one.loss.rows,
                "rows_too_new": one.loss.rows_too_new,
                "seconds_lost": round(one.loss.seconds, 6),
                "seconds_from_newest_row_to_moment": round(one.loss.behind, 6),
            }
            for one in found
        ],
        "not_shown": list(NOT_SHOWN),
    }
