"""What the roles of template.yaml allow, as the SAM transform makes them.

The transform is that of AWS (https://github.com/aws/serverless-application-model), so that the roles it writes for
functions, state machines and schedules are here too.
"""

import json
import logging
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "template.yaml"
_ARTEFACTS = ("CodeUri", "ContentUri", "DefinitionUri")


@dataclass(frozen=True)
class Statement:
    """One statement: its Sid, or its actions where it has none; resources with CloudFormation's functions as text."""

    label: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]


@dataclass(frozen=True)
class Role:
    """A role by its logical id. `session` matches the name of the function's sessions; None if no function has it."""

    name: str
    session: re.Pattern[str] | None
    statements: Mapping[str, Statement]
    managed: tuple[str, ...]


class _NoManagedPolicies:
    """Policies that AWS manages are attached by ARN; none is named by its short name here."""

    def load(self) -> dict[str, str]:
        return {}


def transformed(template: Path = TEMPLATE) -> dict[str, Any]:
    """The resources after the SAM transform; code and definitions are said to lie in S3."""
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    # It asks boto3 which partition it is in.
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    data = yaml_parse(template.read_text(encoding="utf-8"))
    for properties in (
        data["Globals"]["Function"],
        *(each.get("Properties", {}) for each in data["Resources"].values()),
    ):
        for name in _ARTEFACTS:
            if name in properties:
                properties[name] = "s3://bucket/key"
    return dict(transform(data, {}, _NoManagedPolicies())["Resources"])


def roles(template: Path = TEMPLATE) -> dict[str, Role]:
    """Every role of the stack by its logical id."""
    resources = transformed(template)
    sessions = {
        each["Properties"]["Role"]["Fn::GetAtt"][0]: _session(each["Properties"]["FunctionName"])
        for each in resources.values()
        if each["Type"] == "AWS::Lambda::Function"
    }
    return {
        name: Role(
            name=name,
            session=sessions.get(name),
            statements=_statements(each["Properties"].get("Policies", ())),
            managed=tuple(_text(arn) for arn in each["Properties"].get("ManagedPolicyArns", ())),
        )
        for name, each in resources.items()
        if each["Type"] == "AWS::IAM::Role"
    }


def _session(function_name: Any) -> re.Pattern[str]:
    """Lambda names a session after the function, whose name has variables in it."""
    return re.compile(re.sub(r"\\\$\\\{\w+\\\}", "[a-z0-9-]+", re.escape(_text(function_name))))


def _statements(policies: Any) -> dict[str, Statement]:
    found: dict[str, Statement] = {}
    for policy in policies:
        for each in _listed(policy["PolicyDocument"]["Statement"]):
            actions = tuple(_listed(each["Action"]))
            label = each.get("Sid") or "+".join(actions)
            if label in found:
                raise ValueError(f"two statements of one role are called {label}")
            found[label] = Statement(label, actions, tuple(_text(resource) for resource in _listed(each["Resource"])))
    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    """A string, with `Ref`, `Fn::GetAtt` and `Fn::Sub` in it as Fn::Sub writes them."""
    match value:
        case str():
            return value
        case {"Ref": str(name)}:
            return f"${{{name}}}"
        case {"Fn::GetAtt": [str(name), str(attribute)]}:
            return f"${{{name}.{attribute}}}"
        case {"Fn::Sub": str(text)}:
            return text
        case {"Fn::Sub": [str(text), dict(values)]}:
            for name, inner in values.items():
                text = text.replace(f"${{{name}}}", _text(inner))
            return text
    return json.dumps(value, sort_keys=True)


def main() -> None:
    """Print the statements of all roles as JSON."""
    found = {name: {label: vars(each) for label, each in role.statements.items()} for name, role in roles().items()}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
