"""A dump of a SQLite database: whether it is whole, and how many rows it has."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

_MOST_PROBLEMS = 10


@dataclass(frozen=True, slots=True)
class Dump:
    """`problem` is None if SQLite finds nothing wrong; `rows` of each table, as far as they could be counted."""

    problem: str | None = None
    rows: dict[str, int] = field(default_factory=dict)


def inspect_dump(path: Path) -> Dump:
    """Check the file with `PRAGMA integrity_check` and count its rows; it is opened read-only.

    https://www.sqlite.org/pragma.html#pragma_integrity_check: it answers `ok`, or what is wrong, a line each. A file
    of no bytes is a database without tables to SQLite; here it is a dump that was not written.
    """
    if not path.is_file() or path.stat().st_size == 0:
        return Dump("it is empty")
    rows: dict[str, int] = {}
    try:
        # Immutable: a dump has no journal, and nobody else writes it.
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as database:
            found = [str(row[0]) for row in database.execute(f"PRAGMA integrity_check({_MOST_PROBLEMS})")]
            if found != ["ok"]:
                return Dump(f"integrity_check: {'; '.join(found)}"[:1000])
            names = database.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
            )
            for (name,) in names.fetchall():
                quoted = name.replace('"', '""')
                rows[name] = database.execute(f'SELECT count(*) FROM "{quoted}"').fetchone()[0]  # noqa: S608 - quoted
    except sqlite3.Error as error:
        return Dump(f"SQLite cannot read it: {error}", rows)
    return Dump(None, rows) if rows else Dump("it has no tables")
