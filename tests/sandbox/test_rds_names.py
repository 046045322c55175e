"""The private zone's names: new connections go where the record points, the others stay until an end dies."""

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from pg8000.exceptions import InterfaceError

from sandbox.names import zone
from sandbox.names.forwarder import Forwarder
from sandbox.names.resolver import Resolver
from tests.sandbox.fixtures.automation import Plane, eventually, free_ports, running_plane
from tests.sandbox.fixtures.databases import Databases, quick, running_databases


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with running_plane(tmp_path_factory.mktemp("planes")) as plane:
        yield plane


@pytest.fixture(scope="module")
def databases(plane: Plane) -> Iterator[Databases]:
    with running_databases(quick(plane.config)) as databases:
        yield databases


def through(databases: Databases) -> dict[str, Any]:
    """The name, as clients reach it."""
    return {"Endpoint": {"Address": "127.0.0.1", "Port": databases.config.database_port}}


def test_a_changed_record_moves_new_connections_and_no_others(plane: Plane, databases: Databases) -> None:
    route53, config = plane.client("route53"), databases.config
    one, two = databases.create("one"), databases.create("two")
    for number, instance in ((1, one), (2, two)):
        with databases.session(instance) as session:
            session.run("INSERT INTO t (n) VALUES (:n)", n=number)
    with pytest.raises((InterfaceError, OSError)), databases.session(through(databases)):
        pass

    zone_id = zone.create(route53, config.zone, vpc_id="vpc-1", region="us-east-1")
    assert zone.create(route53, config.zone, vpc_id="vpc-1", region="us-east-1") == zone_id
    zone.point(route53, zone_id, config.database_name, one["Endpoint"]["Address"])
    eventually(lambda: reached(databases) == [1])
    with databases.session(through(databases)) as session:
        zone.point(route53, zone_id, config.database_name, two["Endpoint"]["Address"])
        eventually(lambda: reached(databases) == [2])
        assert session.run("SELECT n FROM t") == [[1]], "a connection that stands stays"
        databases.delete("one")
        with pytest.raises((InterfaceError, OSError)):
            session.run("SELECT n FROM t")
    assert reached(databases) == [2]


def reached(databases: Databases) -> list[int] | None:
    try:
        return databases.numbers(through(databases))
    except (InterfaceError, OSError):
        return None


class Records:
    """Stands in for Route 53: answers with `host`, or not at all."""

    def __init__(self) -> None:
        self.host: str | None = "127.42.0.1"
        self.asked = 0
        self.down = False

    def list_hosted_zones_by_name(self, **_: Any) -> dict[str, Any]:
        return {"HostedZones": [{"Name": "x.internal.", "Id": "/hostedzone/Z1"}]}

    def list_resource_record_sets(self, **_: Any) -> dict[str, Any]:
        self.asked += 1
        if self.down:
            raise EndpointConnectionError(endpoint_url="http://127.0.0.1")
        record = {"Name": "db.x.internal.", "Type": "CNAME", "TTL": 60, "ResourceRecords": [{"Value": self.host}]}
        return {"ResourceRecordSets": [record] if self.host else []}


def test_an_answer_is_remembered_for_its_ttl_and_stands_while_nobody_can_be_asked() -> None:
    now, records = [0.0], Records()
    resolver = Resolver(records, "x.internal", "db.x.internal", ttl_limit_seconds=2, clock=lambda: now[0])
    assert resolver.host() == "127.42.0.1"
    records.host = "127.42.0.2"
    now[0] = 1.9
    assert (resolver.host(), records.asked) == ("127.42.0.1", 1)
    now[0] = 2.0
    assert (resolver.host(), records.asked) == ("127.42.0.2", 2)
    records.down, now[0] = True, 10.0
    assert resolver.host() == "127.42.0.2"
    records.down, records.host = False, None
    assert resolver.host() is None


async def test_a_name_that_nobody_answers_for_ends_the_connection() -> None:
    (port,) = free_ports(1)
    async with Forwarder(lambda: "127.42.0.250", port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read(1) == b""
        writer.close()


async def test_what_a_client_sends_before_it_is_connected_arrives() -> None:
    (port,) = free_ports(1)
    release = asyncio.Event()
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.readexactly(5))
        writer.write(b"back")
        writer.close()

    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(serve, "127.42.0.251", port)

    def slowly() -> str:
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result(5)
        return "127.42.0.251"

    async with server, Forwarder(slowly, port):
        client = socket.create_connection(("127.0.0.1", port))
        client.sendall(b"hello")
        release.set()
        assert await asyncio.to_thread(client.recv, 10) == b"back"
        client.close()
    assert got == [b"hello"]
