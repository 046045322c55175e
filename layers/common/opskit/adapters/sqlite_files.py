"""SQLite databases in files: whether one is whole, and how many rows it has."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

OK = "ok"
# Of a database that is damaged all over, the first few lines say enough.
MOST_PROBLEMS = 10


@dataclass(frozen=True, slots=True)
class SqliteContents:
    """What `PRAGMA integrity_check` says (`ok`, or what is wrong), and the rows of each table (none unless ok)."""

    integrity: str
    rows: dict[str, int]

    @property
    def total_rows(self) -> int:
        """The rows of all tables."""
        return sum(self.rows.values())


def inspect_sqlite(path: Path) -> SqliteContents:
    """Check and count the database at `path`, which is not changed. A file that is no database is one that is not ok.

    https://www.sqlite.org/pragma.html#pragma_integrity_check
    """
    try:
        # Immutable: nothing else writes to the file, and nothing (a journal) is to be written beside it.
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            found = [row[0] for row in connection.execute(f"PRAGMA integrity_check({MOST_PROBLEMS})")]
            if found != [OK]:
                return SqliteContents("; ".join(found), {})
            names = connection.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
            )
            rows = {name: _count(connection, name) for (name,) in names.fetchall()}
    except sqlite3.DatabaseError as error:
        return SqliteContents(str(error), {})
    return SqliteContents(OK, rows)


def _count(connection: sqlite3.Connection, table: str) -> int:
    quoted = table.replace('"', '""')
    return int(connection.execute(f'SELECT count(*) FROM "{quoted}"').fetchone()[0])  # noqa: S608 - quoted
