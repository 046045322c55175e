"""What CloudWatch hears of an instance is what its processes do; and how many connections its parameters give it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from pg8000.exceptions import DatabaseError, InterfaceError

from sandbox.platform.rds.metrics import values
from sandbox.postgres.processes import Usage
from tests.sandbox.fixtures.automation import eventually
from tests.sandbox.fixtures.databases import Databases, databases_alone


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    with databases_alone(tmp_path_factory.mktemp("metrics")) as databases:
        yield databases


@pytest.fixture(scope="module")
def group(databases: Databases) -> str:
    name = databases.platform.name("parameters")
    databases.rds.create_db_parameter_group(
        DBParameterGroupName=name, DBParameterGroupFamily="postgres16", Description="for a test"
    )
    limit(databases, name, 20)
    return name


def limit(databases: Databases, group: str, connections: int) -> None:
    parameter = {"ParameterName": "max_connections", "ParameterValue": str(connections)}
    databases.rds.modify_db_parameter_group(
        DBParameterGroupName=group, Parameters=[{**parameter, "ApplyMethod": "pending-reboot"}]
    )


@pytest.fixture(scope="module")
def instance(databases: Databases, group: str) -> dict[str, Any]:
    return databases.create("measured", DBParameterGroupName=group, BackupRetentionPeriod=1)


def newest(databases: Databases, name: str, metric: str) -> float:
    data = databases.platform.metrics("AWS/RDS", DBInstanceIdentifier=name)
    return float(data[-1][metric]) if data else -1.0


def test_every_client_is_a_connection_and_nobody_else(databases: Databases, instance: dict[str, Any]) -> None:
    eventually(lambda: newest(databases, "measured", "DatabaseConnections") == 0)
    with ExitStack() as held:
        for _ in range(7):
            held.enter_context(databases.session(instance))
        eventually(lambda: newest(databases, "measured", "DatabaseConnections") == 7)
    eventually(lambda: newest(databases, "measured", "DatabaseConnections") == 0)


def test_a_query_that_runs_away_uses_its_processor(databases: Databases, instance: dict[str, Any]) -> None:
    eventually(lambda: 0 <= newest(databases, "measured", "CPUUtilization") < 40, 20)
    with databases.session(instance) as session, databases.session(instance) as other:
        number = session.run("SELECT pg_backend_pid()")[0][0]
        # Longer than the client waits, unless it is cancelled.
        with ThreadPoolExecutor(1) as pool:
            spinning = pool.submit(session.run, "SELECT count(*) FROM generate_series(1, 10000000000)")
            eventually(lambda: newest(databases, "measured", "CPUUtilization") > 50, 15)
            other.run("SELECT pg_cancel_backend(:n)", n=number)
            assert isinstance(spinning.exception(15), DatabaseError)
    # What a backend used before it ended is not lost, and counts once.
    eventually(lambda: 0 <= newest(databases, "measured", "CPUUtilization") < 40, 20)


def test_the_parameter_group_says_how_many_connections_there_are(
    databases: Databases, instance: dict[str, Any], group: str
) -> None:
    def limited() -> int:
        with databases.session(instance) as session:
            return int(session.run("SHOW max_connections")[0][0])

    assert limited() == 20
    with ExitStack() as held:
        # Some of them are kept for the administrator.
        for _ in range(10):
            held.enter_context(databases.session(instance))
        with pytest.raises((DatabaseError, InterfaceError), match=r"53300|too many|remaining"):  # noqa: PT012
            for _ in range(11):
                held.enter_context(databases.session(instance))
    limit(databases, group, 30)
    assert limited() == 20, "a static parameter waits for a reboot"
    databases.rds.reboot_db_instance(DBInstanceIdentifier="measured")
    databases.available("measured")
    assert limited() == 30


def test_a_copy_with_fewer_connections_is_recovered_all_the_same(
    databases: Databases, instance: dict[str, Any]
) -> None:
    with databases.session(instance) as session:
        session.run("INSERT INTO t VALUES (1)")
    snapshot = databases.snapshot("measured")
    group = databases.platform.name("fewer")
    databases.rds.create_db_parameter_group(
        DBParameterGroupName=group, DBParameterGroupFamily="postgres16", Description="for a test"
    )
    limit(databases, group, 10)
    databases.rds.restore_db_instance_from_db_snapshot(
        DBInstanceIdentifier="copy", DBSnapshotIdentifier=snapshot, DBParameterGroupName=group
    )
    assert databases.numbers(databases.available("copy")) == [1]


def test_counters_that_began_again_are_taken_as_they_are() -> None:
    def cpu(before: Usage | None, seen: Usage) -> float:
        return values(before, seen, 1)["CPUUtilization"][0]

    first, second, restarted = Usage(10, 3, 1.0), Usage(12, 5, 1.5), Usage(13, 0, 0.25)
    assert cpu(first, second) == 50
    assert cpu(second, restarted) == 50
    assert cpu(None, Usage(1, 0, 0.25)) == 50
    assert cpu(first, Usage(11, 3, 9.0)) == 100
    assert values(first, second, 1)["DatabaseConnections"] == (5.0, "Count")
