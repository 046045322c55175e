"""PostgreSQL on RDS: TLS with the given authorities, and an IAM token in place of a password.

A token is signed for the instance's own endpoint and the role, and is good for 15 minutes to log in with; a session
may outlast it. https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html
"""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from opskit import clients
from opskit.errors import DatabaseError, DatabaseLoginError, UnavailableError

APPLICATION = "detection-ops"
# What the network may add to the time that the server allows a statement.
_MARGIN_SECONDS = 5.0

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_LOGIN = "28"
# Connection failures, too many connections, a server that starts or shuts down, deadlocks and lost races: the same
# request may succeed later.
_PASSING = ("08", "533", "57P", "40")


class Session:
    """An open connection (`pg8000.native`). Each statement is a transaction of its own, unless in `transaction`.

    Parameters are named, `:like_this`. Raises UnavailableError for what passes, DatabaseError for the rest.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def rows(self, statement: str, **params: Any) -> list[tuple[Any, ...]]:
        """The rows that `statement` returns."""
        with _named("a statement"):
            return [tuple(row) for row in self._connection.run(statement, **params) or ()]

    def run(self, statement: str, **params: Any) -> int:
        """Run `statement`; the number of rows that it touched (0 where PostgreSQL counts none)."""
        with _named("a statement"):
            self._connection.run(statement, **params)
        return max(0, self._connection.row_count or 0)

    @contextmanager
    def transaction(self, characteristics: str = "") -> Iterator[None]:
        """One transaction, `characteristics` as after BEGIN; rolled back if anything is raised."""
        self.run(f"BEGIN {characteristics}")
        try:
            yield
        except BaseException:
            with suppress(UnavailableError, DatabaseError):
                self.run("ROLLBACK")
            raise
        self.run("COMMIT")


@contextmanager
def connect(
    host: str,
    port: int,
    *,
    database: str,
    user: str,
    authorities: str,
    timeout_seconds: float = 10,
    statement_seconds: float = 60,
    client: Any = None,
) -> Iterator[Session]:
    """A session as the role `user`, closed at the end.

    `authorities` is PEM text; the server's certificate must be of one of them, and for `host`. `timeout_seconds` is
    for the TCP connection, `statement_seconds` the server's limit for each statement. `client` (rds) signs the token.
    Raises UnavailableError if the server cannot be reached or does not answer, DatabaseLoginError if it does not let
    the role in, DatabaseError otherwise.
    """
    # A tenth of a second, which only those pay who talk to a database.
    from pg8000 import native  # noqa: PLC0415

    rds = client or clients.client("rds")
    token = rds.generate_db_auth_token(DBHostname=host, Port=port, DBUsername=user)
    where = f"{user}@{host}:{port}/{database}"
    with _named(where):
        connection = native.Connection(
            user,
            host=host,
            port=port,
            database=database,
            password=token,
            ssl_context=_trusting(authorities),
            sock=_reached(host, port, timeout_seconds, statement_seconds + _MARGIN_SECONDS),
            application_name=APPLICATION,
            startup_params={"statement_timeout": str(round(1000 * statement_seconds))},
        )
    try:
        yield Session(connection)
    finally:
        with suppress(OSError, native.Error):
            connection.close()


def _reached(host: str, port: int, connect_seconds: float, silence_seconds: float) -> socket.socket:
    # Our own socket, because the driver has one timeout for connecting and for the longest statement alike.
    reached = socket.create_connection((host, port), connect_seconds)
    reached.settimeout(silence_seconds)
    reached.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return reached


def _trusting(authorities: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=authorities)
    except ssl.SSLError as error:
        raise DatabaseError(f"the authorities of the database's certificate are not PEM: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@contextmanager
def _named(what: str) -> Iterator[None]:
    """The driver's failures under the names that state machines know."""
    from pg8000 import native  # noqa: PLC0415 - loaded by now, or about to be

    try:
        yield
    except native.DatabaseError as error:
        raise _refusal(what, error) from error
    except ssl.SSLCertVerificationError as error:
        raise DatabaseError(f"{what}: the server's certificate is not to be trusted: {error}") from error
    except (native.InterfaceError, OSError) as error:
        raise UnavailableError(f"{what}: {error.__cause__ or error or type(error).__name__}") from error


def _refusal(what: str, error: Exception) -> DatabaseError | UnavailableError:
    given = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    code, message = given.get("C", ""), given.get("M") or str(error)
    text = f"{what}: {message} ({code})" if code else f"{what}: {message}"
    if code.startswith(_LOGIN):
        return DatabaseLoginError(text, code)
    # 57014 is a statement that took too long, or was cancelled by someone: it would again.
    if code.startswith(_PASSING):
        return UnavailableError(text)
    return DatabaseError(text, code or None)
