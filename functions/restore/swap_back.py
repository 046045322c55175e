"""Restore: the service was not verified after the cut-over, or the cut-over failed: back to what it used before."""

from typing import Any

from opskit.adapters.copies import Copies, endpoint_of
from opskit.adapters.endpoints import Endpoints
from opskit.decisions.interruption import way_back
from opskit.decisions.swaps import swaps_of
from opskit.step import Run, step


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return `outcome`: BACK, NOT_MOVED (nothing had been), or STAYED (what was replaced is not there), and `reason`.

    Goes back for all that was swapped or for none of it. Needs no approval. Safe to repeat.

    Raises:
        LockLostError: another execution has taken the lock, and with it the duty.
        DriftError: somebody else has moved an endpoint meanwhile.
        EndpointNotConfirmedError: a parameter did not read back what was written.
    """
    swaps = swaps_of(event["swaps"])
    lock = run.hold(event)
    endpoints, copies = Endpoints(run.settings.service, run.settings.environment), Copies()
    now = {swap.kind: endpoints.read(swap.kind.value).text for swap in swaps}
    there = {
        swap.kind: state is not None and endpoint_of(state) == swap.from_endpoint
        for swap in swaps
        for state in [copies.state(swap.kind, swap.from_name)]
    }
    way = way_back(swaps, now, there)
    if way.swaps:
        facts = {"swaps": [swap.as_dict() for swap in way.swaps]}
        run.ledger.note(run.operation_key, "swapping back", facts, lock=lock)
        for swap in way.swaps:
            run.hold(event)
            endpoints.swap(swap.kind.value, swap.from_endpoint, swap.to_endpoint)
        run.ledger.note(run.operation_key, "swapped back", facts)
    return {"outcome": way.outcome, "reason": way.reason}
