"""`ops status`: what is live, what runs, who holds the lock, what waits for a decision."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from cli.commands.decide import pending, question
from cli.executions import History, describe, running
from cli.exits import ExitCode, Failure
from cli.failures import explain
from cli.options import Context, command
from cli.output import brief, elapsed, facts, moment, short_image
from cli.progress import Progress
from cli.recovery import last_drill, last_snapshot, objectives_now, read_endpoints, rows_of
from cli.remedies import last_repair, repairs, repairs_rows

if TYPE_CHECKING:
    from rich.console import Console

    from opskit.ledger import ReleaseRecord


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    command(app, "status")(status)


def status(context: Context) -> ExitCode:
    """Show what is live, what runs, what waits.

    What could not be read is shown as such, and the exit code then is not 0.
    """
    session = context.session
    # One read that must work: without it, every part would fail for the same reason.
    live = session.ledger.live()
    problems: list[Failure] = []

    def part(read: Callable[[], Any]) -> Any:
        try:
            return read()
        except Exception as error:
            failure = explain(error, session)
            if failure is None:
                raise
            problems.append(failure)
            return {"unreadable": failure.message}

    document = {
        "service": session.service,
        "environment": session.environment,
        "live": live.as_dict() if live else None,
        "traffic": part(lambda: _traffic(context, live)),
        "targets": part(lambda: _targets(context)),
        "lock": part(lambda: _lock(context)),
        "running": part(lambda: _running(context)),
        "approvals": part(lambda: _approvals(context)),
        "last": part(lambda: _last(context)),
        "endpoints": part(lambda: read_endpoints(context)),
        "last_snapshot": part(lambda: last_snapshot(context)),
        "last_drill": part(lambda: last_drill(context)),
        "objectives": part(lambda: objectives_now(context)),
        "repairs": part(lambda: repairs(context)),
        "last_repair": part(lambda: last_repair(context)),
    }
    context.output.result(document, lambda console: _show(console, document))
    return problems[0].code if problems else ExitCode.SUCCESS


def _traffic(context: Context, live: Any) -> dict[str, Any]:
    """Weights as the balancer has them and as the last operation recorded them."""
    weights = context.session.balancer.weights()
    under_way = _under_way(context)
    recorded = under_way.weights if under_way else None
    intent = under_way.intent if under_way else None
    if recorded is None and live is not None:
        recorded = type(weights).all_to(live.colour)
    return {
        "balancer": weights.as_dict(),
        "recorded": recorded and recorded.as_dict(),
        "intent": intent and intent.as_dict(),
        "agree": recorded is None or weights in (recorded, intent),
    }


def _under_way(context: Context) -> "ReleaseRecord | None":
    """The open record of the lock's holder; the newest record may be of one that was refused meanwhile."""
    holder = context.session.ledger.holder()
    if holder is None:
        return None
    # A repair holds the lock under a name that begins with the execution's.
    record = context.session.ledger.record_of(holder.owner.partition("#")[0].rpartition(":")[2])
    return record if record is not None and record.outcome is None else None


def _targets(context: Context) -> dict[str, Any]:
    from opskit.traffic import Colour  # noqa: PLC0415 - not needed for --help

    return {colour.value: context.session.balancer.targets(colour).as_dict() for colour in Colour}


def _lock(context: Context) -> dict[str, Any] | None:
    holder = context.session.ledger.holder()
    return holder.as_dict() if holder else None


def _running(context: Context) -> list[dict[str, Any]]:
    found = []
    for arn in running(context.session):
        execution = describe(context.session, arn)
        progress = Progress()
        progress.feed(History(context.session, arn).new_events())
        line = progress.current
        found.append(
            {
                "execution": execution.name,
                "workflow": execution.workflow.value,
                "operation": execution.operation,
                "image": execution.input.get("image"),
                "requested_by": execution.input.get("requested_by"),
                "state": line.state if line else None,
                "doing": line.reason if line else None,
                "seconds": round((datetime.now(UTC) - execution.started).total_seconds(), 1),
            }
        )
    return found


def _approvals(context: Context) -> list[dict[str, Any]]:
    # The task token is a capability: whoever has it can answer, so it is not shown.
    return [{k: v for k, v in a.as_dict().items() if k != "task_token"} for a in pending(context)]


def _last(context: Context) -> dict[str, Any] | None:
    # The last to end, not to start: others are refused while a release runs.
    ended = [record for record in context.session.ledger.history(20) if record.outcome and record.ended_at]
    record = max(ended, key=lambda record: record.ended_at or record.started_at, default=None)
    if record is None:
        return None
    told = record.as_dict()
    names = ("execution_name", "operation", "image", "outcome", "outcome_reason", "started_at", "ended_at")
    return {name: told[name] for name in names}


def _show(console: "Console", told: dict[str, Any]) -> None:
    live = told["live"]
    rows: list[tuple[str, Any]] = [("service", f"{told['service']} in {told['environment']}")]
    if live:
        rows.append(("live", f"{live['colour']}  {short_image(live['image'])}  since {moment(live['at'])}"))
        previous = live["previous"]
        rows.append(("before", f"{previous['colour']}  {short_image(previous['image'])}" if previous else None))
    else:
        rows.append(("live", "nothing recorded yet"))
    rows.append(("traffic", _traffic_words(told["traffic"])))
    for colour, targets in _parts(told["targets"], "targets", rows).items():
        rows.append((f"{colour} targets", _target_words(targets)))
    rows.append(("lock", _lock_words(told["lock"])))
    rows += [("running", _running_words(run)) for run in _list(told["running"], "running", rows)]
    for asked in _list(told["approvals"], "approval", rows):
        asks = question(asked["workflow"], asked["execution_name"], asked["subject"], asked["digest"])
        rows.append(("approval", f"{asks} until {moment(asked['expires_at'])}: ops approve | ops reject"))
    last = told["last"]
    rows.append(("last release", _last_words(last) if last else "none yet"))
    rows += rows_of(told)
    rows += repairs_rows(told["repairs"], told["last_repair"])
    facts(console, rows)


def _parts(value: dict[str, Any], name: str, rows: list[tuple[str, Any]]) -> dict[str, Any]:
    if "unreadable" in value:
        rows.append((name, f"unreadable: {value['unreadable']}"))
        return {}
    return value


def _list(value: Any, name: str, rows: list[tuple[str, Any]]) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        _parts(value, name, rows)
        return []
    return list(value)


def _traffic_words(traffic: dict[str, Any]) -> str:
    if "unreadable" in traffic:
        return f"unreadable: {traffic['unreadable']}"
    words = _weights(traffic["balancer"])
    if traffic["agree"]:
        return words
    return f"{words}  DIFFERS from what is recorded ({_weights(traffic['recorded'])})"


def _weights(weights: dict[str, int]) -> str:
    return f"blue {weights['blue']} / green {weights['green']}"


def _target_words(targets: dict[str, Any]) -> str:
    if targets["total"] == 0:
        return "none"
    states = ("healthy", "unhealthy", "initial", "draining", "unused")
    words = ", ".join(f"{targets[state]} {state}" for state in states if targets[state])
    return f"{words}  ({'; '.join(targets['reasons'])})" if targets["reasons"] else words


def _lock_words(lock: dict[str, Any] | None) -> str:
    if lock is None:
        return "free"
    if "unreadable" in lock:
        return f"unreadable: {lock['unreadable']}"
    lease = "lease ran out" if lock["expired"] else "lease until"
    owner = lock["owner"].rpartition(":")[2]
    since = f"since {moment(lock['acquired_at'])}, {lease} {moment(lock['lease_until'])}"
    return f"{owner} for {brief(lock['purpose'])} {since}"


def _running_words(run: dict[str, Any]) -> str:
    words = f"{run['execution']}  {run['state'] or 'starting'}  for {elapsed(run['seconds'])}"
    return f"{words}  {brief(run['doing'])}" if run["doing"] else words


def _last_words(last: dict[str, Any]) -> str:
    if "unreadable" in last:
        return f"unreadable: {last['unreadable']}"
    words = f"{last['execution_name']}  {last['outcome']}  {moment(last['ended_at'])}"
    return f"{words}  {brief(last['outcome_reason'])}" if last["outcome_reason"] else words
