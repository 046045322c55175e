"""The deployed artefacts, read from their files."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted(path.name.removesuffix(".asl.json") for path in (ROOT / "statemachines").glob("*.asl.json"))


class _Loader(yaml.CSafeLoader):
    """YAML with CloudFormation's short tags: `!Ref X` becomes `{"!Ref": "X"}`."""


def _tagged(loader: yaml.CSafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        return {f"!{suffix}": loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {f"!{suffix}": loader.construct_sequence(node, deep=True)}
    return {f"!{suffix}": loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _tagged)


@cache
def template() -> dict[str, Any]:
    return yaml.load((ROOT / "template.yaml").read_text(), _Loader)  # noqa: S506 - a SafeLoader


def resources(kind: str) -> dict[str, dict[str, Any]]:
    """Logical id → properties, of the resources of a type."""
    return {name: r["Properties"] for name, r in template()["Resources"].items() if r["Type"] == kind}


@cache
def machine(workflow: str) -> dict[str, Any]:
    return json.loads((ROOT / "statemachines" / f"{workflow}.asl.json").read_text())


def states(workflow: str) -> dict[str, dict[str, Any]]:
    """All states, also those inside Parallel and Map states; a name is that of one state only."""
    found: dict[str, dict[str, Any]] = {}
    todo = [machine(workflow)]
    while todo:
        for name, state in todo.pop()["States"].items():
            assert name not in found, f"{workflow}: two states are called {name}"
            found[name] = state
            todo += parts_of(state)
    return found


def parts_of(state: dict[str, Any]) -> list[dict[str, Any]]:
    """The sequences of states inside a Parallel or a Map state."""
    return [*state.get("Branches", ()), *(state[key] for key in ("ItemProcessor", "Iterator") if key in state)]


def function_of(state: dict[str, Any]) -> str | None:
    """The logical id of the function that a Task invokes."""
    found = re.fullmatch(r"\$\{(\w+)\}", str(state.get("Arguments", {}).get("FunctionName", "")))
    return found and found[1]


def successors(state: dict[str, Any]) -> set[str]:
    found = {state.get("Next"), state.get("Default")}
    found |= {rule.get("Next") for key in ("Choices", "Catch") for rule in state.get(key, ())}
    found |= {part["StartAt"] for part in parts_of(state)}
    return {name for name in found if name}


def step_files() -> list[Path]:
    return sorted(path for path in (ROOT / "functions").glob("*/*.py") if path.name != "__init__.py")
