"""Drill: is in the copy of the database what was backed up, how much was lost, and does it take writes?"""

from typing import Any

from opskit.adapters.backed_up import read_component
from opskit.adapters.database_contents import read_contents, verify_read_write
from opskit.adapters.endpoints import Endpoint
from opskit.adapters.service_database import HEARTBEAT_WRITER, READER, open_database
from opskit.clock import timestamp
from opskit.decisions.contents import DatabaseContents
from opskit.decisions.drill_checks import check_restored_database, judge_lost_data
from opskit.decisions.drill_outcome import component_result, failed_result
from opskit.decisions.manifest import Kind
from opskit.errors import DatabaseError, ManifestError, NotFoundError
from opskit.step import Run, step

# Counting may take its time once a week; the function has ten minutes.
STATEMENT_SECONDS = 300.0


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return the component's result (see `decisions.drill_outcome`).

    Recovered is when a row was written and read back, after all was read. A repeat after that would see its own row and
    fail for it: never the other way round.

    Raises:
        UnavailableError: the copy does not answer (yet).
    """
    plan, request, restored = event["plan"], event["request"], event["restored"]
    source = plan["sources"]["database"]["identifier"]
    more: dict[str, Any] = {
        "phases": [["ask", restored["asked_at"]], ["restore", restored["available_at"]]],
        "verified_at": None,
        "copy": restored["copy"],
        "differences": restored["differences"],
    }
    try:
        recorded = read_component(run.platform.backup_bucket, run.ledger, plan["manifest"], Kind.DATABASE, source)
        found = _read(run, restored["copy"]["endpoint"])
        more["verified_at"] = timestamp(run.clock.now())
    except (DatabaseError, ManifestError, NotFoundError) as error:
        return failed_result("database", str(error), **more)
    cut = restored["source"]
    checks = check_restored_database(plan["method"], recorded, cut, found, tolerances=request["tolerances"])
    point = judge_lost_data(cut, found, target_seconds=request["recovery_point_seconds"])
    return component_result("database", checks, recovery_point=point.as_dict(), **more)


def _read(run: Run, endpoint: str) -> DatabaseContents:
    """What is in the copy; read as the role that only reads, and then written to as the one that may."""
    host, _, port = endpoint.rpartition(":")
    copy = Endpoint(host, int(port), version=0)
    with open_database(run.platform, copy, READER, statement_seconds=STATEMENT_SECONDS) as session:
        found = read_contents(session)
    with open_database(run.platform, copy, HEARTBEAT_WRITER) as session:
        verify_read_write(session)
    return found
