"""What the chapters of the demo share: the sandbox, the load, the `ops` command, and a voice."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from opskit.traffic import Weights
from sandbox.config import Config, environment
from sandbox.load import Load, Plan, Report
from sandbox.operator import Operator

OPS_SECONDS = 120
LONGEST_SECONDS = 1200


class ChapterError(AssertionError):
    """What a chapter claims did not come about."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What clients saw between two moments: requests that were answered, those that failed, versions met."""

    requests: int
    failed: int
    versions: frozenset[str]


@dataclass(slots=True)
class Stage:
    """A running sandbox with clients on it from the first chapter to the last.

    The clients keep their connections alive and send 200 requests a second, one in a hundred of them 2 s long.
    """

    config: Config
    console: Console
    operator: Operator = field(init=False)
    clients: Load = field(init=False)

    def __post_init__(self) -> None:
        self.operator = Operator(self.config)
        self.clients = Load(Plan(url=self.config.service_url, seconds=LONGEST_SECONDS)).start()

    def say(self, text: str) -> None:
        """One line of what is going on."""
        self.console.print(f"  {text}", highlight=False)

    @contextmanager
    def watching(self) -> Iterator[Callable[[], Seen]]:
        """Watch the clients for the length of a block; what it yields says what they have seen since."""
        before = self.clients.report()

        def seen() -> Seen:
            now = self._settled()
            versions = {name for name, n in now.versions.items() if n > before.versions.get(name, 0)}
            return Seen(now.requests - before.requests, now.failed - before.failed, frozenset(versions))

        yield seen

    def _settled(self) -> Report:
        """A report that was written after this call; one is written every second."""
        asked = self.clients.report().seconds
        return self.operator.until(
            self.clients.report, lambda report: report.seconds > asked, "the clients' next report", seconds=10
        )

    def ops(self, *arguments: str, exits: int = 0) -> dict[str, Any]:
        """Run `ops`, showing what a person would see; return its JSON. It must end with `exits`."""
        self.console.print(f"  [bold]$ ops {' '.join(arguments)}[/bold]", highlight=False)
        began = time.monotonic()
        process = subprocess.Popen(  # noqa: S603 - our own command
            [str(Path(sys.executable).with_name("ops")), *arguments, "--json"],
            env=os.environ | environment(self.config),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None and process.stdout is not None  # noqa: S101, PT018 - pipes, as asked for
        for line in process.stderr:
            self.console.print(f"    {line.rstrip()}", highlight=False, markup=False)
            if time.monotonic() - began > OPS_SECONDS:
                process.kill()
                raise ChapterError(f"ops {arguments[0]} took more than {OPS_SECONDS} s")
        out = process.stdout.read()
        if process.wait() != exits:
            raise ChapterError(f"ops {arguments[0]} ended with {process.returncode}, expected {exits}: {out.strip()}")
        return dict(json.loads(out)) if out.strip() else {}

    def expect(self, condition: bool, claim: str, seen: object = "") -> None:
        """Say the claim, or fail the chapter with what was seen."""
        if not condition:
            raise ChapterError(f"{claim}: not so{f' ({seen})' if seen != '' else ''}")
        self.console.print(f"  [green]✓[/green] {claim}", highlight=False)

    def expect_weights(self, weights: Weights) -> None:
        """The balancer reads back these weights."""
        found = self.operator.weights()
        self.expect(found == weights, f"the balancer says blue {weights.blue} / green {weights.green}", found)

    def nobody_suffered(self, seen: Seen) -> Mapping[str, Any]:
        """No request failed; returns the figures for the chapter's facts."""
        self.expect(seen.failed == 0, f"{seen.requests} requests, none failed", seen.failed)
        return {"requests": seen.requests, "failed": seen.failed}
