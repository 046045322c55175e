"""The `ops` command as the chapters run it: in the foreground, or while other chapters are told."""

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from rich.console import Console

from sandbox.config import Config, environment

OPS_SECONDS = 120


class ChapterError(AssertionError):
    """What a chapter claims did not come about."""


@dataclass(frozen=True, slots=True)
class _Meanwhile:
    arguments: tuple[str, ...]
    process: "subprocess.Popen[str]"
    output: IO[str]
    progress: IO[str]


@dataclass(slots=True)
class Commands:
    """Runs `ops` against a sandbox, and shows what it says."""

    config: Config
    console: Console
    _meanwhile: dict[str, _Meanwhile] = field(default_factory=dict, init=False)

    def ops(self, *arguments: str, exits: int = 0) -> dict[str, Any]:
        """Run `ops`, showing what a person would see; return its JSON. It must end with `exits`."""
        self._say_command(arguments)
        began = time.monotonic()
        process = subprocess.Popen(  # noqa: S603 - our own command
            self._command(arguments),
            env=os.environ | environment(self.config),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None and process.stdout is not None  # noqa: S101, PT018 - pipes, as asked for
        for line in process.stderr:
            self._say_progress(line)
            if time.monotonic() - began > OPS_SECONDS:
                process.kill()
                raise ChapterError(f"ops {arguments[0]} took more than {OPS_SECONDS} s")
        return _answer(process, arguments, process.stdout.read(), exits)

    def background(self, *arguments: str) -> None:
        """Start `ops` while other chapters are told; `result` tells of it. One of each subcommand at a time."""
        # Closed when they are collected; the process outlives this call.
        output = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        progress = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        process = subprocess.Popen(  # noqa: S603 - our own command
            self._command(arguments),
            env=os.environ | environment(self.config),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=progress,
            text=True,
        )
        self._meanwhile[arguments[0]] = _Meanwhile(arguments, process, output, progress)

    def result(self, subcommand: str, exits: int = 0) -> dict[str, Any]:
        """What the `ops` in the background has shown and answered; waits for its end."""
        if subcommand not in self._meanwhile:
            raise ChapterError(f"ops {subcommand} was never started")
        done = self._meanwhile.pop(subcommand)
        self._say_command(done.arguments, " (ran meanwhile)")
        try:
            done.process.wait(OPS_SECONDS)
        except subprocess.TimeoutExpired:
            done.process.kill()
            raise ChapterError(f"ops {subcommand} took more than {OPS_SECONDS} s") from None
        done.progress.seek(0)
        for line in done.progress:
            self._say_progress(line)
        done.output.seek(0)
        return _answer(done.process, done.arguments, done.output.read(), exits)

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        return [str(Path(sys.executable).with_name("ops")), *arguments, "--json"]

    def _say_command(self, arguments: tuple[str, ...], remark: str = "") -> None:
        self.console.print(f"  [bold]$ ops {shlex.join(arguments)}[/bold]{remark}", highlight=False)

    def _say_progress(self, line: str) -> None:
        self.console.print(f"    {line.rstrip()}", highlight=False, markup=False)

    def end_background(self) -> None:
        """Kill what still runs in the background."""
        for running in self._meanwhile.values():
            running.process.kill()


def _answer(process: "subprocess.Popen[str]", arguments: tuple[str, ...], out: str, exits: int) -> dict[str, Any]:
    if process.wait() != exits:
        raise ChapterError(f"ops {arguments[0]} ended with {process.returncode}, expected {exits}: {out.strip()}")
    return dict(json.loads(out)) if out.strip() else {}
