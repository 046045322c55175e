"""What the ledger has recorded of executions, whatever their workflow, for people."""

from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

from cli.output import brief, elapsed, moment, short_image
from cli.results import result_facts
from cli.workflows import RECORDED, Workflow

if TYPE_CHECKING:
    from opskit.ledger import Ledger, OperationRecord, ReleaseRecord

    Record: TypeAlias = ReleaseRecord | OperationRecord


def recent(ledger: "Ledger", workflows: tuple[Workflow, ...], limit: int) -> "list[Record]":
    """The last `limit` records of `workflows`, newest first."""
    found: list[Record] = []
    for workflow in workflows:
        found += ledger.operations(workflow.value, limit) if workflow in RECORDED else ledger.history(limit)
    return sorted(found, key=lambda record: record.started_at, reverse=True)[:limit]


def record_of(ledger: "Ledger", workflow: Workflow | None, name: str) -> "Record | None":
    """The record of the execution `name`; of the first workflow that has one, where `workflow` is not known."""
    for candidate in (workflow,) if workflow else (Workflow.RELEASE, *RECORDED):
        found = ledger.operation_of(candidate.value, name) if candidate in RECORDED else ledger.record_of(name)
        if found is not None:
            return found
    return None


def is_operation(record: "Record") -> "TypeGuard[OperationRecord]":
    """Whether it is of another workflow than release."""
    return hasattr(record, "workflow")


def as_dict(record: "Record") -> dict[str, Any]:
    """The `--json` form, with the workflow of all of them."""
    return {"workflow": Workflow.RELEASE.value} | record.as_dict()


def operation(record: "Record") -> str:
    """What was done, in a word or two."""
    if not is_operation(record):
        return str(record.as_dict()["operation"])
    return "undo of a restore" if record.facts.get("mode") == "undo" else record.workflow


def subject(record: "Record") -> str:
    """What it was about: a release's image, a snapshot's hour, a restore's mode, a drill's id, an alarm."""
    if not is_operation(record):
        return short_image(record.as_dict()["image"])
    named = ("alarm", "hour", "drill_id", "mode")
    return next((str(record.facts[name]) for name in named if record.facts.get(name)), "-")


def took(record: "Record") -> str:
    """How long it took, or a dash while it runs."""
    return elapsed((record.ended_at - record.started_at).total_seconds()) if record.ended_at else "-"


def facts_of(record: "Record") -> list[tuple[str, Any]]:
    """What is known of it but its events; `--json` has what is nested."""
    told = record.as_dict()
    if is_operation(record):
        plain = [(name, value) for name, value in _plain_facts(record).items() if not isinstance(value, dict | list)]
        about = [*plain, *result_facts(record)]
    else:
        about = [
            ("strategy", told["strategy"]),
            ("image", told["image"]),
            ("digest", told["digest"]),
            ("from", told["from_colour"]),
            ("to", told["to_colour"]),
            ("override", told["override_alarms"]),
            ("approval", told["approval"]),
            ("clients", _suffered(record)),
            ("weights", told["weights"]),
            ("intent", told["intent"]),
        ]
    return [
        ("execution", record.execution_name),
        ("operation", operation(record)),
        ("requested by", record.requested_by),
        ("reason", record.reason),
        ("started", moment(record.started_at)),
        ("ended", moment(record.ended_at)),
        ("took", took(record)),
        ("outcome", record.outcome or "running"),
        ("because", record.outcome_reason),
        *about,
        *([] if is_operation(record) else [("evidence", record.evidence)]),
    ]


def _plain_facts(record: "OperationRecord") -> dict[str, Any]:
    """The record's facts; of a remediation's those that say something, and what was done among the results."""
    if record.workflow != Workflow.REMEDIATE:
        return record.facts
    return {name: value for name, value in record.facts.items() if value is not False and name != "done"}


def words(values: dict[str, Any]) -> str:
    """The plain facts of an event; `--json` has the nested ones."""
    plain = {name: value for name, value in values.items() if not isinstance(value, dict | list)}
    return brief(", ".join(f"{name} {value}" for name, value in plain.items() if value not in (None, "")))


def _suffered(record: "Record") -> str:
    """How many requests the new version got, and failed, where that was measured."""
    told = next((event.facts.get("suffered") for event in reversed(record.events) if event.what == "closed"), None)
    if not told or not told.get("measured"):
        return ""
    return f"{told['requests']} requests reached the new version, {told['failed']} of them failed"
