"""`ops backups`: what there is to restore from."""

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.exits import ExitCode, Failure
from cli.failures import explain
from cli.options import Context, command, group, not_empty
from cli.output import facts, moment, size, table
from cli.workflows import Workflow

if TYPE_CHECKING:
    from rich.console import Console

    from opskit.adapters.manifests import Manifests
    from opskit.decisions.manifest import Component, Manifest

DAY = 24
# What a listing of all reads at most: the ledger has a record for each hour, for good.
_ALL = 20_000
_KEY = re.compile(r"manifests/(\d{4})/(\d{2})/(\d{2})/(\d{2})-")
_HOUR = re.compile(r"(\d{4})-(\d{2})-(\d{2})[T ](\d{2})(?::00(?::00)?)?(?:Z|\+00:00)?")


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    command(group(app, "backups")(backups), "show")(show)


def backups(
    context: Context,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many runs.")] = DAY,
    every: Annotated[bool, typer.Option("--all", help="All runs there are.")] = False,
) -> ExitCode:
    """List what there is to restore from, newest first.

    Above the snapshot runs: the moments to which the live database can be restored from its log.
    The exit code is 1 if a manifest is missing or was changed.
    """
    manifests = _manifests(context)
    found = manifests.recent(_ALL if every else limit)
    window = _window(context)
    document = {
        "point_in_time": window,
        "backups": [_summary(manifest) for manifest in found],
        "problems": list(manifests.problems),
    }
    context.output.result(document, lambda console: _show(console, document))
    return ExitCode.FAILED if manifests.problems else ExitCode.SUCCESS


def show(
    context: Context,
    which: Annotated[
        str,
        typer.Argument(
            metavar="HOUR|KEY|latest",
            callback=not_empty,
            help="The hour in UTC (2026-01-31T09), the manifest's key, or the latest.",
        ),
    ],
) -> ExitCode:
    """Show one run's manifest.

    It has every component, and the names to restore by.
    """
    manifest = _chosen(context, which)
    document = manifest.as_dict() | {"key": manifest.key, "sha256": manifest.sha256}
    context.output.result(document, lambda console: _show_one(console, manifest))
    return ExitCode.SUCCESS


def last_manifest(context: Context) -> "Manifest | None":
    """The newest run's manifest; None if there is none that can be trusted."""
    found = _manifests(context).recent(1)
    return found[0] if found else None


def _manifests(context: Context) -> "Manifests":
    from opskit.adapters.manifests import Manifests  # noqa: PLC0415 - not needed for --help

    return Manifests(context.session.platform.backup_bucket, context.session.ledger, context.session.backups)


def _chosen(context: Context, which: str) -> "Manifest":
    """The manifest of an hour (of several runs, the complete one, else the newest) or at a key; its hash is checked."""
    hour = _HOUR.fullmatch(which) or _KEY.match(which)
    prefix = f"manifests/{hour[1]}/{hour[2]}/{hour[3]}/{hour[4]}-" if hour else ""
    written = [
        found
        for record in context.session.ledger.operations(Workflow.SNAPSHOT.value, _far_enough(hour))
        if (found := record.facts.get("manifest"))
    ]
    recorded = [
        found for found in written if which in ("latest", found["key"]) or (prefix and found["key"].startswith(prefix))
    ]
    exact = [found for found in recorded if found["key"] == which]
    if not recorded:
        message = f"there is no manifest of {which}; `ops backups` lists them"
        raise Failure(ExitCode.UNREACHABLE, "ManifestNotFound", message)
    complete = [found for found in recorded if found.get("complete")] if which != "latest" else []
    chosen = (exact or complete or recorded)[0]
    return _manifests(context).read(chosen["key"], sha256=chosen["sha256"])


def _far_enough(hour: "re.Match[str] | None") -> int:
    """How many records to look through for a run of that hour: a few for each hour since."""
    if hour is None:
        return DAY
    year, month, day, of_day = (int(part) for part in hour.groups())
    try:
        since = datetime.now(UTC) - datetime(year, month, day, of_day, tzinfo=UTC)
    except ValueError as error:
        raise Failure(ExitCode.USAGE, "UsageError", f"there is no such hour: {error}") from None
    return min(_ALL, max(DAY, 3 * int(since / timedelta(hours=1)) + DAY))


def _window(context: Context) -> dict[str, Any]:
    """The point-in-time window of the live database, or why there is none to tell."""
    from opskit.adapters.databases import Databases  # noqa: PLC0415 - not needed for --help
    from opskit.adapters.endpoints import DATABASE, Endpoints  # noqa: PLC0415
    from opskit.decisions.live import live_database  # noqa: PLC0415

    session = context.session
    told: dict[str, Any] = {"database": None, "earliest": None, "latest": None, "problem": None}
    try:
        endpoint = Endpoints(session.service, session.environment, session.client("ssm")).read(DATABASE).text
        databases = Databases(session.client("rds"))
        live = live_database(databases.instances(), endpoint)
        if live is None:
            return told | {"problem": f"no DB instance is at {endpoint}, where the service looks for its database"}
        told["database"] = live.identifier
        window = databases.restore_window(live.resource_id)
    except Exception as error:
        failure = explain(error, session)
        if failure is None:
            raise
        return told | {"problem": f"unreadable: {failure.message}"}
    if window is None:
        return told | {"problem": "no automated backups: only the snapshots"}
    return told | window.as_dict()


def _summary(manifest: "Manifest") -> dict[str, Any]:
    verified = [part for part in manifest.components if part.status == "VERIFIED"]
    return {
        "hour": manifest.hour,
        "run": manifest.run,
        "key": manifest.key,
        "complete": manifest.complete,
        "missing": list(manifest.missing),
        "database": [part.id for part in verified if part.kind == "database"],
        "cache": [part.id for part in verified if part.kind == "cache"],
        "verified": len(verified),
        "components": len(manifest.components),
        "bytes": sum(part.bytes or 0 for part in verified) or None,
        "finished_at": manifest.finished_at,
    }


def _show(console: "Console", told: dict[str, Any]) -> None:
    window = told["point_in_time"]
    words = window["problem"] or f"{moment(window['earliest'])} to {moment(window['latest'])}"
    facts(console, [("live database", window["database"]), ("any moment", words)])
    for problem in told["problems"]:
        console.print(f"NOT TO BE TRUSTED: {problem}", style="red")
    if not told["backups"]:
        console.print("no backups yet: ops snapshot")
        return
    console.print()
    rows = [
        (
            moment(one["hour"])[:16],
            "complete" if one["complete"] else "INCOMPLETE",
            f"{one['verified']} of {one['components']}",
            size(one["bytes"]) if one["bytes"] else "-",
            _names(one["database"]),
            _names(one["cache"]),
            "; ".join(one["missing"]),
        )
        for one in told["backups"]
    ]
    table(console, ("HOUR (UTC)", "SET", "VERIFIED", "SIZE", "DATABASE", "CACHE", "LACKS"), rows)


def _names(names: list[str | None]) -> str:
    told = [name for name in names if name]
    if len(told) > 1:
        return f"{told[0]} and {len(told) - 1} more"
    return told[0] if told else "-"


def _show_one(console: "Console", manifest: "Manifest") -> None:
    facts(
        console,
        [
            ("hour", moment(manifest.hour)),
            ("run", manifest.run),
            ("key", manifest.key),
            ("sha256", manifest.sha256),
            ("started", moment(manifest.started_at)),
            ("finished", moment(manifest.finished_at)),
            ("set", "complete" if manifest.complete else "INCOMPLETE"),
            *(("lacks", lack) for lack in manifest.missing),
        ],
    )
    console.print()
    rows = [_row(part) for part in manifest.components]
    table(console, ("COMPONENT", "OF", "STATUS", "ID", "TAKEN", "SIZE", "REASON", "COUNTS"), rows)


def _row(part: "Component") -> tuple[str, ...]:
    return (
        part.kind.value,
        part.resource,
        part.status.value,
        part.id or "-",
        moment(part.taken_at),
        size(part.bytes) if part.bytes is not None else "-",
        part.reason or "",
        ", ".join(f"{count} {name}" for name, count in sorted(part.counts.items()) if count),
    )
