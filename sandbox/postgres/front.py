"""What an instance's endpoint is: TLS, and RDS's two ways to log in, before a server reached by a Unix socket.

`python -m sandbox.postgres.front <settings as JSON>`, a process for each instance. It ends with its input, of
which each line, `{"iam": true}`, says whether IAM authentication is enabled from now on.
The server decides which way a user logs in (`Server.configure`): it lets members of `rds_iam` in, and then the
password must be an authentication token; it asks for the password of everyone else.
"""

import asyncio
import json
import logging
import signal
import socket
import ssl
import struct
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Self

import urllib3

from sandbox.postgres import tokens, wire
from sandbox.relay import Channel, ProtocolError

log = logging.getLogger("front")

_LOGIN_SECONDS = 30.0
_INVALID_AUTHORIZATION = "28000"
_INVALID_PASSWORD = "28P01"  # noqa: S105 - an SQLSTATE
_CANNOT_CONNECT = "57P03"


@dataclass(frozen=True, slots=True)
class Settings:
    """Of one front. `listener` is the file descriptor of a bound socket; the server's socket is in `server`."""

    listener: int
    host: str
    port: int
    server: str
    certificate: str
    key: str
    automation_url: str
    region: str
    account: str
    resource_id: str
    administrator: str
    iam: bool

    def to_json(self) -> str:
        """As `from_json` reads it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`."""
        return cls(**json.loads(text))


class Refusal(Exception):  # noqa: N818 - an answer, not a failure
    """What the client is told before the connection is closed; `why` is for the log."""

    def __init__(self, code: str, text: str, why: str = "") -> None:
        super().__init__(why or text)
        self.message = wire.refusal(code, text)


class Front:
    """Relays the connections of one instance."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.iam = settings.iam
        self._pool = urllib3.PoolManager(maxsize=8, timeout=urllib3.Timeout(connect=1.0, read=5.0))
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self._tls.load_cert_chain(settings.certificate, settings.key)
        self._tasks: set[asyncio.Task[None]] = set()

    def accept(self) -> Channel:
        """The protocol of a new connection."""
        channel = Channel()
        task = asyncio.get_running_loop().create_task(self._relay(channel))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return channel

    async def _relay(self, client: Channel) -> None:
        server: Channel | None = None
        await asyncio.sleep(0)  # the loop has not announced the connection yet
        try:
            async with asyncio.timeout(_LOGIN_SECONDS):
                server = await self._log_in(client)
            if server is not None:
                client.join(server)
        except Refusal as refusal:
            log.info("refused: %s", refusal)
            client.transport.write(refusal.message)
            client.transport.close()
        except (ProtocolError, OSError, TimeoutError) as error:
            log.info("given up: %s", error or type(error).__name__)
            client.transport.close()

    async def _log_in(self, client: Channel) -> Channel | None:
        encrypted, code, body = False, *(await wire.read_startup(client))
        while code in (wire.SSL_REQUEST, wire.GSS_REQUEST):
            if code == wire.SSL_REQUEST and not encrypted:
                client.transport.write(b"S")
                await client.encrypt(self._tls)
                encrypted = True
            else:
                client.transport.write(b"N")
            code, body = await wire.read_startup(client)
        if code == wire.CANCEL_REQUEST:
            await self._cancel(body)
            client.transport.close()
            return None
        if code >> 16 != 3:
            raise ProtocolError(f"protocol version {code >> 16}.{code & 0xFFFF}")
        given = wire.parameters(body)
        user, database = given.get("user", ""), given.get("database") or given.get("user", "")
        peer = client.transport.get_extra_info("peername")[0]
        about = f'host "{peer}", user "{user}", database "{database}"'
        if not encrypted:
            # rds.force_ssl is 1 from PostgreSQL 15 on.
            raise Refusal(_INVALID_AUTHORIZATION, f"no pg_hba.conf entry for {about}, no encryption")
        if user == self._settings.administrator or given.get("replication", "false") not in ("false", "off", "0"):
            raise Refusal(_INVALID_AUTHORIZATION, f"pg_hba.conf rejects connection for {about}, SSL encryption")
        client.transport.write(wire.password_request())
        kind, password = await wire.read_message(client)
        if kind != b"p":
            raise ProtocolError(f"message {kind!r} in place of a password")
        server = await self._connect(wire.startup(code, body))
        try:
            return await self._authenticate(client, server, user, password)
        except BaseException:
            server.transport.abort()
            raise

    async def _authenticate(self, client: Channel, server: Channel, user: str, password: bytes) -> Channel:
        kind, answer = await wire.read_message(server)
        if kind == b"R" and struct.unpack("!i", answer[:4])[0] == 0:
            text = password.rstrip(b"\0").decode("utf-8", "replace")
            await self._check_token(text, user)
            client.transport.write(wire.message(kind, answer))
        elif kind == b"R":
            server.transport.write(wire.message(b"p", password))
        else:
            client.transport.write(wire.message(kind, answer))
        return server

    async def _connect(self, first: bytes) -> Channel:
        path = f"{self._settings.server}/.s.PGSQL.5432"
        try:
            _, server = await asyncio.get_running_loop().create_unix_connection(Channel, path)
        except OSError as error:
            raise Refusal(_CANNOT_CONNECT, "the database system is not accepting connections", str(error)) from error
        server.transport.write(first)
        return server

    async def _cancel(self, body: bytes) -> None:
        server = await self._connect(wire.startup(wire.CANCEL_REQUEST, body))
        await server.closed

    async def _check_token(self, text: str, user: str) -> None:
        settings = self._settings
        try:
            if not self.iam:
                raise tokens.TokenError("IAM database authentication is not enabled")
            token = tokens.read(
                text,
                host=settings.host,
                port=settings.port,
                user=user,
                region=settings.region,
                now=datetime.now(UTC),
            )
            await asyncio.to_thread(self._ask_iam, token, user)
        except tokens.TokenError as error:
            message = f'PAM authentication failed for user "{user}"'
            raise Refusal(_INVALID_AUTHORIZATION, message, f"{message}: {error}") from error

    def _ask_iam(self, token: tokens.Token, user: str) -> None:
        settings = self._settings
        who = {"access_key_id": token.access_key_id, "session_token": token.session_token}
        signed = {"scope": token.scope, "string_to_sign": token.string_to_sign, "signature": token.signature}
        if self._ask("signature", {**who, **signed}).get("valid") is not True:
            raise tokens.TokenError(f"the signature is not that of {token.access_key_id}")
        resource = f"arn:aws:rds-db:{settings.region}:{settings.account}:dbuser:{settings.resource_id}/{user}"
        decided = self._ask("authorize", {**who, "action": "rds-db:connect", "resource": resource})
        if decided.get("decision") != "allowed":
            raise tokens.TokenError(f"rds-db:connect on {resource}: {decided}")

    def _ask(self, what: str, question: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = self._pool.request("POST", f"{self._settings.automation_url}/_sandbox/{what}", json=question)
            found = answer.json()
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise tokens.TokenError(f"IAM cannot be asked: {error}") from error
        return found if isinstance(found, dict) else {}


async def serve(settings: Settings) -> None:
    """Relay until the input ends or SIGTERM comes."""
    loop = asyncio.get_running_loop()
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    front = Front(settings)

    def told() -> None:
        line = sys.stdin.readline()
        if line:
            front.iam = bool(json.loads(line)["iam"])
        else:
            end.set()

    loop.add_reader(sys.stdin.fileno(), told)
    listener = socket.socket(fileno=settings.listener)
    server = await loop.create_server(front.accept, sock=listener, backlog=512)
    log.info("serving %s:%d", settings.host, settings.port)
    await end.wait()
    server.close()


def main() -> None:
    """Entry point."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s front %(message)s")
    asyncio.run(serve(Settings.from_json(sys.argv[1])))


if __name__ == "__main__":
    main()
