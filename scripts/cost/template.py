"""What template.yaml and the state machines say of the automation: functions, schedules, metrics, alarms."""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml
from croniter import croniter

ROOT = Path(__file__).parents[2]
YEAR_MONTHS = 12
YEAR_HOURS = 8760


class _Loader(yaml.CSafeLoader):
    """YAML with CloudFormation's short tags: `!Ref X` becomes `{"!Ref": "X"}`."""


def _tagged(loader: yaml.CSafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        return {f"!{suffix}": loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {f"!{suffix}": loader.construct_sequence(node, deep=True)}
    raise yaml.YAMLError(f"!{suffix} of a mapping: no function of CloudFormation takes one in the short form")


_Loader.add_multi_constructor("!", _tagged)


@dataclass(frozen=True)
class Function:
    """A function: its name without service and environment, its memory, and what matters for its price."""

    logical_id: str
    name: str
    memory_mb: int
    in_vpc: bool
    traced: bool
    source: Path


@dataclass(frozen=True)
class Metric:
    """A metric that a function publishes: with every call, or only under a condition."""

    name: str
    function: Function
    conditional: bool


@dataclass(frozen=True)
class Template:
    """The automation stack."""

    data: Mapping[str, Any]

    @classmethod
    @cache
    def load(cls) -> "Template":
        """Read template.yaml, once: who wants to change what it says takes a copy."""
        return cls(yaml.load((ROOT / "template.yaml").read_text(encoding="utf-8"), _Loader))  # noqa: S506 - a SafeLoader

    @property
    def kinds(self) -> set[str]:
        """The types of the resources."""
        return {str(resource["Type"]) for resource in self.data["Resources"].values()}

    def resources(self, kind: str) -> dict[str, dict[str, Any]]:
        """Logical id → properties, of the resources of a type."""
        return {name: r["Properties"] for name, r in self.data["Resources"].items() if r["Type"] == kind}

    def parameter(self, name: str) -> Any:
        """A parameter's default, which is production's value."""
        return self.data["Parameters"][name]["Default"]

    @cached_property
    def functions(self) -> dict[str, Function]:
        """Every function by its logical id."""
        shared = self.data["Globals"]["Function"]
        return {
            logical: Function(
                logical_id=logical,
                name=str(own["FunctionName"]["!Sub"]).removeprefix("${Service}-${Environment}-"),
                memory_mb=int(own.get("MemorySize", shared["MemorySize"])),
                in_vpc="VpcConfig" in own,
                traced=own.get("Tracing", shared["Tracing"]) == "Active",
                source=ROOT / own.get("CodeUri", shared["CodeUri"]) / f"{own['Handler'].partition('.')[0]}.py",
            )
            for logical, own in self.resources("AWS::Serverless::Function").items()
        }

    @cached_property
    def workflows(self) -> dict[str, dict[str, Any]]:
        """Workflow → the properties of its state machine."""
        machines = self.resources("AWS::Serverless::StateMachine").values()
        return {Path(machine["DefinitionUri"]).name.removesuffix(".asl.json"): machine for machine in machines}

    def is_express(self, workflow: str) -> bool:
        """Whether it is paid for by its duration, not by its transitions."""
        return str(self.workflows[workflow]["Type"]) == "EXPRESS"

    def tasks(self, workflow: str) -> dict[str, Function]:
        """State → the function that it calls."""
        found = {}
        for name, state in states_of(workflow).items():
            called = re.fullmatch(r"\$\{(\w+)\}", str(state.get("Arguments", {}).get("FunctionName", "")))
            if called:
                target = self.workflows[workflow]["DefinitionSubstitutions"][called[1]]
                found[name] = self.functions[target["!GetAtt"].partition(".")[0]]
        return found

    @cached_property
    def calls(self) -> dict[str, float]:
        """What schedules start → how often a month; workflows by their name, functions by their logical id."""
        named = {str(machine["DefinitionUri"]): workflow for workflow, machine in self.workflows.items()}
        found = {}
        for kind in ("AWS::Serverless::Function", "AWS::Serverless::StateMachine"):
            for logical, own in self.resources(kind).items():
                for event in own.get("Events", {}).values():
                    if event["Type"] == "ScheduleV2":
                        target = named.get(str(own.get("DefinitionUri")), logical)
                        found[target] = self._per_month(event["Properties"]["ScheduleExpression"])
        for own in self.resources("AWS::Scheduler::Schedule").values():
            machine = self.resources("AWS::Serverless::StateMachine")[own["Target"]["Arn"]["!Ref"]]
            found[named[machine["DefinitionUri"]]] = self._per_month(own["ScheduleExpression"])
        return found

    def _per_month(self, expression: Any) -> float:
        if isinstance(expression, dict):
            expression = self.parameter(expression["!Ref"])
        return times_a_month(expression)

    @property
    def alarmed_metrics(self) -> int:
        """The metrics that the alarms read; what posts to Slack is off by default, and so are its alarms."""
        there = self.data["Resources"]
        found = self.resources("AWS::CloudWatch::Alarm").items()
        alarms = [alarm for name, alarm in found if there[name].get("Condition") != "PostsToSlack"]
        return sum(len(alarm["Metrics"]) if "Metrics" in alarm else 1 for alarm in alarms)

    def metrics(self) -> Iterator[Metric]:
        """The metrics that functions publish, each with one set of dimensions, by the calls of `add_metric`."""
        for function in self.functions.values():
            for name, conditional in _published(function.source):
                yield Metric(name, function, conditional)


@cache
def _published(source: Path) -> tuple[tuple[str, bool], ...]:
    """The metrics that a file publishes: their names, and whether only under a condition."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    under_condition = {part for node in ast.walk(tree) if isinstance(node, ast.If) for part in ast.walk(node)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_metric":
            given = {keyword.arg: keyword.value for keyword in node.keywords}.get("name") or node.args[0]
            name = given.value if isinstance(given, ast.Constant) else constants[given.id]  # type: ignore[attr-defined]
            found.append((str(name), node in under_condition))
    return tuple(found)


@cache
def states_of(workflow: str) -> dict[str, dict[str, Any]]:
    """All states of a workflow, also those inside Parallel and Map states."""
    found: dict[str, dict[str, Any]] = {}
    todo = [json.loads((ROOT / "statemachines" / f"{workflow}.asl.json").read_text(encoding="utf-8"))]
    while todo:
        for name, state in todo.pop()["States"].items():
            found[name] = state
            todo += [*state.get("Branches", ()), *(state[key] for key in ("ItemProcessor", "Iterator") if key in state)]
    return found


@cache
def times_a_month(expression: str) -> float:
    """How often `rate(5 minutes)` or `cron(0 3 ? * SUN *)` comes in an average month."""
    if found := re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression):
        hours = {"minute": 1 / 60, "hour": 1.0, "day": 24.0}[found[2]] * int(found[1])
        return YEAR_HOURS / hours / YEAR_MONTHS
    fields = expression.removeprefix("cron(").removesuffix(")").replace("?", "*").split()
    dates = croniter(" ".join(fields[:5]), datetime(2027, 1, 1))  # noqa: DTZ001 - any year of 365 days
    number = 0
    while dates.get_next(datetime).year == 2027:
        number += 1
    return number / YEAR_MONTHS
