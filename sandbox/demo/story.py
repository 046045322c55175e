"""Chapters told one after the other, each timed, none hiding the failure of another."""

import json
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

Chapter = Callable[[], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Told:
    """A chapter that was told: PASS, FAIL, or SKIPPED because what it rests on had failed."""

    name: str
    status: str
    seconds: float
    facts: dict[str, Any]


@dataclass(slots=True)
class Story:
    """The demo as it unfolds."""

    console: Console
    told: list[Told] = field(default_factory=list)

    def tell(self, name: str, chapter: Chapter) -> bool:
        """Run a chapter; True if all that it claims came about. An interrupt ends the story."""
        self.console.rule(f"[bold]{name}")
        began = time.monotonic()
        status, facts = "PASS", dict[str, Any]()
        try:
            facts = dict(chapter())
        except Exception as error:  # noqa: BLE001 - a failed chapter must not take the others with it
            status, facts = "FAIL", {"error": f"{type(error).__name__}: {error}"}
            self.console.print(f"  [red]✗ {facts['error']}[/red]", highlight=False)
            if not isinstance(error, AssertionError):
                self.console.print(traceback.format_exc(), highlight=False, markup=False)
        self.told.append(Told(name, status, round(time.monotonic() - began, 1), facts))
        return status == "PASS"

    def skip(self, name: str, reason: str) -> None:
        """Put a chapter on record that could not be told."""
        self.told.append(Told(name, "SKIPPED", 0.0, {"reason": reason}))

    @property
    def passed(self) -> bool:
        """Whether every chapter passed."""
        return bool(self.told) and all(told.status == "PASS" for told in self.told)

    def summarise(self, path: Path) -> None:
        """Print the table and write the chapters to `path` as JSON."""
        table = Table(title="What was shown")
        for column in ("chapter", "status", "seconds", "facts"):
            table.add_column(column, justify="right" if column == "seconds" else "left", overflow="fold")
        for told in self.told:
            colour = {"PASS": "green", "FAIL": "red"}.get(told.status, "yellow")
            table.add_row(told.name, f"[{colour}]{told.status}", f"{told.seconds:.1f}", _words(told.facts))
        self.console.print(table)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([asdict(told) for told in self.told], indent=2) + "\n", encoding="utf-8")
        self.console.print(f"{sum(t.seconds for t in self.told):.0f} s in all; written to {path.name}", highlight=False)


def _words(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())
