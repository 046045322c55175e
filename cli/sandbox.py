"""`ops sandbox`: the product on this machine, without an AWS account."""

import json
import os
import shlex
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from cli.session import DEFAULT_ENVIRONMENT, DEFAULT_SERVICE, NAME, NOT_A_NAME

if TYPE_CHECKING:
    from sandbox.config import Config
    from sandbox.supervisor import Progress, Status

app = typer.Typer(
    no_args_is_help=True,
    help="Run the whole product on this machine, without an AWS account.",
)

Directory = Annotated[
    Path | None,
    typer.Option("--dir", help="Where it is kept [default: $OPS_SANDBOX_DIR, or .sandbox in the checkout]"),
]


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise typer.BadParameter(f"{text!r} {NOT_A_NAME}")
    return text


# A shell that has these set would go to AWS with them, or fail on them.
_IN_THE_WAY = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_ROLE_ARN")


@app.command()
def up(
    directory: Directory = None,
    service: Annotated[
        str, typer.Option(callback=_name, help="Name of the service that is operated.")
    ] = DEFAULT_SERVICE,
    environment: Annotated[str, typer.Option(callback=_name, help="Name of its environment.")] = DEFAULT_ENVIRONMENT,
    bare: Annotated[
        bool,
        typer.Option("--bare", help="Only the four processes: no platform, no automation stack, no service."),
    ] = False,
) -> None:
    """Start a sandbox and leave it running; returns when the service answers through the balancer."""
    from sandbox.lock import BusyError  # noqa: PLC0415 - `ops` against AWS must start quickly
    from sandbox.supervisor import Options, SandboxError  # noqa: PLC0415
    from sandbox.supervisor import up as start  # noqa: PLC0415

    interrupt_on_termination()
    # Its imports take as long as the processes take to start: let them overlap.
    Thread(target=import_module, args=("sandbox.provision",), daemon=True).start()
    options = Options(service=service, environment=environment)
    if not bare:
        options = replace(options, setup=_provision)
    try:
        config = start(_resolve(directory), options, _say)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except (SandboxError, BusyError, OSError) as error:  # as of a directory that cannot be written
        _fail(str(error))
    hint = "" if directory is None else f" --dir {shlex.quote(str(directory))}"
    _say(f"service       {config.service_url}")
    _say(f'AWS           eval "$(ops sandbox env{hint})"')
    _say(f"take it down  ops sandbox down{hint}")


@app.command()
def down(directory: Directory = None) -> None:
    """Stop a sandbox, also one that crashed, and remove everything that it left."""
    from sandbox.lock import BusyError  # noqa: PLC0415
    from sandbox.supervisor import SandboxError  # noqa: PLC0415
    from sandbox.supervisor import down as stop  # noqa: PLC0415

    try:
        stop(_resolve(directory), _say)
    except (SandboxError, BusyError) as error:
        _fail(str(error))


@app.command()
def status(
    ctx: typer.Context,
    directory: Directory = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show addresses and processes; the exit code is 0 only if everything is up and answers."""
    from sandbox.supervisor import status as look  # noqa: PLC0415

    found = look(_resolve(directory))
    if as_json or (ctx.obj and ctx.obj.as_json):
        sys.stdout.write(json.dumps(_as_dict(found), indent=2) + "\n")
    else:
        for line in _as_lines(found):
            sys.stdout.write(line + "\n")
    raise typer.Exit(0 if found.state == "up" else 1)


@app.command()
def env(directory: Directory = None) -> None:
    """Print the `export` lines with which any AWS CLI or SDK, and `ops`, talks to the sandbox."""
    from sandbox.config import Config, ConfigError, environment  # noqa: PLC0415

    try:
        config = Config.load(_resolve(directory) / "config.json")
    except ConfigError as error:
        _fail(str(error))
    for name, value in environment(config).items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
    if directory is not None:
        # So that `ops --sandbox` and `ops sandbox` mean the same one from now on.
        sys.stdout.write(f"export OPS_SANDBOX_DIR={shlex.quote(str(_resolve(directory)))}\n")
    obstacles = [name for name in _IN_THE_WAY if name in os.environ]
    if obstacles:
        sys.stdout.write(f"unset {' '.join(obstacles)}\n")


def _provision(config: "Config", progress: "Progress") -> Mapping[str, Any]:
    from sandbox.operator import Operator  # noqa: PLC0415
    from sandbox.provision import setup  # noqa: PLC0415

    # Its engines too, and everything that starts by itself: this one is to look at, not to test with.
    facts = setup(config, progress, engines=True, parameters={"Schedules": "ENABLED", "Remediation": "ENABLED"})
    # Its schedule comes to it within the minute; a drill or the objectives need not wait for that.
    Operator(config).call("objectives-stamp-heartbeat", {})
    return facts


def _resolve(directory: Path | None) -> Path:
    from sandbox.config import default_dir  # noqa: PLC0415

    return directory.absolute() if directory else default_dir()


def _as_dict(found: "Status") -> dict[str, Any]:
    addresses = {}
    if found.config is not None:
        values = found.config.as_dict()
        addresses = {"service_url": found.config.service_url} | {
            name: value for name, value in values.items() if name.endswith("_url")
        }
        addresses |= {name: values[name] for name in ("service", "environment", "dir")}
    return {
        "state": found.state,
        **addresses,
        "processes": [
            {
                "name": process.name,
                "pid": process.pid,
                "alive": process.alive,
                "healthy": process.healthy,
                "log": process.log,
            }
            for process in found.processes
        ],
        "facts": dict(found.facts),
        "advice": found.advice,
    }


def _as_lines(found: "Status") -> list[str]:
    lines = [f"state    {found.state}"]
    if found.config is not None and found.state != "down":
        lines.append(f"service  {found.config.service_url}")
    if found.state == "up" and "images" in found.facts:
        lines.append(f"images   {' '.join(found.facts['images'])}")
    for process in found.processes if found.state != "down" else ():
        word = "answers" if process.healthy else "does not answer" if process.alive else "not running"
        lines.append(f"{process.name:<12} pid {process.pid:<8} {word:<16} {process.log}")
    if found.advice:
        lines.append(found.advice)
    return lines


def interrupt_on_termination() -> None:
    """Let SIGTERM and SIGHUP end the command as Ctrl-C does: with everything taken down."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _fail(message: str) -> NoReturn:
    _say(f"ops sandbox: {message}")
    raise typer.Exit(1)
