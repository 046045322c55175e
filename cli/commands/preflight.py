"""`ops preflight`: the deployment validation checklist, checked by itself."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.exits import ExitCode, Failure
from cli.options import Context, command
from cli.output import Output
from cli.session import Session

if TYPE_CHECKING:
    from rich.console import Console

    from cli.preflight.check import Check
    from cli.preflight.finding import Finding
    from cli.preflight.running import Told

_STYLES = {"PASS": "green", "FAIL": "red", "INCONCLUSIVE": "yellow"}


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    command(app, "preflight")(preflight)


def preflight(
    context: Context,
    where: Annotated[
        str | None,
        typer.Argument(metavar="ENVIRONMENT", show_default=False, help="Environment, instead of --environment."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="CHECK", help="Only this check; repeat it, or use commas.")
    ] = None,
    skip: Annotated[
        list[str] | None, typer.Option("--skip", metavar="CHECK", help="Not this check; repeat it, or use commas.")
    ] = None,
    wait: Annotated[
        int, typer.Option("--wait", metavar="SECONDS", min=0, help="Look again, until all pass or this is over.")
    ] = 0,
) -> ExitCode:
    """Check that an environment is ready: before it is deployed to, and before it is relied on.

    Reads, changes nothing. The exit code is 0 only if every check passed: 1 if one failed, 6 if one could not be made.
    """
    # They load every adapter, which --help does not need.
    from cli.preflight.check import Sources  # noqa: PLC0415 - not needed for --help
    from cli.preflight.checklist import chosen  # noqa: PLC0415 - not needed for --help
    from cli.preflight.running import rounds, run_all  # noqa: PLC0415 - not needed for --help

    checks, session = chosen(only or (), skip or ()), _session(context, where)
    for left in rounds(wait):
        # Every check each time: what passed while another did not may have changed since.
        sources = Sources(session, datetime.now(UTC))
        with _progress(context.output, session.name, len(checks)) as told:
            found = run_all(checks, sources, told)
        if _code(found) is ExitCode.SUCCESS:
            break
        if left > 0:
            wrong = [f"{name} {one.outcome.value}" for name, one in found.items() if one.outcome.value != "PASS"]
            context.output.say(f"not yet: {', '.join(wrong)}; looking again for {left:.0f} s")
    document = _document(sources.session, sources.now, checks, found)
    context.output.result(document, lambda console: _show(console, checks, found, document))
    return _code(found)


def _session(context: Context, environment: str | None) -> Session:
    """As the command line's, for the environment that the argument names."""
    choices = context.session.choices
    if environment is None:
        return context.session
    if choices.environment not in (None, environment):
        message = f"{environment} and --environment {choices.environment} contradict each other"
        raise Failure(ExitCode.USAGE, "UsageError", message)
    return Session(replace(choices, environment=environment))


def _code(found: "Mapping[str, Finding]") -> ExitCode:
    outcomes = {finding.outcome.value for finding in found.values()}
    if "FAIL" in outcomes:
        return ExitCode.FAILED
    return ExitCode.SUCCESS if outcomes == {"PASS"} else ExitCode.INCONCLUSIVE


def _document(
    session: Session, now: datetime, checks: "Sequence[Check]", found: "Mapping[str, Finding]"
) -> dict[str, Any]:
    counts = Counter(finding.outcome.value for finding in found.values())
    overall = next((word for word in ("FAIL", "INCONCLUSIVE") if counts[word]), "PASS")
    return {
        "service": session.service,
        "environment": session.environment,
        "at": now,
        "outcome": overall,
        "counts": {word: counts[word] for word in _STYLES},
        "checks": [
            {"name": check.name, "group": check.group, "title": check.title, **asdict(found[check.name])}
            for check in checks
        ],
    }


def _show(
    console: "Console", checks: "Sequence[Check]", found: "Mapping[str, Finding]", document: Mapping[str, Any]
) -> None:
    width, group = max(len(check.name) for check in checks), None
    for check in checks:
        if check.group is not group:
            group = check.group
            console.print(f"\n{group}", style="bold")
        finding = found[check.name]
        word = finding.outcome.value
        console.print(f"  {word:<12}  {check.name:<{width}}  {finding.reason}", style=_STYLES[word])
        if finding.advice:
            console.print(f"  {'':<12}  {'':<{width}}  → {finding.advice}")
    counts = ", ".join(f"{count} {word}" for word, count in document["counts"].items() if count)
    console.print(f"\n{document['service']} in {document['environment']}: {counts}", style=_STYLES[document["outcome"]])


@contextmanager
def _progress(output: Output, name: str, count: int) -> "Iterator[Told]":
    """On a terminal how many are done, elsewhere a line for each where the result does not follow at once."""
    people, done = output.people, 0
    if people.is_terminal:
        with people.status(f"preflight of {name}: {count} checks") as status:

            def spin(check: "Check", _: "Finding") -> None:
                nonlocal done
                done += 1
                status.update(f"preflight of {name}: {done} of {count}, {check.title} done")

            yield spin
        return

    def line(check: "Check", finding: "Finding") -> None:
        if output.as_json:
            people.print(f"{finding.outcome.value:<12}  {check.name}")

    yield line
