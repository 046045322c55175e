"""What is in a PostgreSQL database, for `decisions.recovery` to compare: schema, rows, checksums, heartbeat.

Everything is read in one transaction, so that the counts belong together, by a role that needs no more than
`pg_read_all_data`. The heartbeat table moves every minute, so its rows are neither counted nor summed; those of
unlogged tables are not, because no backup has them.
"""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from opskit.adapters.schema_catalog import QUERIES
from opskit.adapters.sql import Session
from opskit.decisions.contents import DatabaseContents
from opskit.errors import DatabaseError

HEARTBEAT = "ops.heartbeat"
# A sum has to read, hash and sort the rows; above this many they are counted only.
CHECKSUM_ROWS = 100_000

# What text comes out must depend on the data alone. Row security off: a policy that would hide rows becomes an error.
_SETTINGS = """
SET LOCAL search_path = pg_catalog;
SET LOCAL row_security = off;
SET LOCAL timezone = 'UTC';
SET LOCAL datestyle = 'ISO, YMD';
SET LOCAL intervalstyle = 'postgres';
SET LOCAL extra_float_digits = 1;
SET LOCAL bytea_output = 'hex';
SET LOCAL xmloption = 'content'
"""

# Partitions one by one, and neither their parents, which have no rows of their own, nor foreign tables.
_TABLES = """
SELECT format('%I.%I', n.nspname, c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relpersistence = 'p' AND (c.relkind = 'r' OR c.relkind = 'm' AND c.relispopulated)
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND format('%I.%I', n.nspname, c.relname) <> :heartbeat
ORDER BY 1
"""

# The order of rows is nobody's, so their hashes are sorted; sha256() is PostgreSQL's own from version 11 on.
_CHECKSUM = """
SELECT encode(sha256(coalesce(string_agg(h, ''::bytea ORDER BY h), ''::bytea)), 'hex')
FROM (SELECT sha256(convert_to(ROW(x.*)::text, 'UTF8')) AS h FROM ONLY {table} AS x) AS hashes
"""


def read_contents(session: Session, *, checksum_rows: int = CHECKSUM_ROWS) -> DatabaseContents:
    """Take down what is in the database, by schema and table (`public.detections`), at one moment.

    Tables of at most `checksum_rows` rows are summed. The number counts, not the planner's estimate: the copy of a
    table is then summed exactly where the table is. Raises DatabaseError if a table cannot be read in full.
    """
    with session.transaction("ISOLATION LEVEL REPEATABLE READ READ ONLY"):
        session.run(_SETTINGS)
        schema = _schema_sha256(session)
        rows: dict[str, int] = {}
        checksums: dict[str, str] = {}
        for (table,) in session.rows(_TABLES, heartbeat=HEARTBEAT):
            rows[table] = _value(session, f"SELECT count(*) FROM ONLY {table}")  # noqa: S608 - quoted by the server
            if rows[table] <= checksum_rows:
                checksums[table] = _value(session, _CHECKSUM.format(table=table))
        return DatabaseContents(schema, rows, checksums, newest_heartbeat(session))


def newest_heartbeat(session: Session, until: datetime | None = None) -> datetime | None:
    """When the database stamped its newest heartbeat (aware, UTC); None if it has none, or not even the table.

    With `until` (aware) the newest of those stamped no later.
    """
    if _value(session, "SELECT to_regclass(:table)", table=HEARTBEAT) is None:
        return None
    limit = (until or datetime.max.replace(tzinfo=UTC)).isoformat()
    found = _value(
        session,
        f"SELECT max(stamped_at) FROM {HEARTBEAT} WHERE stamped_at <= CAST(:limit AS timestamptz)",  # noqa: S608
        limit=limit,
    )
    return found.astimezone(UTC) if found else None


def stamp_heartbeat(session: Session, keep_days: int = 7) -> datetime:
    """Have the database stamp a heartbeat, and drop those older than `keep_days`; when it was (aware, UTC)."""
    stamped = _value(
        session,
        f"""
        WITH dropped AS (DELETE FROM {HEARTBEAT} WHERE stamped_at < now() - :days * interval '1 day')
        INSERT INTO {HEARTBEAT} DEFAULT VALUES RETURNING stamped_at
        """,  # noqa: S608 - a constant
        days=keep_days,
    )
    return _aware(stamped)


def verify_read_write(session: Session) -> datetime:
    """Write a row (a heartbeat) and read it back in another transaction; when it was stamped (aware, UTC).

    Changes the newest heartbeat, so contents to compare are read before. Raises DatabaseError if the row is not
    there, or the database takes no writes.
    """
    identifier, stamped = session.rows(f"INSERT INTO {HEARTBEAT} DEFAULT VALUES RETURNING id, stamped_at")[0]  # noqa: S608
    found = session.rows(f"SELECT stamped_at FROM {HEARTBEAT} WHERE id = :id", id=identifier)  # noqa: S608
    if found != [(stamped,)]:
        raise DatabaseError(f"the row {identifier} was written to {HEARTBEAT}, and {found or 'nothing'} was read back")
    return _aware(stamped)


def _schema_sha256(session: Session) -> str:
    """The hash of what the catalogs say, by name and never by OID, in an order of our own."""
    described = {kind: sorted(_plain(row) for row in session.rows(query)) for kind, query in QUERIES.items()}
    return hashlib.sha256(json.dumps(described, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _plain(row: tuple[Any, ...]) -> str:
    return json.dumps([str(value) if value is not None else None for value in row], ensure_ascii=False)


def _value(session: Session, statement: str, **params: Any) -> Any:
    return session.rows(statement, **params)[0][0]


def _aware(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
