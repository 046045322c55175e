"""`ops abort`: stop what is running and see that the repair has made things whole."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.commands.run import Reason
from cli.executions import Execution, describe, find, locate, running, stop
from cli.exits import ExitCode, Failure
from cli.options import Context, command, not_empty
from cli.output import brief, facts
from cli.records import is_operation, record_of
from cli.workflows import CHANGING, OPERATIONS, Workflow

if TYPE_CHECKING:
    from cli.records import Record
    from opskit.traffic import Weights

# The rule on status changes starts the repair within seconds; it restores, removes, records.
REPAIR_SECONDS = 120.0
POLL_SECONDS = 1.0

# The lock that an execution holds while it runs; the service's own has no name.
_LOCKS = {Workflow.SNAPSHOT: "snapshot", Workflow.DRILL: "drill"}

# An action may be under way: nobody else gets its lock until its function must have ended.
_WAITS = {
    Workflow.REMEDIATE: "; waiting until its record is closed and its lock is free, over a minute if it had acted"
}


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What is left of a stopped execution once its lock is free, or as far as it got in the time."""

    execution: Execution
    record: "Record | None"
    weights: "Weights | None"
    lock_free: bool

    @property
    def left(self) -> list[str]:
        """What stays, in words; empty where a repair makes everything whole."""
        workflow = self.execution.workflow
        if workflow is Workflow.SNAPSHOT:
            return [
                "snapshots that were begun stay: a run of the same hour takes them over, retention removes them later"
            ]
        if workflow is Workflow.DRILL:
            names = " and ".join(f"{kind} {name}" for kind, name in self._named("names").items())
            return [f"{names or 'what the drill has made'}: the reaper, which this has started, removes it"]
        if workflow is Workflow.REMEDIATE:
            return self._remedied()
        if workflow is Workflow.RESTORE:
            from opskit.decisions.restore_report import removal  # noqa: PLC0415 - not needed for --help

            live = self._named("endpoints")
            copies = self._named("copies")
            kept = "stays, beside production" if not live else "stays; look first whether the service uses it"
            return [f"{kind} {name} {kept}: {removal(kind, name)}" for kind, name in copies.items()]
        return []

    def _remedied(self) -> list[str]:
        if self.record is None or not any(event.what == "acting" for event in self.record.events):
            return []
        return [
            f"what the repair had begun to change stays changed: ops remediations show {self.execution.name}; "
            "the alarm's page in docs/runbooks/alarms says how to undo it"
        ]

    def _named(self, fact: str) -> dict[str, str]:
        facts = self.record.facts if self.record is not None and is_operation(self.record) else {}
        return dict(facts.get(fact) or {})

    def as_dict(self) -> dict[str, Any]:
        """The `--json` form."""
        return self.execution.as_dict() | {
            "lock_free": self.lock_free,
            "weights": self.weights and self.weights.as_dict(),
            "recorded": self.record and self.record.as_dict(),
            "left": self.left,
        }


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    command(app, "abort")(abort)


def abort(
    context: Context,
    execution: Annotated[
        str | None,
        typer.Argument(
            metavar="EXECUTION", callback=not_empty, help="Name or ARN; by default the one that is running."
        ),
    ] = None,
    reason: Reason = None,
    timeout: Annotated[
        float,
        typer.Option("--timeout", metavar="SECONDS", min=1, help="Wait at most this long for the repair."),
    ] = REPAIR_SECONDS,
) -> ExitCode:
    """Stop what is running, at once.

    A release or rollback: waits until all traffic is back at the recorded live colour, the pods that were started are
    gone and the lock is free. A restore: waits until the service uses what it used before and the lock is free.
    A repair: waits until its record is closed, which frees its lock; what it has changed stays.
    A snapshot or a drill: says what stays, and who removes it.
    """
    found = locate(context.session, execution) if execution else current(context)
    if found is None:
        raise Failure(ExitCode.UNREACHABLE, "NothingRunning", "nothing is running, so there is nothing to abort")
    return stop_and_report(context, found, reason or "stopped with ops abort", timeout)


def current(context: Context, workflows: Iterable[Workflow] = OPERATIONS) -> Execution | None:
    """The running execution: the service's lock's holder, else the only one of `workflows`; None if none runs.

    Raises `Failure` where several run and none of them holds the lock.
    """
    holder = context.session.ledger.holder()
    if holder is not None:
        execution = find(context.session, holder.owner.partition("#")[0])
        if execution is not None and execution.running:
            return execution
    arns = running(context.session, workflows)
    if len(arns) > 1:
        names = ", ".join(arn.rpartition(":")[2] for arn in arns)
        raise Failure(ExitCode.USAGE, "Ambiguous", f"several executions run: {names}; name one")
    return describe(context.session, arns[0]) if arns else None


def stop_and_report(context: Context, execution: Execution, reason: str, timeout: float) -> ExitCode:
    """Stop `execution`, wait until the repair is done, and tell what is left."""
    by = context.session.caller["arn"]
    if not execution.running:
        raise Failure(
            ExitCode.REFUSED,
            "NotRunning",
            f"{execution.name} is not running: it ended {execution.outcome}"
            f"{': ' + brief(execution.reason) if execution.reason else ''}",
        )
    stop(context.session, execution, f"{reason} (by {by})")
    repaired = execution.workflow in CHANGING
    waits = _WAITS.get(execution.workflow, "; waiting for the repair") if repaired else ""
    context.output.say(f"{execution.operation} {execution.name} stopped{waits}", "bold")
    after = _await_repair(context, execution, timeout if repaired else 0.0)
    context.output.result(after.as_dict(), lambda console: facts(console, _facts(after)))
    if not after.execution.running and after.execution.status != "ABORTED":
        context.output.say(f"it had ended {after.execution.outcome} before it could be stopped", "yellow")
    return ExitCode.SUCCESS if after.lock_free or not repaired else ExitCode.TIMED_OUT


def _await_repair(context: Context, execution: Execution, timeout: float) -> Aftermath:
    session = context.session
    deadline = time.monotonic() + timeout
    while True:
        record = record_of(session.ledger, execution.workflow, execution.name)
        holder = session.ledger.holder(_lock_of(context, execution, record))
        # The repair takes the lock over under a name that begins with the execution's.
        free = holder is None or holder.owner.partition("#")[0] != execution.arn
        if (free and (record is None or record.outcome)) or time.monotonic() >= deadline:
            weights = session.balancer.weights() if execution.workflow is Workflow.RELEASE else None
            return Aftermath(describe(session, execution.arn), record, weights, free)
        time.sleep(POLL_SECONDS)


def _lock_of(context: Context, execution: Execution, record: "Record | None") -> str:
    """The name of the lock that the execution holds while it changes something."""
    if execution.workflow is not Workflow.REMEDIATE:
        return _LOCKS.get(execution.workflow, "")
    from opskit.errors import RunbooksError  # noqa: PLC0415 - not needed for --help

    alarm = record.facts.get("alarm") if record is not None and is_operation(record) else None
    try:
        runbook = context.session.runbooks.by_alarm.get(alarm or "")
    except RunbooksError:
        runbook = None
    return runbook.lock if runbook else ""


def _facts(after: Aftermath) -> list[tuple[str, Any]]:
    record = after.record
    waited = "free" if after.lock_free else "still held: the repair has not ended; see `ops status`"
    if after.execution.workflow not in CHANGING and not after.lock_free:
        waited = "held until the next run, or the reaper, takes it over"
    return [
        ("execution", after.execution.name),
        ("status", after.execution.status),
        ("outcome", record.outcome if record else after.execution.outcome),
        ("because", record.outcome_reason if record else after.execution.reason),
        ("weights", after.weights and f"blue {after.weights.blue} / green {after.weights.green}"),
        ("lock", waited),
        *(("left", words) for words in after.left),
    ]
