"""What is taken down of a real PostgreSQL: equal for equal databases, and different for every change."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from opskit.adapters.database_contents import (
    newest_heartbeat,
    read_contents,
    stamp_heartbeat,
    verify_read_write,
)
from opskit.adapters.sql import Session
from opskit.decisions.contents import DatabaseContents
from opskit.errors import DatabaseError
from sandbox.postgres import backup
from sandbox.postgres.server import Server
from sandbox.provision import roles as provisioned

from .engines import USERS, postgres

SCHEMA = """
CREATE TABLE plain (id serial PRIMARY KEY, label text NOT NULL DEFAULT 'none', at timestamptz, size double precision);
CREATE TABLE "Odd ""Name" (x int, t bytea, f jsonb, UNIQUE (x));
CREATE TABLE child (plain int REFERENCES plain, note text) INHERITS (plain);
CREATE TABLE parted (id int, on_day date, PRIMARY KEY (id, on_day)) PARTITION BY RANGE (on_day);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE nothing ();
CREATE UNLOGGED TABLE scratch (x int);
CREATE INDEX plain_by_label ON plain (lower(label)) WHERE size > 0;
CREATE SEQUENCE numbers INCREMENT 5 CACHE 3;
CREATE VIEW labels AS SELECT label FROM plain;
CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM plain;
CREATE MATERIALIZED VIEW unfilled AS SELECT count(*) FROM plain WITH NO DATA;
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touched BEFORE UPDATE ON plain FOR EACH ROW EXECUTE FUNCTION touch();
CREATE SCHEMA other;
CREATE TABLE other.plain (x numeric);
INSERT INTO plain (label, at, size) SELECT 'l' || g, '2026-01-01'::timestamptz + g * interval '1 h', g / 3.0
    FROM generate_series(1, 50) g;
INSERT INTO "Odd ""Name" VALUES (1, '\\x00ff', '{"a": 1}'), (NULL, NULL, NULL);
INSERT INTO child (label, note) VALUES ('c', 'n');
INSERT INTO parted SELECT g, '2026-01-01'::date + g FROM generate_series(0, 49) g;
INSERT INTO scratch VALUES (1);
"""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("contents")


@pytest.fixture(scope="module")
def server(directory: Path) -> Iterator[Server]:
    with postgres(directory) as running:
        with running.connection("app") as administrator:
            administrator.run(SCHEMA)
        yield running


@contextmanager
def acting_as(server: Server, role: str) -> Iterator[Session]:
    with server.connection("app") as connection:
        connection.run(f"SET SESSION AUTHORIZATION {role}")
        yield Session(connection)


def contents(server: Server, **changes: Any) -> DatabaseContents:
    with acting_as(server, "ops_reader") as session:
        return read_contents(session, **changes)


@contextmanager
def changed(server: Server, *statements: str) -> Iterator[None]:
    """With `statements` done by the administrator, and the database as it was afterwards."""
    with server.connection("app") as administrator:
        for statement in statements[:-1]:
            administrator.run(statement)
        yield
        administrator.run(statements[-1])


def test_a_role_that_reads_everything_takes_down_every_table_at_one_moment(server: Server) -> None:
    found = contents(server)
    assert found.rows == {
        "other.plain": 0,
        'public."Odd ""Name"': 2,
        "public.child": 1,
        "public.nothing": 0,
        "public.parted_1": 31,
        "public.parted_2": 19,
        "public.plain": 50,
        "public.totals": 1,
    }
    assert found.checksums.keys() == found.rows.keys()
    assert len(found.schema_sha256) == 64
    assert contents(server) == found
    assert DatabaseContents.from_dict(found.as_dict()) == found


def test_functions_that_were_planted_in_the_database_are_not_called(server: Server) -> None:
    """Whoever wrote the database also named its functions; those called are the server's own."""
    before = contents(server)
    body = "RETURNS {} LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'planted'; END $$"
    planted = {"sha256(bytea)": "bytea", "format(text, name, name)": "text", "encode(bytea, text)": "text"}
    create = [f"CREATE FUNCTION public.{name} {body.format(kind)}" for name, kind in planted.items()]
    drop = f"DROP FUNCTION {', '.join(f'public.{name}' for name in planted)}"
    with changed(server, *create, drop), acting_as(server, "ops_reader") as session:
        session.run("SET search_path = public, pg_catalog")
        found = read_contents(session)
    assert (found.rows, found.checksums) == (before.rows, before.checksums)


def test_the_sessions_own_settings_change_nothing(server: Server) -> None:
    expected = contents(server)
    with acting_as(server, "ops_reader") as session:
        for setting in (
            "timezone = 'Asia/Tokyo'",
            "datestyle = 'German'",
            "search_path = other, public",
            "extra_float_digits = -5",
            "bytea_output = 'escape'",
            "intervalstyle = 'iso_8601'",
        ):
            session.run(f"SET {setting}")
        assert read_contents(session) == expected
        assert session.rows("SHOW search_path") == [("other, public",)], "and the session keeps them"


def test_a_copy_of_the_files_is_equal(server: Server, directory: Path) -> None:
    expected = contents(server)
    base = backup.take(server, directory / "base")
    copy = Server(directory / "copy")
    backup.restore(copy, base, password_users=USERS)
    try:
        assert contents(copy) == expected
    finally:
        copy.stop(signal.SIGQUIT)


def test_a_database_built_anew_in_another_order_is_equal_though_its_oids_differ(server: Server) -> None:
    expected = contents(server)
    with server.connection() as administrator:
        administrator.run("CREATE DATABASE again")
    with server.connection("again") as administrator:
        administrator.run("CREATE TABLE for_oids (x serial); DROP TABLE for_oids")
        provisioned.run(administrator, "detection_api")
        for statement in [s for s in SCHEMA.split(";\n") if "other" in s or ("parted" in s and "INSERT" not in s)]:
            administrator.run(statement)
        rest = [s for s in SCHEMA.split(";\n") if not ("other" in s or ("parted" in s and "INSERT" not in s))]
        for statement in rest:
            administrator.run(statement)
        # The rows in another order on disk.
        administrator.run("UPDATE plain SET label = label WHERE id % 2 = 0")
        administrator.run("SET SESSION AUTHORIZATION ops_reader")
        assert read_contents(Session(administrator)) == expected
    with server.connection() as administrator:
        administrator.run("DROP DATABASE again")


SCHEMA_CHANGES = [
    ("ALTER TABLE plain ADD COLUMN more int", "ALTER TABLE plain DROP COLUMN more"),
    ("ALTER TABLE plain ALTER COLUMN label DROP NOT NULL", "ALTER TABLE plain ALTER COLUMN label SET NOT NULL"),
    ("ALTER TABLE plain ALTER label SET DEFAULT 'some'", "ALTER TABLE plain ALTER label SET DEFAULT 'none'"),
    ("ALTER TABLE other.plain ALTER x TYPE numeric(9, 2)", "ALTER TABLE other.plain ALTER x TYPE numeric"),
    ("ALTER TABLE nothing RENAME TO something", "ALTER TABLE something RENAME TO nothing"),
    ("CREATE INDEX more ON plain (at)", "DROP INDEX more"),
    ("ALTER TABLE plain ADD CONSTRAINT positive CHECK (id > 0)", "ALTER TABLE plain DROP CONSTRAINT positive"),
    ("ALTER SEQUENCE numbers INCREMENT 6", "ALTER SEQUENCE numbers INCREMENT 5"),
    ("CREATE OR REPLACE VIEW labels AS SELECT label FROM plain WHERE id > 1", "CREATE OR REPLACE VIEW labels AS SELECT label FROM plain"),  # noqa: E501
    ("CREATE VIEW more AS SELECT 1", "DROP VIEW more"),
    ("ALTER TABLE plain DISABLE TRIGGER touched", "ALTER TABLE plain ENABLE TRIGGER touched"),
    ("CREATE OR REPLACE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 2'", "CREATE OR REPLACE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'"),  # noqa: E501
    ("CREATE FUNCTION one(int) RETURNS int LANGUAGE sql AS 'SELECT 1'", "DROP FUNCTION one(int)"),
    ("CREATE TYPE more AS ENUM ('a')", "DROP TYPE more"),
    ("CREATE SCHEMA more", "DROP SCHEMA more"),
    ("ALTER TABLE parted DETACH PARTITION parted_2", "ALTER TABLE parted ATTACH PARTITION parted_2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01')"),  # noqa: E501
    ("ALTER TABLE nothing SET UNLOGGED", "ALTER TABLE nothing SET LOGGED"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "back"), SCHEMA_CHANGES, ids=[change for change, _ in SCHEMA_CHANGES])
def test_every_change_of_the_schema_shows(server: Server, change: str, back: str) -> None:
    before = contents(server)
    with changed(server, change, back):
        assert contents(server).schema_sha256 != before.schema_sha256
    assert contents(server).schema_sha256 == before.schema_sha256


def test_what_is_no_change_of_the_schema_does_not_show(server: Server) -> None:
    before = contents(server)
    with server.connection("app") as administrator:
        administrator.run("SELECT nextval('numbers')")
        administrator.run("ANALYZE")
        administrator.run("REINDEX TABLE plain")
    with server.connection("app") as administrator:
        administrator.run("VACUUM FULL plain")
        administrator.run("CREATE TEMPORARY TABLE own (x int)")
        assert contents(server) == before


def test_a_changed_value_shows_in_the_checksum_of_its_table_alone(server: Server) -> None:
    before = contents(server)
    with changed(
        server,
        "UPDATE plain SET size = size + 1e-12 WHERE id = 7",
        "UPDATE plain SET size = 7 / 3.0 WHERE id = 7",
    ):
        after = contents(server)
        assert (after.schema_sha256, after.rows) == (before.schema_sha256, before.rows)
        different = {table for table in before.rows if before.checksums[table] != after.checksums[table]}
        assert different == {"public.plain"}
    assert contents(server) == before


def test_rows_that_are_swapped_for_others_show(server: Server) -> None:
    before = contents(server)
    with changed(
        server,
        'DELETE FROM "Odd ""Name" WHERE x = 1',
        'INSERT INTO "Odd ""Name" VALUES (NULL, NULL, NULL)',
        """UPDATE "Odd ""Name" SET x = 1, t = '\\x00ff', f = '{"a": 1}'
           WHERE ctid = (SELECT min(ctid) FROM "Odd ""Name" WHERE x IS NULL)""",
    ):
        after = contents(server)
        assert after.rows == before.rows
        assert after.checksums['public."Odd ""Name"'] != before.checksums['public."Odd ""Name"']
    assert contents(server) == before


def test_a_big_table_is_only_counted(server: Server) -> None:
    found = contents(server, checksum_rows=49)
    assert found.rows["public.plain"] == 50
    assert found.checksums.keys() == found.rows.keys() - {"public.plain"}
    assert "public.plain" in contents(server, checksum_rows=50).checksums


def test_what_changes_meanwhile_is_not_seen(server: Server) -> None:
    before = contents(server)
    with acting_as(server, "ops_reader") as session:

        class Meddling(Session):
            """Deletes rows once the reading has begun."""

            def rows(self, statement: str, **params: Any) -> list[tuple[Any, ...]]:
                found = super().rows(statement, **params)
                if "relkind" in statement:
                    with server.connection("app") as administrator:
                        administrator.run("DELETE FROM parted")
                return found

        assert read_contents(Meddling(session._connection)) == before
    with server.connection("app") as administrator:
        administrator.run("INSERT INTO parted SELECT g, '2026-01-01'::date + g FROM generate_series(0, 49) g")
    assert contents(server) == before


def test_rows_that_a_policy_hides_are_an_error_and_not_a_smaller_count(server: Server) -> None:
    with (
        changed(
            server,
            "ALTER TABLE plain ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE plain DISABLE ROW LEVEL SECURITY",
        ),
        pytest.raises(DatabaseError, match="row-level security"),
    ):
        contents(server)


def test_a_role_without_the_right_to_read_is_refused(server: Server) -> None:
    with acting_as(server, "writer") as session, pytest.raises(DatabaseError, match="permission denied"):
        read_contents(session)


def test_the_database_stamps_heartbeats_and_drops_old_ones(server: Server) -> None:
    with acting_as(server, "ops_heartbeat") as session:
        session.run("DELETE FROM ops.heartbeat")
        assert newest_heartbeat(session) is None
        first = stamp_heartbeat(session)
        assert first.tzinfo is UTC
        assert newest_heartbeat(session) == first
        second = stamp_heartbeat(session)
        assert second > first
        assert session.rows("SELECT count(*) FROM ops.heartbeat") == [(2,)]
    with server.connection("app") as administrator:
        administrator.run("UPDATE ops.heartbeat SET stamped_at = now() - interval '7 days 1 minute'")
    with acting_as(server, "ops_heartbeat") as session:
        third = stamp_heartbeat(session)
        assert session.rows("SELECT count(*) FROM ops.heartbeat") == [(1,)]
    found = contents(server)
    assert found.heartbeat == third
    assert "ops.heartbeat" not in found.rows
    assert abs(datetime.now(UTC) - third) < timedelta(minutes=5)


def test_a_database_without_the_table_has_no_heartbeat(server: Server) -> None:
    with server.connection("postgres") as connection:
        assert newest_heartbeat(Session(connection)) is None


def test_reading_and_writing_is_verified_with_a_row(server: Server) -> None:
    with acting_as(server, "ops_heartbeat") as session:
        written = verify_read_write(session)
        assert newest_heartbeat(session) == written
        session.run("SET default_transaction_read_only = on")
        with pytest.raises(DatabaseError, match="read-only"):
            verify_read_write(session)


def test_a_row_that_is_not_there_afterwards_is_an_error(server: Server) -> None:
    class Forgetful(Session):
        def rows(self, statement: str, **params: Any) -> list[tuple[Any, ...]]:
            found = super().rows(statement, **params)
            return [] if statement.startswith("SELECT") else found

    with acting_as(server, "ops_heartbeat") as session, pytest.raises(DatabaseError, match="nothing was read back"):
        verify_read_write(Forgetful(session._connection))
