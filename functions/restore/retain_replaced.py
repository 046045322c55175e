"""Restore: what is live now is backed up and protected as its predecessor was; that one is kept, for a stated time."""

from datetime import timedelta
from typing import Any

from opskit.adapters.caches import Caches
from opskit.adapters.copies import Copies, read_authorities
from opskit.adapters.database_contents import newest_heartbeat
from opskit.adapters.database_state import DatabaseState
from opskit.adapters.databases import Databases
from opskit.adapters.sql import connect
from opskit.clock import moment_of, timestamp
from opskit.decisions.manifest import Kind
from opskit.decisions.recovery import judge_recovery_point
from opskit.decisions.swaps import Swap, swaps_of, tags_when_live, tags_when_replaced
from opskit.errors import DatabaseError, UnavailableError
from opskit.step import Run, step

READER = "ops_reader"


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return `kept` (what was replaced, where it is still there), `keep_until`, and the `recovery_point`.

    After the cut-over nobody stamps a heartbeat on the replaced database any more, so its newest one is that of the
    cut: what was lost is measured here. Safe to repeat.

    Raises:
        LockLostError: another execution has taken the lock.
    """
    run.hold(event)
    plan, swaps = event["plan"], swaps_of(event["swaps"])
    keep_until = moment_of(event["cut"]["at"]) + timedelta(hours=event["request"]["keep_old_hours"])
    copies, kept, recovery_point = Copies(), [], event["recovery_point"]
    for swap in swaps:
        replaced, live = copies.state(swap.kind, swap.from_name), copies.state(swap.kind, swap.to_name)
        if replaced is not None and swap.kind is Kind.DATABASE and recovery_point is not None:
            recovery_point = _lost(run, swap, event)
        retag = Databases().retag if swap.kind is Kind.DATABASE else Caches().retag
        if live is not None:
            changes = tags_when_live(plan["tags"].get(swap.kind.value, {}))
            retag(live.arn, changes.add, changes.remove)
            if isinstance(live, DatabaseState) and _was_protected(plan, swap):
                Databases().protect(live.identifier)
        if replaced is not None:
            changes = tags_when_replaced(swap.to_name, keep_until)
            retag(replaced.arn, changes.add, changes.remove)
            kept.append({"kind": swap.kind.value, "name": swap.from_name, "endpoint": swap.from_endpoint})
    until = timestamp(keep_until)
    run.ledger.note(run.operation_key, "kept what was replaced", {"kept": kept, "keep_until": until})
    return {"kept": kept, "keep_until": until, "recovery_point": recovery_point}


def _was_protected(plan: dict[str, Any], swap: Swap) -> bool:
    """Whether the source could not be deleted; what an undo brings back is still as it was."""
    part = plan["parts"].get(swap.kind.value)
    return bool(part and part["source"]["configuration"]["deletion_protection"])


def _lost(run: Run, swap: Swap, event: dict[str, Any]) -> dict[str, Any]:
    """RPO: the last heartbeat that the replaced database got, against the last that was restored."""
    host, _, port = swap.from_endpoint.rpartition(":")
    restored = event["heartbeat"]
    try:
        with connect(
            host,
            int(port),
            database=run.platform.database_name,
            user=READER,
            authorities=read_authorities(run.platform.backup_bucket),
        ) as session:
            last = newest_heartbeat(session)
    except (DatabaseError, UnavailableError):
        run.logger.warning("the replaced database's heartbeat could not be read", exc_info=True)
        return dict(event["recovery_point"])
    verdict = judge_recovery_point(
        last,
        moment_of(restored) if restored else None,
        target_seconds=event["settings"]["recovery_point_seconds"],
    )
    return verdict.as_dict()
