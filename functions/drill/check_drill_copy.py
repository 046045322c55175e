"""Drill: is the copy of the database, or of the cache, there? Asked again until it is, is not, or time is out."""

from typing import Any

from opskit.adapters.copies import Copies
from opskit.clock import moment_of, timestamp
from opskit.decisions.copies import copy_of
from opskit.decisions.drill_outcome import failed_result
from opskit.step import Run, step
from opskit.verdict import Outcome


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return what the restore returned, with `outcome` and, at PASS, `copy` and `available_at`.

    At FAIL (a terminal status, too late, or set up otherwise than was asked for) the component's final result.

    Raises:
        LockLostError: another drill has taken the lock; the copy is torn down by what follows.
    """
    plan, component = event["plan"], event["component"]
    restored: dict[str, Any] = event["restored"]
    run.hold(event)
    now, asked_at = run.clock.now(), moment_of(restored["asked_at"])
    left = (moment_of(plan["expires_at"]) - asked_at).total_seconds()
    look = Copies().look(
        copy_of(plan[component]),
        waited_seconds=(now - asked_at).total_seconds(),
        limit_seconds=min(event["settings"]["restore_timeout_seconds"], left),
    )
    copy = look.as_dict()
    differences = copy.pop("differences")
    reason = copy.pop("reason")
    del copy["outcome"]
    if look.verdict.outcome is Outcome.FAIL:
        return failed_result(
            component,
            reason,
            phases=[["ask", restored["asked_at"]], ["give up", timestamp(now)]],
            verified_at=None,
            copy=copy,
            differences=differences,
        )
    seen: dict[str, Any] = {
        "outcome": look.verdict.outcome.value,
        "reason": reason,
        "copy": copy,
        "differences": differences,
    }
    return restored | seen | {"available_at": timestamp(now)}
