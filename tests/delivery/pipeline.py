"""The workflows of .github/workflows, as data: their jobs, steps, and the commands that these run."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))
_EXPRESSION = re.compile(r"\$\{\{.*?\}\}", re.DOTALL)


@dataclass(frozen=True)
class Command:
    """One command of a step, its words as the shell sees them; expressions in variables stand as `expression`."""

    workflow: str
    job: str
    words: tuple[str, ...]
    variables: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"{self.workflow}/{self.job}: {shlex.join(self.words)}"


def workflow(file: Path) -> dict[str, Any]:
    """A workflow's document; YAML 1.1 takes the key `on` for a boolean."""
    document: dict[Any, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    document["on"] = document.pop(True)
    return document


def jobs() -> Iterator[tuple[Path, str, dict[str, Any]]]:
    """Every job with its file and name."""
    for file in FILES:
        for name, job in workflow(file)["jobs"].items():
            yield file, name, job


def steps(job: dict[str, Any]) -> list[dict[str, Any]]:
    """A job's steps; one that calls another workflow has none."""
    return list(job.get("steps", []))


def commands() -> Iterator[Command]:
    """Every command that a step runs, once for each value of its job's matrix."""
    for file, name, job in jobs():
        for step in steps(job):
            for line in step.get("run", "").replace("\\\n", " ").splitlines():
                if line.strip():
                    for chosen in _matrix(job):
                        yield _command(file, name, step, line, chosen)


def _matrix(job: dict[str, Any]) -> list[dict[str, str]]:
    axes = job.get("strategy", {}).get("matrix", {})
    assert len(axes) <= 1
    return [{axis: value} for axis, values in axes.items() for value in values] or [{}]


def _command(file: Path, job: str, step: dict[str, Any], line: str, chosen: dict[str, str]) -> Command:
    variables = {
        name: _EXPRESSION.sub(lambda found: _value(found[0], chosen), str(value))
        for name, value in step.get("env", {}).items()
    }
    words = [re.sub(r"\$(\w+)", lambda found: variables[found[1]], word) for word in shlex.split(line)]
    return Command(file.stem, job, tuple(words), tuple(variables.items()))


def _value(expression: str, chosen: dict[str, str]) -> str:
    if found := re.fullmatch(r"\$\{\{ matrix\.(\w+) \}\}", expression):
        return chosen[found[1]]
    # Any environment will do where the caller says which.
    return "staging" if "inputs.environment" in expression else "expression"
