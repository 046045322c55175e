"""Values that change while the service runs: endpoints and passwords, read again whenever they are needed."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sandbox.service.settings import Settings, SettingsError

Source = Callable[[], Awaitable[str]]
"""Gives the value as it is now. Raises `OSError` or `SourceError` if it cannot be had."""

Password = Callable[[str, int], Awaitable[str]]
"""Gives the password for a host and port."""


class SourceError(RuntimeError):
    """Where a value should be, it cannot be read; the message says why."""


def constant(value: str) -> Source:
    """Always `value`."""

    async def read() -> str:
        return value

    return read


def file(path: str) -> Source:
    """What a file holds, without surrounding whitespace."""

    async def read() -> str:
        text = Path(path).read_text(encoding="utf-8").strip()  # a few bytes of a mounted volume
        if not text:
            raise SourceError(f"{path} is empty")
        return text

    return read


class _Aws:
    """Clients of one session, so that the pod's credentials are fetched and renewed once for all of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # making a client is not safe in threads, using one is
        self._session: Any = None

    def client(self, service: str, **config: Any) -> Any:
        """A new client, with botocore's `Config` of `config`."""
        # In a thread: botocore takes its time to load.
        from botocore.config import Config  # noqa: PLC0415
        from botocore.session import Session  # noqa: PLC0415

        with self._lock:
            self._session = self._session or Session()
            return self._session.create_client(service, config=Config(**config))


_aws = _Aws()


class _Ssm:
    """One client of SSM, made on first use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._client: Any = None

    def value(self, name: str) -> str:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        try:
            with self._lock:
                if self._client is None:
                    once = {"total_max_attempts": 1}
                    self._client = _aws.client("ssm", connect_timeout=1, read_timeout=2, retries=once)
                return str(self._client.get_parameter(Name=name)["Parameter"]["Value"])
        except (BotoCoreError, ClientError) as error:
            raise SourceError(f"{name}: {error}") from error


_ssm = _Ssm()


def parameter(name: str) -> Source:
    """The value of an SSM parameter."""

    async def read() -> str:
        return await asyncio.to_thread(_ssm.value, name)

    return read


def _first(value: str, path: str, name: str) -> Source:
    return constant(value) if value else file(path) if path else parameter(name)


def database_endpoint(settings: Settings) -> Source:
    """The database's `host:port`."""
    return _first(settings.database_endpoint, settings.database_endpoint_file, settings.database_endpoint_parameter)


def cache_url(settings: Settings) -> Source:
    """The cache's URL, of which `host:port` is enough."""
    source = _first(settings.cache_url, settings.cache_url_file, settings.cache_url_parameter)
    scheme = "rediss" if settings.cache_tls == "true" else "redis"

    async def read() -> str:
        found = await source()
        return found if "://" in found else f"{scheme}://{found}"

    return read


def split_endpoint(endpoint: str) -> tuple[str, int]:
    """Host and port of `host:port`; the port defaults to PostgreSQL's. Raises `SourceError`."""
    try:
        parts = urlsplit(f"//{endpoint}")
        if not parts.hostname or parts.path:
            raise ValueError("no host")
        return parts.hostname, parts.port or 5432
    except ValueError as error:
        raise SourceError(f"{endpoint!r} is no host:port: {error}") from error


def password(settings: Settings) -> Password:
    """How to log in to the database; raises `SettingsError` if nothing says so."""
    if settings.database_password:
        given = settings.database_password

        async def fixed(_host: str, _port: int) -> str:
            return given

        return fixed
    if settings.database_password_file:
        source = file(settings.database_password_file)

        async def from_file(_host: str, _port: int) -> str:
            return await source()

        return from_file
    if settings.database_iam:
        tokens = _Tokens(settings.database_user)

        async def token(host: str, port: int) -> str:
            return await asyncio.to_thread(tokens.sign, host, port)

        return token
    raise SettingsError("there is no way to log in to the database")


class _Tokens:
    """IAM authentication tokens: presigned URLs of `rds-db:connect`, each valid for 15 minutes.

    A connection outlives its token, so one is signed for each new connection, which takes no call.
    """

    def __init__(self, user: str) -> None:
        self._user = user
        self._lock = threading.Lock()
        self._client: Any = None

    def sign(self, host: str, port: int) -> str:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        try:
            with self._lock:
                if self._client is None:
                    self._client = _aws.client("rds")
                return str(self._client.generate_db_auth_token(DBHostname=host, Port=port, DBUsername=self._user))
        # Signing takes no call, but the pod's credentials come from STS, which may refuse them.
        except (BotoCoreError, ClientError) as error:
            raise SourceError(f"no authentication token: {error}") from error
