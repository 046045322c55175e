"""What an execution that has ended leaves, by its record, for people; `--json` has all of it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cli.output import elapsed, moment
from cli.remedies import remedy_times

if TYPE_CHECKING:
    from opskit.ledger import OperationRecord

# A drill compares hundreds of things; those that differ are told, up to here.
_MOST = 10


def result_facts(record: "OperationRecord") -> list[tuple[str, Any]]:
    """The lines between the progress and the last word; what a record does not have makes none."""
    facts = record.facts
    checks = facts.get("checks") or {}
    lines: list[tuple[str, Any]] = [
        ("manifest", (facts.get("manifest") or {}).get("key")),
        *(("restored", _restored(one)) for one in facts.get("restored") or ()),
        *(("service uses", f"{kind} at {text}") for kind, text in (facts.get("endpoints") or {}).items()),
        ("kept", _kept(facts)),
        ("recovery time", _measured(facts, "recovery_time", "rto_seconds")),
        ("recovery point", _measured(facts, "recovery_point", "rpo_seconds")),
    ]
    if isinstance(checks, Mapping):
        wrong = list(checks.get("not_passed") or ())
        lines.append(("checks passed", checks.get("passed")))
        lines += [("not passed", text) for text in wrong[:_MOST]]
        if len(wrong) > _MOST:
            lines.append(("not passed", f"{len(wrong) - _MOST} more: ops history {record.execution_name} --json"))
    return [*lines, *remedy_times(record), ("evidence", record.evidence)]


def _restored(one: Mapping[str, Any]) -> str:
    use = "live" if one.get("live") else "isolated"
    return f"{one['kind']} {one['name']} at {one['endpoint']}, {use}"


def _kept(facts: Mapping[str, Any]) -> str:
    kept = [str(one.get("name", one) if isinstance(one, Mapping) else one) for one in facts.get("kept") or ()]
    return f"{', '.join(kept)} until {moment(facts.get('keep_until'))}" if kept else ""


def _measured(facts: Mapping[str, Any], verdict: str, seconds: str) -> str:
    told = facts.get(verdict)
    if isinstance(told, Mapping):
        return str(told.get("reason") or "")
    value = facts.get(seconds)
    return elapsed(float(value)) if isinstance(value, int | float) else ""
