"""`ops`: release, back up, restore, repair, rehearse, watch, decide, look. See `ops --help`."""

import inspect
import sys
from typing import Annotated, Any

import typer

from cli.commands import (
    abort,
    backups,
    decide,
    drill,
    evidence,
    history,
    objectives,
    pause,
    preflight,
    release,
    remediate,
    remediations,
    restore,
    rollback,
    snapshot,
    status,
    watch,
)
from cli.exits import MEANINGS
from cli.help import Sections
from cli.options import global_parameters, set_signature
from cli.sandbox import app as sandbox_app
from cli.session import Choices

HELP = "Release, back up, restore and repair a service on AWS, or in the sandbox, and see what is going on."
EXIT_CODES = "\n".join(["Exit codes:", "", "\b", *(f"{code:>3}  {MEANINGS[code]}" for code in MEANINGS)])

# Plain help and errors: rich's would cost a quarter of a second at every start.
app = typer.Typer(
    name="ops",
    cls=Sections,
    help=f"{HELP}\n\n{EXIT_CODES}",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415 - reads the file system

        typer.echo(version("detection-ops"))
        raise typer.Exit


def _globals(ctx: typer.Context, **given: Any) -> None:
    given.pop("version", None)
    ctx.obj = Choices(**given)


_VERSION = inspect.Parameter(
    "version",
    inspect.Parameter.KEYWORD_ONLY,
    default=False,
    annotation=Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ],
)
_CTX = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
set_signature(_globals, [_CTX, *global_parameters(hidden=False), _VERSION])
app.callback()(_globals)

for module in (
    status,
    watch,
    history,
    abort,
    release,
    decide,
    rollback,
    snapshot,
    backups,
    restore,
    remediate,
    remediations,
    pause,
    drill,
    objectives,
    preflight,
    evidence,
):
    module.register(app)
app.add_typer(sandbox_app, name="sandbox")


def main() -> None:
    """Entry point of the `ops` script."""
    # A reason may hold letters that the terminal's encoding has not: a command must not die of printing them.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a TextIO in typeshed
    app()
