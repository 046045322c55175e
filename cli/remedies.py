"""What the record of a remediation says, in one flat document, for `ops remediations` and the last word of a run."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opskit.ledger import OperationRecord

# Nothing was there to be done; hidden from nobody, but the first thing that a reader wants to see past.
_NOTHING = frozenset({"DUPLICATE", "STALE", "UNKNOWN"})


def told(record: "OperationRecord") -> dict[str, Any]:
    """What alarm, what was done about it, and what came of it; None for what there is not."""
    acted = record.facts.get("acted") or {}
    return {
        "alarm": record.facts.get("alarm"),
        "execution": record.execution_name,
        "requested_by": record.requested_by,
        "started_at": record.started_at,
        "ended_at": record.ended_at,
        "outcome": record.outcome,
        "reason": record.outcome_reason,
        "action": record.facts.get("action"),
        "done": acted.get("what") if acted.get("done") else None,
        "evidence": record.evidence,
    }
