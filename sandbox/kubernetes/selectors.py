"""Label and field selectors.

https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
"""

import re
from collections.abc import Callable
from typing import Any

from sandbox.kubernetes.errors import bad_request

Labels = dict[str, str]
Match = Callable[[Labels], bool]

_SET = re.compile(r"^(?P<key>\S+)\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)$")
_EQUAL = re.compile(r"^(?P<key>[^\s=!]+)\s*(?P<operator>==|=|!=)\s*(?P<value>[^\s=!]*)$")
_EXISTS = re.compile(r"^(?P<absent>!?)\s*(?P<key>[^\s=!()]+)$")


def parse_labels(text: str) -> Match:
    """A `labelSelector` query; raises 400 for one that cannot be read."""
    requirements = [_requirement(part.strip()) for part in re.split(r",(?![^()]*\))", text) if part.strip()]
    return lambda labels: all(holds(labels) for holds in requirements)


def _requirement(part: str) -> Match:
    if found := _SET.match(part):
        values = {value.strip() for value in found["values"].split(",")}
        return _in(found["key"], values, found["operator"] == "in")
    if found := _EQUAL.match(part):
        return _in(found["key"], {found["value"]}, found["operator"] != "!=")
    if found := _EXISTS.match(part):
        key, present = found["key"], not found["absent"]
        return lambda labels: (key in labels) is present
    raise bad_request(f"unable to parse requirement: {part!r}")


def _in(key: str, values: set[str], wanted: bool) -> Match:
    return lambda labels: (labels.get(key) in values) is wanted


def from_selector(selector: dict[str, Any]) -> Match:
    """A `LabelSelector` object with matchLabels and matchExpressions; an empty one matches everything."""
    requirements = [_in(key, {value}, True) for key, value in selector.get("matchLabels", {}).items()]
    for expression in selector.get("matchExpressions", []):
        key, operator = expression["key"], expression["operator"]
        if operator in ("In", "NotIn"):
            requirements.append(_in(key, set(expression["values"]), operator == "In"))
        else:
            requirements.append(_requirement(key if operator == "Exists" else f"!{key}"))
    return lambda labels: all(holds(labels) for holds in requirements)


def parse_fields(text: str) -> Callable[[dict[str, Any]], bool]:
    """A `fieldSelector` query of `path=value` and `path!=value` terms on scalar fields."""
    terms: list[tuple[list[str], bool, str]] = []
    for part in filter(None, text.split(",")):
        found = _EQUAL.match(part.strip())
        if not found:
            raise bad_request(f"unable to parse field selector: {part!r}")
        terms.append((found["key"].split("."), found["operator"] != "!=", found["value"]))

    def value_at(subject: Any, path: list[str]) -> str:
        for name in path:
            subject = subject.get(name) if isinstance(subject, dict) else None
        return "" if subject is None else str(subject)

    return lambda subject: all((value_at(subject, path) == value) is wanted for path, wanted, value in terms)
