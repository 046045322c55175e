"""What the provider plans and applies: the configuration, with what only AWS knows unknown until it is applied."""

from collections.abc import Callable
from typing import Any

from tests.infrastructure.provider import samples

# Optional attributes that AWS gives a value when the configuration does not; the schema cannot tell (see there).
_FILLED_IN = frozenset(
    {"id", "arn", "name", "version", "engine_version", "port", "availability_zone", "node_group_name"}
)

Unknown = object()
"""Stands for a value that is known only after the apply."""


def unconfigurable(block: dict[str, Any]) -> list[str]:
    """Attributes that only AWS sets."""
    return [name for name, a in block["attributes"].items() if a.get("computed") and not a.get("optional")]


def plan(kind: str, block: dict[str, Any], proposed: dict[str, Any], default_tags: dict[str, str]) -> dict[str, Any]:
    """The planned state of a resource of type `kind` from its configuration merged with what it was."""
    state = _fill(block, proposed, lambda *_: Unknown, top=True)
    if "tags_all" in state and state.get("tags") is not Unknown:
        state["tags_all"] = {**default_tags, **(state.get("tags") or {})}
    if "region" in state:
        state["region"] = proposed.get("region") or samples.REGION
    return state


def apply(kind: str, block: dict[str, Any], planned: dict[str, Any]) -> dict[str, Any]:
    """The state of a resource once it exists: what was unknown has a value."""
    known = {name: value for name, value in planned.items() if not _has_unknown(value)}
    return _resolve(block, planned, lambda name, form: samples.attribute_value(kind, known, name, form))


def read(kind: str, block: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """A data source's state from its configuration."""
    found = samples.data_source(kind, config)
    return {name: found.get(name, value) for name, value in _fill(block, config, lambda *_: None, top=True).items()}


def _fill(
    block: dict[str, Any], values: dict[str, Any], computed: Callable[[str, Any], Any], *, top: bool
) -> dict[str, Any]:
    filled = dict(values)
    for name, attribute in block.get("attributes", {}).items():
        if values.get(name) is None and attribute.get("computed"):
            left_out = attribute.get("optional") and not (top and name in _FILLED_IN)
            filled[name] = None if left_out else computed(name, attribute["type"])
    for name, nested in block.get("block_types", {}).items():
        inner = values.get(name)
        if isinstance(inner, list):
            filled[name] = [_fill(nested["block"], item, computed, top=False) for item in inner]
        elif isinstance(inner, dict):
            filled[name] = _fill(nested["block"], inner, computed, top=False)
    return filled


def _resolve(block: dict[str, Any], values: dict[str, Any], sample: Callable[[str, Any], Any]) -> dict[str, Any]:
    resolved = dict(values)
    for name, attribute in block.get("attributes", {}).items():
        if values.get(name) is Unknown:
            resolved[name] = sample(name, attribute["type"])
    for name, nested in block.get("block_types", {}).items():
        inner = values.get(name)
        if isinstance(inner, list):
            resolved[name] = [_resolve(nested["block"], item, sample) for item in inner]
        elif isinstance(inner, dict):
            resolved[name] = _resolve(nested["block"], inner, sample)
    return resolved


def _has_unknown(value: Any) -> bool:
    if value is Unknown:
        return True
    if isinstance(value, dict):
        return any(_has_unknown(item) for item in value.values())
    return isinstance(value, list) and any(_has_unknown(item) for item in value)
