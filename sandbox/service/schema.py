"""The database's schema, and the migrations that lead to it."""

from typing import Any

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE detections (
        id uuid PRIMARY KEY,
        source text NOT NULL,
        label text NOT NULL,
        confidence double precision NOT NULL CHECK (confidence BETWEEN 0 AND 1),
        latitude double precision NOT NULL CHECK (latitude BETWEEN -90 AND 90),
        longitude double precision NOT NULL CHECK (longitude BETWEEN -180 AND 180),
        observed_at timestamptz NOT NULL,
        received_at timestamptz NOT NULL,
        stored_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX detections_newest_first ON detections (received_at DESC, id);
    """,
)
"""Each is run once, in order, and never changed afterwards. `received_at` is when the service accepted a
detection, `stored_at` when the database did: the two differ for what waited in the queue."""

_LOCK = 7_310_226_014
"""Of all processes that start at once, one migrates."""


async def migrate(connection: Any) -> int:
    """Bring the schema up to date; returns the number of migrations that were run.

    A role that may not create tables finds a complete schema complete; otherwise it raises asyncpg's
    `InsufficientPrivilegeError`.
    """
    if await _done(connection) == len(MIGRATIONS):
        return 0
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations ("
            " version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        done = await _done(connection)
        for version, statements in enumerate(MIGRATIONS[done:], start=done + 1):
            await connection.execute(statements)
            await connection.execute("INSERT INTO schema_migrations (version) VALUES ($1)", version)
        return len(MIGRATIONS) - done


async def _done(connection: Any) -> int:
    if await connection.fetchval("SELECT to_regclass('schema_migrations')") is None:
        return 0
    return int(await connection.fetchval("SELECT coalesce(max(version), 0) FROM schema_migrations"))
