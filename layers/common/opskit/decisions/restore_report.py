"""How a restore ended, in one document: for the execution's output, its record, the evidence, and people."""

from collections.abc import Mapping
from typing import Any

from opskit.verdict import Outcome

# Outcomes after which the service uses what was swapped in.
_LIVE = frozenset({"REPLACED", "UNDONE"})


def report_of(
    event: Mapping[str, Any], *, recovery_time: dict[str, Any] | None, endpoints: Mapping[str, str]
) -> dict[str, Any]:
    """The report on the states' variables in `event`, of which any may be None.

    Keys: `outcome`, `reason`; `restored` (each copy that is there: kind, name, endpoint, status, whether live);
    `discarded`; `swapped` (the swaps that hold), `kept` and `keep_until`; `remove` (commands that delete what is not
    live); `expires_at`; `checks`, `differences` by kind; `recovery_time`, `recovery_point`; `endpoints` of the service.
    """
    ending, plan = event["ending"], event.get("plan") or {}
    looks = (event.get("copies") or {}).get("looks") or {}
    discarded = (event.get("discarded") or {}).get("deleted") or []
    gone = {(one["kind"], one["name"]) for one in discarded}
    live = ending["outcome"] in _LIVE or ending.get("stayed", False)
    restored = [
        {"kind": kind, "name": look["name"], "endpoint": look["endpoint"], "status": look["status"], "live": live}
        for kind, look in looks.items()
        if (kind, look["name"]) not in gone and look["status"] is not None
    ]
    kept = event.get("kept") or {}
    data = event.get("restored") or {}
    reason = ending["reason"]
    left = [f"{one['kind']} {one['name']}" for one in restored if not one["live"]]
    if left and plan.get("expires_at"):
        reason = f"{reason}. Kept, beside production: {', '.join(left)}, to be removed by {plan['expires_at']}"
    if discarded:
        reason = f"{reason}. Deleted: {', '.join(' '.join(one) for one in sorted(gone))}"
    return {
        "outcome": ending["outcome"],
        "reason": reason,
        "mode": plan.get("mode"),
        "restored": restored,
        "discarded": discarded,
        "expires_at": plan.get("expires_at") if left else None,
        "remove": [removal(one["kind"], one["name"]) for one in restored if not one["live"]],
        "swapped": list(event.get("swaps") or []) if live else [],
        "kept": kept.get("kept", []),
        "keep_until": kept.get("keep_until"),
        "checks": (data.get("facts") or {}).get("checks", []),
        "differences": {
            kind: {"from_what_was_asked": look["differences"], "from_the_source": look["from_source"]}
            for kind, look in looks.items()
            if look["outcome"] == Outcome.PASS
        },
        "recovery_time": recovery_time,
        "recovery_point": kept.get("recovery_point") or data.get("recovery_point"),
        "endpoints": dict(endpoints),
    }


def removal(kind: str, name: str) -> str:
    """The command that deletes a copy for good."""
    if kind == "database":
        return f"aws rds delete-db-instance --db-instance-identifier {name} --skip-final-snapshot"
    return f"aws elasticache delete-replication-group --replication-group-id {name}"
