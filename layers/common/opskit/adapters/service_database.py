"""Sessions with the service's database, or a copy of it, as one of the automation's own roles.

`scripts/database-roles.sql` creates the roles; each logs in with an IAM token.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from opskit.adapters.endpoints import DATABASE, Endpoint, Endpoints
from opskit.adapters.objects import Objects
from opskit.adapters.sql import Session, connect
from opskit.platform import DATABASE_AUTHORITIES, Platform

READER = "ops_reader"
HEARTBEAT_WRITER = "ops_heartbeat"
# Read with every heartbeat, the authorities would cost more than the heartbeat.
AUTHORITIES_KEPT_SECONDS = 3600.0


def live_endpoint(platform: Platform) -> Endpoint:
    """Where the service's database is now. Raises PlatformContractError."""
    return Endpoints(platform.service, platform.environment).read(DATABASE)


@contextmanager
def open_database(
    platform: Platform, endpoint: Endpoint, user: str, *, timeout_seconds: float = 10, statement_seconds: float = 60
) -> Iterator[Session]:
    """A session with the service's database at `endpoint` as the role `user`; see `sql.connect`.

    The authorities of the certificates are read at most once an hour by a process, and again after a session that
    failed, so that a change of them costs one. Raises NotFoundError if the platform has not put them into the backup
    bucket.
    """
    authorities = _authorities.get(platform.backup_bucket)
    try:
        with connect(
            endpoint.host,
            endpoint.port,
            database=platform.database_name,
            user=user,
            authorities=authorities,
            timeout_seconds=timeout_seconds,
            statement_seconds=statement_seconds,
        ) as session:
            yield session
    except BaseException:
        _authorities.forget()
        raise


class _Authorities:
    """What was read of a bucket's authorities, and when."""

    def __init__(self) -> None:
        self._known: tuple[str, str, float] | None = None

    def get(self, bucket: str) -> str:
        now = time.monotonic()
        if self._known and self._known[0] == bucket and now - self._known[2] < AUTHORITIES_KEPT_SECONDS:
            return self._known[1]
        found = Objects(bucket).get(DATABASE_AUTHORITIES).decode()
        self._known = (bucket, found, now)
        return found

    def forget(self) -> None:
        self._known = None


_authorities = _Authorities()
