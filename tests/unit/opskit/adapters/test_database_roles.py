"""`scripts/database-roles.sql` as an RDS administrator runs it, who is no superuser; and run again."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.postgres import roles
from sandbox.postgres.server import Server
from sandbox.provision import roles as provisioned

FUNCTIONS = {"end_session", "cancel_query", "end_query"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory: Path = tmp_path_factory.mktemp("roles")
    made = Server(directory / "source")
    made.create(directory / "template")
    made.configure(password_users=("master",))
    made.start()
    try:
        roles.create(made, master="master", password="secret", database="app")
        for _ in range(2):
            with made.connection("app") as session:
                session.run("SET SESSION AUTHORIZATION master")
                provisioned.run(session, "detection_api")
        yield made
    finally:
        made.stop(signal.SIGQUIT)


@pytest.fixture
def administrator(server: Server) -> Iterator[Any]:
    with server.connection("app") as session:
        yield session


def test_the_functions_are_the_service_s_and_for_the_remedy_alone(administrator: Any) -> None:
    found = administrator.run(
        """SELECT proname, proowner::regrole::text, prosecdef, proconfig::text, grantee::regrole::text
        FROM pg_proc, aclexplode(proacl) WHERE pronamespace = 'ops'::regnamespace"""
    )
    assert {row[0] for row in found} == FUNCTIONS
    assert {tuple(row[1:4]) for row in found} == {("detection_api", True, '{"search_path=pg_catalog, pg_temp"}')}
    assert {row[4] for row in found} == {"detection_api", "ops_remedy"}


def test_nothing_is_left_of_what_it_took_to_make_them(administrator: Any) -> None:
    granted = administrator.run(
        """SELECT admin_option, inherit_option, set_option FROM pg_auth_members
        WHERE roleid = 'detection_api'::regrole AND member = 'master'::regrole"""
    )
    # What PostgreSQL gives whoever makes a role, and no more.
    assert granted == [[True, False, False]]
    for privilege in ("CREATE", "USAGE"):
        asked = administrator.run(f"SELECT has_schema_privilege('detection_api', 'ops', '{privilege}')")
        assert asked == [[False]]


def test_the_service_leaves_connections_to_others(administrator: Any) -> None:
    (limit,) = administrator.run("SELECT rolconnlimit FROM pg_roles WHERE rolname = 'detection_api'")[0]
    (most,) = administrator.run("SELECT current_setting('max_connections')::int")[0]
    assert limit == most * 9 // 10


def test_the_remedy_reads_no_table_and_signals_nobody_by_itself(administrator: Any) -> None:
    asked = administrator.run(
        """SELECT pg_has_role('ops_remedy', 'pg_signal_backend', 'MEMBER'),
            pg_has_role('ops_remedy', 'pg_read_all_data', 'MEMBER'),
            pg_has_role('ops_remedy', 'detection_api', 'MEMBER'),
            has_table_privilege('ops_remedy', 'ops.heartbeat', 'SELECT'),
            pg_has_role('ops_remedy', 'pg_read_all_stats', 'USAGE')"""
    )
    assert asked == [[False, False, False, False, True]]
