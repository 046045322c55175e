"""Restore: the service is told to use what was restored: the endpoint parameters change, the database's first."""

from typing import Any

from opskit.adapters.copies import Copies, endpoint_of
from opskit.adapters.endpoints import Endpoints
from opskit.clock import timestamp
from opskit.decisions.manifest import Kind
from opskit.decisions.status import CACHE, DATABASE
from opskit.decisions.swaps import Swap, digest_of, swaps_of
from opskit.errors import DriftError
from opskit.ledger import Lock
from opskit.step import Run, step


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Announce the swaps under the lock, make each, read it back, record it; return them with `began_at` and `at`.

    Safe to repeat: a swap that was made already changes nothing.

    Raises:
        LockLostError: another execution has taken the lock.
        DriftError: the approval is of something else, what would go live is not available, or somebody has moved the
            endpoint meanwhile. Nothing was changed, or `swap_back` will find what was.
        EndpointNotConfirmedError: a parameter did not read back what was written.
    """
    began_at = timestamp(run.clock.now())
    swaps, approval = swaps_of(event["swaps"]), event["approval"]
    if event["request"]["approval"] and (approval or {}).get("digest") != digest_of(swaps):
        raise DriftError("what was approved is not what would be cut over, so nothing is")
    lock = run.hold(event)
    endpoints, copies = Endpoints(run.settings.service, run.settings.environment), Copies()
    for swap in swaps:
        _refuse_drift(swap, endpoints, copies)
    facts = {"swaps": [swap.as_dict() for swap in swaps], "approval": approval}
    run.ledger.note(run.operation_key, "cutting over", facts, lock=lock)
    for swap in swaps:
        _swap(swap, endpoints, run, lock, event["settings"]["lease_seconds"])
    at = timestamp(run.clock.now())
    run.ledger.note(run.operation_key, "cut over", {"at": at})
    return {"began_at": began_at, "at": at, "swaps": facts["swaps"]}


def _swap(swap: Swap, endpoints: Endpoints, run: Run, lock: Lock, lease_seconds: int) -> None:
    run.ledger.hold(lock, lease_seconds)
    endpoints.swap(swap.kind.value, swap.from_endpoint, swap.to_endpoint)


def _refuse_drift(swap: Swap, endpoints: Endpoints, copies: Copies) -> None:
    found = endpoints.read(swap.kind.value).text
    if found not in (swap.from_endpoint, swap.to_endpoint):
        raise DriftError(f"the service's {swap.kind} is {found} now, not {swap.from_endpoint} as was planned")
    state = copies.state(swap.kind, swap.to_name)
    good = (DATABASE if swap.kind is Kind.DATABASE else CACHE).good
    if state is None or state.status not in good or endpoint_of(state) != swap.to_endpoint:
        status = f"{state.status} at {endpoint_of(state)}" if state else "gone"
        raise DriftError(f"{swap.to_name} is {status}: it cannot go live")
