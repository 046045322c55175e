"""A real PostgreSQL with the service's roles, behind TLS as RDS's is."""

import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from sandbox.postgres import children, front, roles
from sandbox.postgres.server import ADMINISTRATOR, Server
from sandbox.provision import roles as provisioned

PASSWORD = "correct-horse"
USERS = ("owner", "writer")


@dataclass(frozen=True)
class Endpoint:
    host: str
    port: int
    authorities: str


@contextmanager
def postgres(directory: Path) -> Iterator[Server]:
    """A server with the database `app`, what `scripts/database-roles.sql` makes, and the role `writer`, which has a
    password and may do what `ops_heartbeat` may."""
    server = Server(directory / "source")
    server.create(directory / "template")
    server.configure(password_users=USERS)
    server.start()
    try:
        roles.create(server, master="owner", password=PASSWORD, database="app")
        with server.connection("app") as session:
            provisioned.run(session, "detection_api")
            session.run(f"CREATE ROLE writer LOGIN PASSWORD '{PASSWORD}'")
            session.run("GRANT USAGE ON SCHEMA ops TO writer")
            session.run("GRANT SELECT, INSERT, DELETE ON ops.heartbeat TO writer")
        yield server
    finally:
        server.stop(signal.SIGQUIT)


@contextmanager
def endpoint(server: Server, directory: Path, name: str = "127.0.0.1") -> Iterator[Endpoint]:
    """An address of loopback at which the server speaks TLS, with a certificate for `name`.

    It takes passwords, for no IAM is there to be asked.
    """
    authority = trustme.CA()
    issued = authority.issue_cert(name)
    issued.cert_chain_pems[0].write_to_path(str(directory / f"{name}.pem"))
    issued.private_key_pem.write_to_path(str(directory / f"{name}.key"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        settings = front.Settings(
            listener=listener.fileno(),
            host="127.0.0.1",
            port=port,
            server=".",
            certificate=str(directory / f"{name}.pem"),
            key=str(directory / f"{name}.key"),
            automation_url="http://127.0.0.1:9",
            region="us-east-1",
            account="000000000000",
            resource_id="db-1",
            administrator=ADMINISTRATOR,
            iam=True,
        )
        process = children.start(
            [sys.executable, "-P", "-m", "sandbox.postgres.front", settings.to_json()],
            cwd=server.socket,
            log=directory / "front.log",
            drop=False,
            stdin=True,
            fds=(listener.fileno(),),
        )
        try:
            yield Endpoint("127.0.0.1", port, authority.cert_pem.bytes().decode())
        finally:
            children.stop(process, signal.SIGTERM, 5)
