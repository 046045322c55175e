"""What stands before a server: TLS, passwords, many connections at once."""

import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pg8000.exceptions import DatabaseError, InterfaceError

from tests.sandbox.fixtures.automation import eventually
from tests.sandbox.fixtures.databases import PASSWORD, Databases, databases_alone

SSL_REQUEST = struct.pack("!ii", 8, 80877103)


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    with databases_alone(tmp_path_factory.mktemp("front")) as databases:
        yield databases


@pytest.fixture(scope="module")
def instance(databases: Databases) -> dict[str, Any]:
    return databases.create()


def connect(instance: dict[str, Any]) -> socket.socket:
    return socket.create_connection((instance["Endpoint"]["Address"], instance["Endpoint"]["Port"]), timeout=10)


def startup(**parameters: str) -> bytes:
    body = b"".join(f"{key}\0{value}\0".encode() for key, value in parameters.items()) + b"\0"
    return struct.pack("!ii", len(body) + 8, 196608) + body


def test_the_certificate_is_the_endpoint_s_and_no_alias_s(databases: Databases, instance: dict[str, Any]) -> None:
    with connect(instance) as plain:
        plain.sendall(SSL_REQUEST)
        assert plain.recv(1) == b"S"
        with databases.trust.wrap_socket(plain, server_hostname=instance["Endpoint"]["Address"]) as encrypted:
            assert encrypted.version() in ("TLSv1.2", "TLSv1.3")
    for alias in ("database.detection-api.internal", "127.0.0.1"):
        with connect(instance) as plain:
            plain.sendall(SSL_REQUEST)
            plain.recv(1)
            with pytest.raises(ssl.SSLCertVerificationError):
                databases.trust.wrap_socket(plain, server_hostname=alias)


def test_without_tls_nobody_gets_in(instance: dict[str, Any]) -> None:
    with connect(instance) as plain:
        plain.sendall(startup(user="owner", database="app"))
        answer = plain.recv(1000)
    assert answer[:1] == b"E"
    assert b"C28000\0" in answer
    assert b"no encryption" in answer


def test_what_is_sent_before_the_handshake_does_not_count_as_encrypted(instance: dict[str, Any]) -> None:
    with connect(instance) as plain:
        plain.sendall(SSL_REQUEST + startup(user="owner", database="app"))
        assert plain.recv(1) in (b"S", b"")
        # The connection is over; nothing of what was smuggled in is answered.
        rest = plain.recv(1000)
        assert b"R" not in rest[:1]


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\n\r\n", struct.pack("!ii", 8, 12345), b"\0\0\0\1"])
def test_who_speaks_something_else_is_cut_off(instance: dict[str, Any], first: bytes) -> None:
    with connect(instance) as plain:
        plain.sendall(first)
        assert plain.recv(1000) == b""


def test_wrong_passwords_and_users_are_refused_as_postgres_does(databases: Databases, instance: dict[str, Any]) -> None:
    for user, password in (("owner", "wrong"), ("nobody", PASSWORD)):
        with pytest.raises(DatabaseError) as caught, databases.session(instance, user, password):
            pass
        assert caught.value.args[0]["C"] == "28P01"


def test_the_superuser_cannot_log_in_from_outside(databases: Databases, instance: dict[str, Any]) -> None:
    with pytest.raises(DatabaseError) as caught, databases.session(instance, "rdsadmin", PASSWORD):
        pass
    assert caught.value.args[0]["C"] == "28000"


def test_the_master_user_is_no_superuser_but_can_make_roles(databases: Databases, instance: dict[str, Any]) -> None:
    with databases.session(instance) as session:
        assert session.run("SELECT rolsuper, rolcreaterole FROM pg_roles WHERE rolname = current_user") == [
            [False, True]
        ]
        session.run("CREATE ROLE reader LOGIN PASSWORD 'reading-only'")
        session.run("GRANT SELECT ON t TO reader")
    with databases.session(instance, "reader", "reading-only") as session:
        assert session.run("SELECT count(*) FROM t") is not None
        with pytest.raises(DatabaseError):
            session.run("DELETE FROM t")


def test_much_data_passes_unchanged_both_ways(databases: Databases, instance: dict[str, Any]) -> None:
    text = "".join(chr(ord("a") + index % 26) for index in range(3_000_001))
    with databases.session(instance) as session:
        ((back, length),) = session.run("SELECT :text || '', length(:text)", text=text)
        assert (back == text, length) == (True, len(text))
        ((size,),) = session.run(
            "SELECT sum(length(x)) FROM (SELECT repeat('x', 1000) x FROM generate_series(1, 20000)) y"
        )
        assert size == 20_000_000


def test_fifty_clients_at_once_each_get_their_own_answers(databases: Databases, instance: dict[str, Any]) -> None:
    def work(number: int) -> int:
        with databases.session(instance) as session:
            for step in range(20):
                assert session.run("SELECT :a * 1000 + :b", a=number, b=step) == [[number * 1000 + step]]
                session.run("INSERT INTO t (n) VALUES (:n)", n=number)
        return number

    with ThreadPoolExecutor(50) as pool:
        assert sorted(pool.map(work, range(50))) == list(range(50))
    with databases.session(instance) as session:
        assert session.run("SELECT count(*) FROM t") == [[1000]]
        # Sessions that ended are not left at the server.
        look = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'owner'"
        eventually(lambda: session.run(look) == [[1]])


def test_a_query_can_be_cancelled_through_the_front(databases: Databases, instance: dict[str, Any]) -> None:
    with databases.session(instance) as session, databases.session(instance) as other:
        failed: list[Exception] = []

        def sleep() -> None:
            try:
                session.run("SELECT pg_sleep(30)")
            except (DatabaseError, InterfaceError) as error:
                failed.append(error)

        thread = threading.Thread(target=sleep)
        thread.start()
        look = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' AND pid <> pg_backend_pid()"
        eventually(lambda: other.run(look) == [[1]])
        process, secret = struct.unpack("!ii", session._backend_key_data)
        with connect(instance) as plain:
            plain.sendall(struct.pack("!iiii", 16, 80877102, process, secret))
            assert plain.recv(10) == b""
        thread.join(10)
        assert not thread.is_alive()
        assert failed[0].args[0]["C"] == "57014"


def test_a_reboot_cuts_connections_and_the_address_stays(databases: Databases, instance: dict[str, Any]) -> None:
    name = instance["DBInstanceIdentifier"]
    with databases.session(instance) as session:
        databases.rds.reboot_db_instance(DBInstanceIdentifier=name)
        eventually(lambda: not alive(session))
    after = databases.available(name)
    assert after["Endpoint"] == instance["Endpoint"]
    with databases.session(after) as session:
        assert session.run("SELECT 1") == [[1]]


def alive(session: Any) -> bool:
    try:
        session.run("SELECT 1")
    except (DatabaseError, InterfaceError, OSError):
        return False
    return True
