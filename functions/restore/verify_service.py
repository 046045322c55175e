"""Restore: does the service read and write with what it was told to use? Asked of the service, as its clients do."""

import json
import os
from typing import Any

from opskit.adapters.service import Service
from opskit.clock import moment_of, timestamp
from opskit.decisions.restored import judge_service
from opskit.decisions.swaps import swaps_of
from opskit.step import Run, step
from opskit.verdict import Outcome

# Pods learn of a swap one by one, and the balancer chooses among them: so many answers in a row must agree.
ANSWERS = 10
# The fields of the service's readiness that say what it uses.
FIELDS = {"database": "database", "cache": "cache_endpoint"}


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return the verdict, `at` being when it was reached: PASS, WAIT, or FAIL when the time is out.

    Raises:
        LockLostError: another execution has taken the lock.
    """
    run.hold(event)
    service = Service(run.platform.service_url)
    readiness = [service.get(os.environ["READY_PATH"]) for _ in range(ANSWERS)]
    written = read = None
    if all(answer.ok for answer in readiness):
        document = json.loads(os.environ["WRITE_DOCUMENT"])
        written = service.post(os.environ["WRITE_PATH"], document, key=f"ops-{event['plan']['restore_id']}")
        read = service.get(os.environ["READ_PATH"])
    now = run.clock.now()
    waited = (now - moment_of(event["cut"]["at"])).total_seconds()
    verdict = judge_service(
        readiness,
        written,
        read,
        endpoints={FIELDS[swap.kind.value]: swap.to_endpoint for swap in swaps_of(event["swaps"])},
        out_of_time=waited >= event["settings"]["service_timeout_seconds"],
    )
    if verdict.outcome is not Outcome.WAIT:
        run.ledger.note(run.operation_key, "verified through the service", verdict.as_dict())
    return verdict.as_dict() | {"at": timestamp(now)}
