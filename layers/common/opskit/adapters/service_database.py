"""Sessions with the service's database, or a copy of it, as one of the automation's own roles.

`scripts/database-roles.sql` creates the roles; each logs in with an IAM token.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from opskit.adapters.endpoints import DATABASE, Endpoint, Endpoints
from opskit.adapters.objects import Objects
from opskit.adapters.sql import Session, connect
from opskit.platform import DATABASE_AUTHORITIES, Platform

READER = "ops_reader"
HEARTBEAT_WRITER = "ops_heartbeat"


def live_endpoint(platform: Platform) -> Endpoint:
    """Where the service's database is now. Raises PlatformContractError."""
    return Endpoints(platform.service, platform.environment).read(DATABASE)


@contextmanager
def open_database(
    platform: Platform, endpoint: Endpoint, user: str, *, timeout_seconds: float = 10, statement_seconds: float = 60
) -> Iterator[Session]:
    """A session with the service's database at `endpoint` as the role `user`; see `sql.connect`.

    Raises NotFoundError if the platform has not put the authorities of the certificates into the backup bucket.
    """
    authorities = Objects(platform.backup_bucket).get(DATABASE_AUTHORITIES).decode()
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
