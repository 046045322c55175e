"""Sessions with a real PostgreSQL behind TLS. Its roles have passwords here; tokens are tested in a sandbox."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme

from opskit.adapters.sql import Session, connect
from opskit.errors import DatabaseError, DatabaseLoginError, UnavailableError
from sandbox.postgres.server import Server

from .engines import PASSWORD, Endpoint, endpoint, postgres


@dataclass
class Signer:
    """In place of the client that signs tokens."""

    token: str = PASSWORD
    asked: list[dict[str, Any]] = field(default_factory=list)

    def generate_db_auth_token(self, **given: Any) -> str:
        self.asked.append(given)
        return self.token


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sql")


@pytest.fixture(scope="module")
def server(directory: Path) -> Iterator[Server]:
    with postgres(directory) as running:
        yield running


@pytest.fixture(scope="module")
def there(server: Server, directory: Path) -> Iterator[Endpoint]:
    with endpoint(server, directory) as found:
        yield found


@contextmanager
def session(there: Endpoint, user: str = "writer", token: str = PASSWORD, **changes: Any) -> Iterator[Session]:
    given = {"database": "app", "user": user, "authorities": there.authorities, "client": Signer(token), **changes}
    with connect(there.host, given.pop("port", there.port), **given) as open_session:
        yield open_session


def test_a_session_runs_statements_as_the_role_with_a_token_for_that_endpoint(there: Endpoint) -> None:
    signer = Signer()
    with session(there, client=signer) as open_session:
        assert open_session.rows("SELECT current_user::text, :a + 1", a=41) == [("writer", 42)]
        assert open_session.run("INSERT INTO ops.heartbeat DEFAULT VALUES") == 1
        assert open_session.run("DELETE FROM ops.heartbeat") >= 1
        assert open_session.rows("SHOW application_name") == [("detection-ops",)]
        assert open_session.rows("SHOW statement_timeout") == [("1min",)]
    assert signer.asked == [{"DBHostname": there.host, "Port": there.port, "DBUsername": "writer"}]


def test_a_transaction_is_kept_or_given_up_as_a_whole(there: Endpoint) -> None:
    with session(there) as open_session:
        open_session.run("DELETE FROM ops.heartbeat")
        with suppress(KeyError), open_session.transaction():
            open_session.run("INSERT INTO ops.heartbeat DEFAULT VALUES")
            raise KeyError
        assert open_session.rows("SELECT count(*) FROM ops.heartbeat") == [(0,)]
        with open_session.transaction("ISOLATION LEVEL REPEATABLE READ"):
            open_session.run("INSERT INTO ops.heartbeat DEFAULT VALUES")
        assert open_session.rows("SELECT count(*) FROM ops.heartbeat") == [(1,)]
        with pytest.raises(DatabaseError) as caught, open_session.transaction("READ ONLY"):
            open_session.run("DELETE FROM ops.heartbeat")
        assert caught.value.sqlstate == "25006"
        assert open_session.rows("SELECT 1") == [(1,)], "the session goes on"


def test_a_login_that_is_refused_is_named(there: Endpoint) -> None:
    with pytest.raises(DatabaseLoginError, match=r"writer@127\.0\.0\.1") as caught, session(there, token="wrong"):
        pass
    assert caught.value.sqlstate == "28P01"
    with pytest.raises(DatabaseLoginError, match="PAM authentication failed"), session(there, user="ops_reader"):
        pass


def test_what_the_database_refuses_is_named_with_its_code(there: Endpoint) -> None:
    with session(there) as open_session:
        with pytest.raises(DatabaseError, match=r"does not exist \(42P01\)") as caught:
            open_session.rows("SELECT * FROM nowhere")
        assert caught.value.sqlstate == "42P01"
        assert not isinstance(caught.value, DatabaseLoginError)
    with pytest.raises(DatabaseError, match="does not exist"), session(there, database="other"):
        pass


def test_a_statement_has_a_limit_that_the_server_keeps(there: Endpoint) -> None:
    with session(there, statement_seconds=0.2) as open_session:
        with pytest.raises(DatabaseError) as caught:
            open_session.rows("SELECT pg_sleep(60)")
        assert caught.value.sqlstate == "57014"


def test_a_server_that_ends_the_session_is_unavailable(there: Endpoint) -> None:
    with session(there) as open_session:
        with pytest.raises((UnavailableError, DatabaseError)) as caught:
            open_session.rows("SELECT pg_terminate_backend(pg_backend_pid())")
        assert isinstance(caught.value, UnavailableError)
        with pytest.raises(UnavailableError):
            open_session.rows("SELECT 1")


def test_nobody_answering_is_unavailable(there: Endpoint) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(UnavailableError, match=f"127.0.0.1:{port}/app"), session(there, port=port):
        pass
    with pytest.raises(UnavailableError), session(Endpoint("nowhere.invalid", 5432, there.authorities)):
        pass


def test_a_server_that_says_nothing_is_unavailable(there: Endpoint) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        # What is waited for is the statement's limit and 5 s, together a fifth of a second.
        with pytest.raises(UnavailableError), session(there, port=port, statement_seconds=-4.8):
            pass


def test_a_server_without_tls_gets_no_token(there: Endpoint) -> None:
    heard: list[bytes] = []

    def refuse(listener: socket.socket) -> None:
        with listener.accept()[0] as peer:
            heard.append(peer.recv(100))
            peer.sendall(b"N")
            heard.append(peer.recv(100))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=refuse, args=(listener,))
        thread.start()
        with pytest.raises(UnavailableError, match="SSL"), session(there, port=listener.getsockname()[1]):
            pass
        thread.join()
    assert heard == [b"\0\0\0\x08\x04\xd2\x16\x2f", b""]


def test_a_certificate_of_others_is_not_trusted(there: Endpoint) -> None:
    other = trustme.CA().cert_pem.bytes().decode()
    with pytest.raises(DatabaseError, match="not to be trusted"), session(there, authorities=other):
        pass


def test_a_certificate_for_another_host_is_not_trusted(server: Server, directory: Path) -> None:
    with (
        endpoint(server, directory, "elsewhere.example.com") as elsewhere,
        pytest.raises(DatabaseError, match="not to be trusted"),
        session(elsewhere),
    ):
        pass


def test_authorities_that_are_no_certificates_are_refused(there: Endpoint) -> None:
    with pytest.raises(DatabaseError, match="not PEM"), session(there, authorities="not a certificate"):
        pass
