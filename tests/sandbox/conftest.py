"""Real engines for the tests of the service."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.redis.launcher import Launcher
from sandbox.redis.server import RedisServer
from tests.sandbox.fixtures.automation import free_ports
from tests.sandbox.fixtures.postgres import Postgres, postgres


@pytest.fixture(scope="module")
def postgres_server() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


@pytest.fixture
def database(postgres_server: Postgres) -> Iterator[Postgres]:
    """The module's server, running and without tables."""
    server = postgres_server
    with server.session("postgres", "detections") as session:
        session.run("DROP OWNED BY detection_api")
        session.run("GRANT ALL ON SCHEMA public TO detection_api")
    yield server
    server.resume()
    if not server.answers():
        server.start()


@pytest.fixture(scope="module")
def redis_launcher() -> Launcher:
    return Launcher()


@pytest.fixture
def cache(tmp_path: Path, redis_launcher: Launcher) -> Iterator[RedisServer]:
    running = RedisServer(redis_launcher, tmp_path / "redis", ("127.0.0.1", free_ports(1)[0]))
    running.start({"maxmemory": "50mb", "maxmemory-policy": "allkeys-lru"})
    yield running
    running.stop()
