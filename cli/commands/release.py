"""`ops release`: bring an image to production."""

import re
from enum import StrEnum
from typing import Annotated, Any

import typer

from cli.commands.run import PATIENCE, Dry, Name, NoWait, Patience, Reason, execute
from cli.exits import ExitCode
from cli.options import Context, command
from cli.output import short_image
from cli.workflows import Workflow

_STEP = re.compile(r"([0-9]{1,3})(?::([0-9]{1,5}))?")


class Strategy(StrEnum):
    """How traffic moves to the new version."""

    BLUE_GREEN = "blue-green"
    CANARY = "canary"


class OnInconclusive(StrEnum):
    """What follows a bake that cannot be judged."""

    ROLLBACK = "rollback"
    PROCEED = "proceed"


def parse_steps(text: str) -> list[dict[str, int]]:
    """`10:60,50:60,100` as steps: percent of traffic, and seconds to bake where given."""
    steps = []
    for part in text.split(","):
        found = _STEP.fullmatch(part.strip())
        if not found:
            raise typer.BadParameter(
                f"{part.strip()!r} is not WEIGHT:SECONDS (percent, seconds of bake), e.g. 10:60,50:60,100:120"
            )
        step = {"weight": int(found[1])}
        if found[2] is not None:
            step["bake_seconds"] = int(found[2])
        steps.append(step)
    return steps


def _steps(text: str | None) -> str | None:
    if text is not None:
        parse_steps(text)
    return text


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    command(app, "release")(release)


def release(
    context: Context,
    *,
    image: Annotated[
        str,
        typer.Option("--image", help="Tag, repository:tag, repository@sha256:digest, or a full registry URI."),
    ],
    strategy: Annotated[
        Strategy | None,
        typer.Option("--strategy", help="All traffic at once, or in --steps. [default: blue-green]"),
    ] = None,
    steps: Annotated[
        str | None,
        typer.Option(
            "--steps",
            metavar="WEIGHT:SECONDS,...",
            callback=_steps,
            help="Canary: percent of traffic and seconds of bake, rising to 100; e.g. 10:60,50:60,100:120.",
        ),
    ] = None,
    bake: Annotated[
        int | None,
        typer.Option("--bake", metavar="SECONDS", help="Bake where a step names none. [default: stack's]"),
    ] = None,
    approval: Annotated[bool, typer.Option("--approval", help="Wait for `ops approve` first.")] = False,
    approval_seconds: Annotated[
        int | None, typer.Option("--approval-seconds", metavar="SECONDS", help="Until an approval expires.")
    ] = None,
    override_alarms: Annotated[
        str | None,
        typer.Option("--override-alarms", metavar="REASON", help="Release although an alarm is firing; recorded."),
    ] = None,
    adopt_live: Annotated[
        bool,
        typer.Option("--adopt-live", help="Take what runs now as the start where it differs from the record."),
    ] = False,
    on_inconclusive: Annotated[
        OnInconclusive | None,
        typer.Option("--on-inconclusive", help="When a bake cannot be judged. [default: rollback]"),
    ] = None,
    inconclusive_wait: Annotated[
        int | None,
        typer.Option("--inconclusive-wait", metavar="SECONDS", help="Extra bake when it cannot be judged yet."),
    ] = None,
    minimum_requests: Annotated[
        int | None, typer.Option("--minimum-requests", metavar="N", help="Requests needed to judge a bake.")
    ] = None,
    keep_warm: Annotated[
        bool, typer.Option("--keep-warm", help="Leave the old version's pods running after success.")
    ] = False,
    reason: Reason = None,
    name: Name = None,
    dry_run: Dry = False,
    no_wait: NoWait = False,
    timeout: Patience = PATIENCE,
) -> ExitCode:
    """Bring an image to production and watch.

    Ctrl-C stops watching, not the release.
    """
    request: dict[str, Any] = {
        "operation": "release",
        "environment": context.session.environment,
        "image": image,
        "strategy": strategy and strategy.value,
        "steps": parse_steps(steps) if steps is not None else None,
        "bake_seconds": bake,
        "minimum_requests": minimum_requests,
        "on_inconclusive": on_inconclusive and on_inconclusive.value,
        "inconclusive_wait_seconds": inconclusive_wait,
        "approval": approval or None,
        "approval_seconds": approval_seconds,
        "override_alarms": override_alarms,
        "adopt_live": adopt_live or None,
        "keep_warm": keep_warm or None,
        "dry_run": dry_run or None,
        "reason": reason,
    }
    headline = f"release of {short_image(image)}, {request['strategy'] or Strategy.BLUE_GREEN.value}"
    return execute(context, Workflow.RELEASE, request, headline=headline, name=name, wait=not no_wait, timeout=timeout)
