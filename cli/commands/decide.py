"""`ops approve` and `ops reject`: answer a release, a restore or a repair that asks for a decision."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from cli.executions import locate, running
from cli.exits import ExitCode, Failure
from cli.options import Context, command, not_empty
from cli.output import facts, moment, short_image
from cli.workflows import ASKING, Workflow

if TYPE_CHECKING:
    from opskit.ledger import Approval

Which = Annotated[
    str | None,
    typer.Argument(metavar="EXECUTION", callback=not_empty, help="Name or ARN; by default the one that asks."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    command(app, "approve")(approve)
    command(app, "reject")(reject)


def approve(
    context: Context,
    execution: Which = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; recorded.")] = "",
    digest: Annotated[
        str | None, typer.Option("--digest", help="Approve only if this is the digest that is asked about.")
    ] = None,
) -> ExitCode:
    """Let a release, restore or repair that waits go on.

    The approval is bound to the digest that is printed (of the image, or of the plan), and counts once.
    """
    return _decide(context, execution, "approved", reason or "approved", digest)


def reject(
    context: Context,
    reason: Annotated[
        str, typer.Option("--reason", callback=not_empty, help="Why; recorded, and the cause of the failure.")
    ],
    execution: Which = None,
) -> ExitCode:
    """Refuse a release, restore or repair that waits.

    It ends without having changed what clients reach.
    """
    return _decide(context, execution, "rejected", reason, None)


def pending(context: Context) -> "list[Approval]":
    """The questions of running executions that nobody has answered and that have not expired."""
    ledger = context.session.ledger
    asked = (ledger.approval(arn.rpartition(":")[2]) for arn in running(context.session, ASKING))
    now = datetime.now(UTC)
    return [a for a in asked if a is not None and a.decision is None and a.expires_at > now]


def question(workflow: str, execution_name: str, subject: str, digest: str) -> str:
    """What is asked, in a sentence."""
    asks = {Workflow.RELEASE: "asks to release", Workflow.REMEDIATE: "asks for a repair:"}.get(
        Workflow(workflow), "asks to cut over"
    )
    return f"{execution_name} {asks} {short_image(subject) if workflow == Workflow.RELEASE else subject} ({digest})"


def _decide(context: Context, execution: str | None, decision: str, reason: str, digest: str | None) -> ExitCode:
    session, output = context.session, context.output
    approval = _the_question(context, execution)
    output.say(question(approval.workflow, approval.execution_name, approval.subject, approval.digest), "bold")
    by = session.caller["arn"]
    decided = session.ledger.decide(approval.execution_name, decision, by, reason, digest=digest or approval.digest)
    _wake(context, decided, by, reason, repeated=approval.decision is not None)
    document = {
        "execution": decided.execution_name,
        "decision": decision,
        "decided_by": by,
        "decided_at": decided.decided_at,
        "reason": decided.reason,
        "workflow": decided.workflow,
        "subject": decided.subject,
        "digest": decided.digest,
    }
    output.result(
        document,
        lambda console: facts(
            console,
            [
                (decision, decided.execution_name),
                ("image" if decided.workflow == Workflow.RELEASE else "plan", decided.subject),
                ("digest", decided.digest),
                ("by", by),
                ("at", moment(decided.decided_at)),
                ("reason", decided.reason),
                ("watch it with", f"ops watch {decided.execution_name}"),
            ],
        ),
    )
    return ExitCode.SUCCESS


def _the_question(context: Context, execution: str | None) -> "Approval":
    if execution is not None:
        name = execution.rpartition(":")[2]
        approval = context.session.ledger.approval(name)
        if approval is None:
            raise Failure(
                ExitCode.UNREACHABLE,
                "ApprovalNotFound",
                f"{name} has not asked for an approval; `ops status` shows what waits for one",
            )
        return approval
    found = pending(context)
    if not found:
        raise Failure(ExitCode.UNREACHABLE, "ApprovalNotFound", "nothing waits for an approval")
    if len(found) > 1:
        names = ", ".join(approval.execution_name for approval in found)
        raise Failure(ExitCode.USAGE, "Ambiguous", f"several executions wait for an approval: {names}; name one")
    return found[0]


def _wake(context: Context, decided: "Approval", by: str, reason: str, *, repeated: bool) -> None:
    """Hand the answer to the waiting execution; one that has had it before needs it no more."""
    client = context.session.client("stepfunctions")
    try:
        if decided.decision == "approved":
            answer = {"approved_by": by, "digest": decided.digest, "reason": reason}
            client.send_task_success(taskToken=decided.task_token, output=json.dumps(answer))
        else:
            # What Step Functions takes of a cause: https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskFailure.html
            cause = f"rejected by {by}: {reason}"[:32768]
            client.send_task_failure(taskToken=decided.task_token, error="ApprovalRejectedError", cause=cause)
    except (
        client.exceptions.TaskTimedOut,
        client.exceptions.TaskDoesNotExist,
        client.exceptions.InvalidToken,
    ) as error:
        if repeated:
            context.output.say(f"{decided.execution_name} has had this answer before")
            return
        execution = locate(context.session, decided.execution_name)
        ended = "it is ending" if execution.running else f"it ended {execution.status}: {execution.reason}"
        raise Failure(
            ExitCode.REFUSED, "ApprovalExpired", f"{decided.execution_name} no longer waits; {ended}"
        ) from error
