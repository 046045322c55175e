"""Snapshot, last step of every path: evidence, the record, the lock, and a message unless all is well."""

from typing import Any

from opskit.adapters.notifier import Notifier
from opskit.ledger import Lock, OperationRecord
from opskit.step import Run, step

WORKFLOW = LOCK = "snapshot"
# This many hours in a row without a 1 is what the alarm waits for.
METRIC = "SnapshotComplete"


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return `outcome`, `reason`, the facts of the run and the key of its `evidence`. Safe to repeat.

    Runs also for an execution that was refused before it held the lock. A second delivery says nothing of the hour,
    so it counts for no metric; and nobody being told is not a reason to fail.
    """
    outcome, reason = event["outcome"], event["reason"]
    record = run.ledger.operation_of(WORKFLOW, run.execution.name)
    if record is None or record.started_at != run.execution.started_at:  # names come again after 90 days
        record = _open(run, event)
    facts = _facts(event, record)
    evidence = run.evidence.append(
        WORKFLOW,
        run.execution.name,
        record.as_dict() | {"outcome": outcome, "outcome_reason": reason, "facts": facts},
        at=run.execution.started_at,
    )
    run.ledger.close_operation(record.key, outcome, reason, facts=facts, evidence=evidence.key)
    holder = run.ledger.holder(LOCK)
    if holder and holder.owner == run.execution.id:  # a plan that failed has not told of the lock that it took
        run.ledger.release(Lock(holder.owner, holder.fence, name=LOCK))
    if outcome != "DUPLICATE":
        run.metrics.add_metric(name=METRIC, unit="Count", value=int(outcome == "COMPLETE"))
    if outcome not in ("COMPLETE", "DUPLICATE"):
        _tell(run, record, outcome, reason, facts)
    return {"outcome": outcome, "reason": reason, "evidence": evidence.key} | facts


def _open(run: Run, event: dict[str, Any]) -> OperationRecord:
    given = event["input"] if isinstance(event["input"], dict) else {}
    record = OperationRecord(
        WORKFLOW,
        run.execution.id,
        run.execution.name,
        run.execution.started_at,
        requested_by=_text(given.get("requested_by")),
        reason=_text(given.get("reason")),
    )
    run.ledger.open_operation(record)
    return record


def _text(given: Any) -> str | None:
    """An input that was refused may hold anything."""
    return given if isinstance(given, str) else None


def _facts(event: dict[str, Any], record: OperationRecord) -> dict[str, Any]:
    plan, manifest, pruned = event["plan"] or {}, event["manifest"], event["pruned"]
    previous = plan.get("previous") or {}
    facts = dict(record.facts)
    facts |= {name: plan[name] for name in ("hour", "quota", "warnings") if name in plan}
    complete = previous.get("complete")
    if manifest:
        facts["manifest"] = {name: manifest[name] for name in ("key", "sha256", "complete")}
        facts |= {"missing": manifest["missing"], "counts": manifest["counts"]}
        complete = {name: manifest[name] for name in ("key", "sha256")} if manifest["complete"] else complete
    facts["last_complete"] = complete
    facts["newest_cache"] = (manifest or {}).get("newest_cache") or previous.get("newest_cache")
    if pruned:
        facts["pruned"] = {name: pruned[name] for name in ("deleted", "left", "problems", "plan")}
        facts["holdings"] = pruned["holdings"]
    if first := event["pruned_first"]:
        facts["pruned_first"] = {name: first[name] for name in ("deleted", "left", "problems")}
    return {name: value for name, value in facts.items() if value is not None}


def _tell(run: Run, record: OperationRecord, outcome: str, reason: str, facts: dict[str, Any]) -> None:
    here = run.settings
    try:
        Notifier(here.topic_arn).publish(
            f"{here.service} {here.environment}: snapshot {outcome.lower()}",
            {
                "kind": f"SNAPSHOT_{outcome}",
                "outcome": outcome,
                "service": here.service,
                "environment": here.environment,
                "execution": run.execution.id,
                "requested_by": record.requested_by,
                "request_reason": record.reason,
                "hour": facts.get("hour"),
                "reason": reason,
                "missing": facts.get("missing", []),
                "manifest": facts.get("manifest"),
            },
        )
    except Exception:
        run.logger.exception("nobody was told")
