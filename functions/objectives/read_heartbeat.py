"""Objectives: the newest heartbeat of the live database. The one step that needs the database, so a step of its own."""

from typing import Any

from opskit.adapters.database_contents import newest_heartbeat
from opskit.adapters.service_database import READER, live_endpoint, open_database
from opskit.clock import timestamp
from opskit.step import Run, step

CONNECT_SECONDS = 5
STATEMENT_SECONDS = 5


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:  # noqa: ARG001 - nothing but the execution is given
    """Return `at`, None if there is none. What keeps it from being read is raised; the workflow goes on without."""
    with open_database(
        run.platform,
        live_endpoint(run.platform),
        READER,
        timeout_seconds=CONNECT_SECONDS,
        statement_seconds=STATEMENT_SECONDS,
    ) as session:
        newest = newest_heartbeat(session)
    return {"at": timestamp(newest) if newest else None, "unreadable": None}
