"""`ops restore`: bring database and cache back, beside production or in its place."""

import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

from cli.commands.run import PATIENCE, Dry, Name, NoWait, Patience, Reason, execute
from cli.exits import ExitCode, Failure
from cli.moments import FORMS, as_moment
from cli.options import Context, command, not_empty
from cli.output import moment as written
from cli.workflows import Workflow

# Keys of `placement` in schemas/restore.json whose value is a list, given with commas.
_LISTS = frozenset({"database_security_groups", "cache_security_groups"})


class Component(StrEnum):
    """What can be restored."""

    DATABASE = "database"
    CACHE = "cache"


def _placement(given: list[str]) -> dict[str, Any]:
    placed: dict[str, Any] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key or not value.strip():
            raise typer.BadParameter(f"{text!r} is not key=value, e.g. database_class=db.t4g.large")
        if key in placed:
            raise typer.BadParameter(f"{key} is given twice")
        placed[key] = [part.strip() for part in value.split(",")] if key in _LISTS else value.strip()
    return placed


def _placement_or_none(given: list[str] | None) -> list[str] | None:
    _placement(given or [])
    return given


def _moment(text: str | None) -> str | None:
    found = as_moment(text)
    # To the microsecond, for the moment before a mistake may be that close to it.
    return found.isoformat().replace("+00:00", "Z") if found else None


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    command(app, "restore")(restore)


def restore(
    context: Context,
    *,
    moment: Annotated[
        str | None,
        typer.Option("--moment", metavar="MOMENT", callback=_moment, help=f"As the data was then: {FORMS}."),
    ] = None,
    snapshot: Annotated[
        str | None,
        typer.Option(
            "--snapshot",
            metavar="ID",
            callback=not_empty,
            help="The set that this belongs to: a snapshot's name or an object's key, as `ops backups show` has it.",
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Then let the service use what was restored. Needs --reason.")
    ] = False,
    component: Annotated[list[Component] | None, typer.Option("--component", help="Only this. [default: both]")] = None,
    no_approval: Annotated[
        bool, typer.Option("--no-approval", help="With --replace: cut over without `ops approve`. For emergencies.")
    ] = False,
    approval_seconds: Annotated[
        int | None, typer.Option("--approval-seconds", metavar="SECONDS", help="Until an approval expires.")
    ] = None,
    keep_old_hours: Annotated[
        int | None,
        typer.Option("--keep-old-hours", metavar="HOURS", help="Keep what was replaced this long. [default: 72]"),
    ] = None,
    placement: Annotated[
        list[str] | None,
        typer.Option(
            "--placement",
            metavar="KEY=VALUE",
            callback=_placement_or_none,
            help="In place of what the source has, e.g. database_class=db.t4g.large; repeat it for several.",
        ),
    ] = None,
    allow_incomplete: Annotated[
        str | None,
        typer.Option(
            "--allow-incomplete", metavar="REASON", help="Restore from a manifest that is not complete; recorded."
        ),
    ] = None,
    declared_at: Annotated[
        str | None,
        typer.Option(
            "--declared-at", metavar="MOMENT", callback=_moment, help="The recovery time runs from here. [default: now]"
        ),
    ] = None,
    undo: Annotated[
        str | None,
        typer.Option(
            "--undo", metavar="EXECUTION", callback=not_empty, help="Cut over back to what this restore replaced."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before --replace --no-approval.")] = False,
    reason: Reason = None,
    name: Name = None,
    dry_run: Dry = False,
    no_wait: NoWait = False,
    timeout: Patience = PATIENCE,
) -> ExitCode:
    """Bring back database and cache: the latest, a snapshot, a moment.

    Without --replace, what is restored stands beside production, isolated, and nothing else changes.
    """
    if replace and not (reason or "").strip():
        raise Failure(ExitCode.USAGE, "UsageError", "--replace needs --reason: it changes what clients reach")
    request: dict[str, Any] = {
        "environment": context.session.environment,
        "moment": moment,
        "snapshot": snapshot,
        "mode": "replace" if replace else None,
        "components": [one.value for one in dict.fromkeys(component)] if component else None,
        "placement": _placement(placement) if placement else None,
        "allow_incomplete": allow_incomplete,
        "approval": False if no_approval else None,
        "approval_seconds": approval_seconds,
        "keep_old_hours": keep_old_hours,
        "declared_at": declared_at,
        "undo": undo.rpartition(":")[2] if undo else None,
        "dry_run": dry_run or None,
        "reason": reason,
    }
    _refuse_contradictions(request)
    headline = _headline(request)
    if no_approval and not dry_run and not yes:
        _confirm(f"{headline} on {context.session.name}, without approval")
    return execute(context, Workflow.RESTORE, request, headline=headline, name=name, wait=not no_wait, timeout=timeout)


def _refuse_contradictions(request: Mapping[str, Any]) -> None:
    given = {name for name, value in request.items() if value is not None}
    problem = ""
    if "undo" in given:
        others = sorted(given & {"moment", "snapshot", "mode", "components", "placement", "allow_incomplete"})
        if others:
            options = ", ".join(_OPTIONS[name] for name in others)
            problem = f"--undo takes no {options}: it goes back to what that restore replaced"
    elif {"moment", "snapshot"} <= given:
        problem = "--moment and --snapshot exclude each other: give one, or none for the latest"
    elif "mode" not in given:
        others = sorted(given & {"approval", "approval_seconds", "keep_old_hours"})
        if others:
            problem = f"{', '.join(_OPTIONS[name] for name in others)}: only with --replace"
    if problem:
        raise Failure(ExitCode.USAGE, "UsageError", problem)


_OPTIONS = {
    "moment": "--moment",
    "snapshot": "--snapshot",
    "mode": "--replace",
    "components": "--component",
    "placement": "--placement",
    "allow_incomplete": "--allow-incomplete",
    "approval": "--no-approval",
    "approval_seconds": "--approval-seconds",
    "keep_old_hours": "--keep-old-hours",
}


def _headline(request: Mapping[str, Any]) -> str:
    if request["undo"]:
        return f"undo of {request['undo']}"
    of = " and ".join(request["components"] or ("database", "cache"))
    if request["moment"]:
        source = f"as of {written(request['moment'])}"
    else:
        source = f"from the set of {request['snapshot']}" if request["snapshot"] else "from the latest there is"
    purpose = "to replace what is live" if request["mode"] == "replace" else "isolated"
    return f"restore of {of} {source}, {purpose}"


def on_a_terminal() -> bool:
    """Whether there is a person to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def _confirm(what: str) -> None:
    """Ask on a terminal; a script that says --no-approval means it."""
    if not on_a_terminal():
        return
    if not typer.confirm(f"{what}. Go on?", default=False, err=True):
        raise Failure(ExitCode.USAGE, "NotConfirmed", "not confirmed: nothing was changed")
