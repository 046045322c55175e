"""Restore, last step of every path: the measurements, evidence, record, lock, and people are told."""

from typing import Any

from opskit.adapters.endpoints import Endpoints
from opskit.adapters.notifier import Notifier
from opskit.clock import moment_of
from opskit.decisions.recovery import judge_recovery_time
from opskit.decisions.restore_report import report_of
from opskit.errors import OpsError
from opskit.ledger import Lock, OperationRecord
from opskit.step import Run, step


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return the report (`opskit.decisions.restore_report`), closed and on record. Safe to repeat.

    Runs also for an execution that was refused before it had a record. The lock is freed after the record is closed:
    whatever fails before leaves the duty with the repair.
    """
    plan = event.get("plan") or {}
    report = report_of(event, recovery_time=_recovery_time(event), endpoints=_endpoints(run))
    _open(run, event, plan)
    key = run.operation_key
    record = run.ledger.operation_of(run.workflow, run.execution.name)
    body = (record.as_dict() if record else {}) | report | {"plan": plan}
    evidence = run.evidence.append("restore", run.execution.name, body, at=run.execution.started_at)
    facts = {
        "mode": plan.get("mode"),
        "restore_id": plan.get("restore_id"),
        "tags": plan.get("tags", {}),
        **{name: report[name] for name in ("restored", "swapped", "kept", "keep_until", "discarded", "endpoints")},
        **{name: report[name] for name in ("recovery_time", "recovery_point", "checks", "differences")},
    }
    run.ledger.close_operation(key, report["outcome"], report["reason"], facts=facts, evidence=evidence.key)
    holder = run.ledger.holder()
    if holder is not None and holder.owner == run.execution.id:
        run.ledger.release(Lock(holder.owner, holder.fence))
    _tell(run, event, report)
    return report | {"evidence": evidence.key}


def _open(run: Run, event: dict[str, Any], plan: dict[str, Any]) -> None:
    """A record for what was refused before it had one; one that exists is left as it is."""
    request = event.get("request") or (event["input"] if isinstance(event.get("input"), dict) else {})
    run.ledger.open_operation(
        OperationRecord(
            workflow=run.workflow,
            execution_id=run.execution.id,
            execution_name=run.execution.name,
            started_at=run.execution.started_at,
            requested_by=request.get("requested_by"),
            reason=request.get("reason"),
            facts={"plan": plan},
        )
    )


def _recovery_time(event: dict[str, Any]) -> dict[str, Any] | None:
    """RTO with its phases, of a restore that was to recover the service and came as far as its copies."""
    request, plan, begun = event.get("request"), event.get("plan") or {}, event.get("begun")
    if not request or not begun or plan.get("mode") == "isolated":
        return None
    moments = [
        ("planned and begun", begun.get("begun_at")),
        ("restored", (event.get("copies") or {}).get("at")),
        ("data verified", (event.get("restored") or {}).get("at")),
        ("approved", (event.get("cut") or {}).get("began_at")),
        ("cut over", (event.get("cut") or {}).get("at")),
    ]
    verified = event.get("verified") or {}
    return judge_recovery_time(
        moment_of(request["declared_at"]),
        [(name, moment_of(at)) for name, at in moments if at],
        moment_of(verified["at"]) if verified.get("outcome") == "PASS" else None,
        target_seconds=event["settings"]["recovery_time_seconds"],
    ).as_dict()


def _endpoints(run: Run) -> dict[str, str]:
    """Where the service is told to go now; a failed read is no reason not to close."""
    endpoints = Endpoints(run.settings.service, run.settings.environment)
    found = {}
    for kind in ("database", "cache"):
        try:
            found[kind] = endpoints.read(kind).text
        except OpsError as error:
            found[kind] = f"unknown: {error}"
    return found


def _tell(run: Run, event: dict[str, Any], report: dict[str, Any]) -> None:
    here = run.settings
    try:
        Notifier(here.topic_arn).publish(
            f"{here.service} {here.environment}: restore {report['outcome'].lower()}",
            {
                "kind": "RESTORE",
                "outcome": report["outcome"],
                "service": here.service,
                "environment": here.environment,
                "execution": run.execution.id,
                "requested_by": (event.get("request") or {}).get("requested_by"),
                "request_reason": (event.get("request") or {}).get("reason"),
                **{name: report[name] for name in ("reason", "restored", "kept", "keep_until", "endpoints", "remove")},
                **{name: report[name] for name in ("recovery_time", "recovery_point")},
            },
        )
    except Exception:
        run.logger.exception("people could not be told")
