"""Heartbeat, every minute: a row that the database itself stamps. How old the newest restored one is, is the RPO."""

from typing import Any

from opskit.adapters.database_contents import stamp_heartbeat
from opskit.adapters.service_database import HEARTBEAT_WRITER, live_endpoint, open_database
from opskit.clock import timestamp
from opskit.step import Run, step

# A minute is over before a second try could be worth anything.
CONNECT_SECONDS = 5
STATEMENT_SECONDS = 5


@step(standalone=True)
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:  # noqa: ARG001 - the schedule has nothing to say
    """Stamp a row in the live database, drop those of more than a week ago; return when it was and where."""
    endpoint = live_endpoint(run.platform)
    with open_database(
        run.platform,
        endpoint,
        HEARTBEAT_WRITER,
        timeout_seconds=CONNECT_SECONDS,
        statement_seconds=STATEMENT_SECONDS,
    ) as session:
        return {"stamped_at": timestamp(stamp_heartbeat(session)), "endpoint": endpoint.text}
