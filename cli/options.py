"""The global options, taken before or after the subcommand, and the decorator that gives every command both.

A command is a function of a `Context` and its own options; it returns an `ExitCode`. The decorator adds the
global options to its signature, runs it, and turns every expected failure into a sentence and an exit code.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Concatenate, ParamSpec

import typer

from cli.exits import ExitCode, Failure
from cli.failures import explain
from cli.output import Output
from cli.session import Choices, Session

P = ParamSpec("P")

EPILOG = "The options of `ops` itself (--environment, --json, --sandbox, ...) may be given here as well."

_GLOBAL: dict[str, tuple[Any, tuple[str, ...], str]] = {
    "service": (str | None, ("--service",), "Service. [env: OPS_SERVICE; default: detection-api]"),
    "environment": (str | None, ("--environment", "-e"), "Environment. [env: OPS_ENVIRONMENT; default: dev]"),
    "profile": (str | None, ("--profile",), "AWS profile. [env: AWS_PROFILE]"),
    "region": (str | None, ("--region",), "AWS region. [env: AWS_REGION]"),
    "as_json": (bool | None, ("--json",), "Print the result as one JSON document; progress goes to stderr."),
    "sandbox": (bool | None, ("--sandbox",), "Work on the running sandbox. [env: OPS_SANDBOX=1]"),
}


def global_parameters(*, hidden: bool) -> list[inspect.Parameter]:
    """The global options as parameters of a function that Typer reads; all default to None."""
    return [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[kind, typer.Option(*flags, help=text, hidden=hidden, show_default=False)],
        )
        for name, (kind, flags, text) in _GLOBAL.items()
    ]


@dataclass(frozen=True)
class Context:
    """What every command gets: where to work and where to print."""

    session: Session
    output: Output


def command(
    app: typer.Typer, name: str
) -> Callable[[Callable[Concatenate[Context, P], ExitCode]], Callable[..., None]]:
    """Register a function as `ops <name>`; its docstring is the help text."""

    def register(function: Callable[Concatenate[Context, P], ExitCode]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(ctx: typer.Context, *args: Any, **given: Any) -> None:
            choices = Choices(**{key: given.pop(key) for key in _GLOBAL}).over(ctx.obj)
            raise typer.Exit(int(_run(function, choices, args, given)))

        _with_globals(run, function)
        app.command(name, epilog=EPILOG)(run)
        return run

    return register


def group(app: typer.Typer, name: str) -> Callable[[Callable[Concatenate[Context, P], ExitCode]], typer.Typer]:
    """Register a function as `ops <name>` that has subcommands, too; returns what those are registered with."""

    def register(function: Callable[Concatenate[Context, P], ExitCode]) -> typer.Typer:
        @functools.wraps(function)
        def run(ctx: typer.Context, *args: Any, **given: Any) -> None:
            choices = Choices(**{key: given.pop(key) for key in _GLOBAL}).over(ctx.obj)
            if ctx.invoked_subcommand is not None:
                ctx.obj = choices
                return
            raise typer.Exit(int(_run(function, choices, args, given)))

        _with_globals(run, function)
        made = typer.Typer()
        made.callback(invoke_without_command=True, epilog=EPILOG)(run)
        app.add_typer(made, name=name)
        return made

    return register


def _with_globals(run: Callable[..., Any], function: Callable[..., Any]) -> None:
    own = list(inspect.signature(function).parameters.values())[1:]
    first = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    set_signature(run, [first, *own, *global_parameters(hidden=True)])


def set_signature(function: Callable[..., Any], parameters: list[inspect.Parameter]) -> None:
    """Give `function` the signature that Typer is to read."""
    # Typer reads both: inspect.signature for the order and defaults, __annotations__ for the types.
    function.__dict__.pop("__wrapped__", None)
    function.__dict__["__signature__"] = inspect.Signature(parameters)
    function.__annotations__ = {p.name: p.annotation for p in parameters}


def not_empty(text: str | None) -> str | None:
    """Callback for what may be left out but not be given empty, as by a script whose variable is not set."""
    if text is not None and not text.strip():
        raise typer.BadParameter("is empty")
    return text


def _refuse_broken_text(given: Mapping[str, Any]) -> None:
    """Python takes bytes that are no UTF-8 from the command line as surrogates, which no service accepts."""
    for name, value in given.items():
        texts = value if isinstance(value, list) else [value]
        if any("\ud800" <= letter <= "\udfff" for text in texts if isinstance(text, str) for letter in text):
            raise Failure(ExitCode.USAGE, "UsageError", f"{name.replace('_', '-')} is not UTF-8 text")


def _run(function: Callable[..., ExitCode], choices: Choices, args: tuple[Any, ...], given: Any) -> ExitCode:
    output = Output(as_json=bool(choices.as_json))
    session: Session | None = None
    try:
        _refuse_broken_text(given)
        session = Session(choices)
        return function(Context(session, output), *args, **given)
    except KeyboardInterrupt:
        # Where a command is between two steps of its own; `follow` has better words for the long wait.
        message = "interrupted; what was started goes on: see `ops status`"
        output.failure(Failure(ExitCode.INTERRUPTED, "Interrupted", message))
        return ExitCode.INTERRUPTED
    except Exception as error:
        failure = explain(error, session)
        if failure is None:
            raise
        output.failure(failure)
        return failure.code
