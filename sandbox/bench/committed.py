"""Rows that are committed one by one, each with when it was, by the database's own clock; and which a copy has."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sandbox.operator import Operator
from sandbox.provision.database import DATABASE

TABLE = "bench_commits"
HEARTBEAT_EVERY = 50


@dataclass(frozen=True, slots=True)
class Row:
    """A row: `stamped_at` before its commit, `committed_by` after it; both are the database's own time."""

    number: int
    stamped_at: datetime
    committed_by: datetime


@dataclass(frozen=True, slots=True)
class Loss:
    """What a copy of a moment lacks, or has too much.

    Of the rows that were `wanted`, because they were committed by the moment, so many `rows` are not in the copy;
    `seconds` lie between the newest of those that should be there and the newest that is. `rows_too_new` were stamped
    after the moment and are there all the same. `behind` is from the newest row in the copy to the moment: no more than
    the writer's pace, if nothing is lost.
    """

    wanted: int
    rows: int
    seconds: float
    rows_too_new: int
    behind: float


def lost(written: Sequence[Row], found: Collection[int], moment: datetime) -> Loss:
    """Compare what was written, in order, with the numbers of the rows that were `found` in a copy of `moment`.

    A row that was being committed at the moment may be there or not. Raises ValueError if nothing was committed by
    then: such a moment says nothing.
    """
    wanted = [row for row in written if row.committed_by <= moment]
    if not wanted:
        raise ValueError(f"nothing was committed by {moment.isoformat()}")
    there = set(found)
    newest = max((row.stamped_at for row in written if row.number in there), default=None)
    # A copy with none of the rows has lost all there were.
    newest = newest or written[0].stamped_at
    return Loss(
        wanted=len(wanted),
        rows=sum(row.number not in there for row in wanted),
        seconds=max(0.0, (wanted[-1].stamped_at - newest).total_seconds()),
        rows_too_new=sum(row.number in there for row in written if row.stamped_at > moment),
        behind=(moment - newest).total_seconds(),
    )


class Writer:
    """Commits a row whenever it is called, over one connection to the live database, and remembers it."""

    def __init__(self, operator: Operator) -> None:
        operator.sql(
            f"CREATE TABLE IF NOT EXISTS {TABLE} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
            "stamped_at timestamptz NOT NULL DEFAULT clock_timestamp())"
        )
        self.rows: list[Row] = []
        self._session: Any = operator.server().connect(DATABASE)

    def __call__(self) -> None:
        """Commit one more; every now and then with a heartbeat, as the objectives' step writes it."""
        session = self._session
        if len(self.rows) % HEARTBEAT_EVERY == 0:
            session.run("INSERT INTO ops.heartbeat DEFAULT VALUES")
        ((number, stamped_at),) = session.run(f"INSERT INTO {TABLE} DEFAULT VALUES RETURNING id, stamped_at")  # noqa: S608
        ((committed_by,),) = session.run("SELECT clock_timestamp()")
        self.rows.append(Row(number, stamped_at, committed_by))

    def close(self) -> None:
        """End the connection."""
        self._session.close()


def numbers_in(operator: Operator, instance: str) -> set[int]:
    """The numbers of the rows that are in an instance."""
    return {int(row[0]) for row in operator.sql(f"SELECT id FROM {TABLE}", instance=instance)}  # noqa: S608
