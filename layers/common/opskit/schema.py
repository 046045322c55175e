"""Inputs checked against the JSON Schema of their workflow, with errors that say what is allowed."""

import copy
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from opskit.errors import InvalidInputError

if TYPE_CHECKING:
    from fastjsonschema import JsonSchemaValueException

SCHEMAS = Path(__file__).parent / "schemas"
_LONGEST_VALUE = 200


def validate(workflow: str, data: Any, *, directory: Path = SCHEMAS) -> dict[str, Any]:
    """A copy of `data` with defaults applied, checked against `<directory>/<workflow>.json`.

    Raises InvalidInputError naming the place, what is allowed there, and what was found instead; data that
    breaks several rules is reported with all of them.
    """
    from fastjsonschema import JsonSchemaValuesException  # noqa: PLC0415 - only a first step pays for it

    try:
        return cast("dict[str, Any]", _validator(directory / f"{workflow}.json")(copy.deepcopy(data)))
    except JsonSchemaValuesException as error:
        raise InvalidInputError("; ".join(dict.fromkeys(_in_words(part) for part in error.errors))) from None


@cache
def _validator(path: Path) -> Callable[[Any], Any]:
    import fastjsonschema  # noqa: PLC0415 - only a first step pays for it

    definition = json.loads(path.read_text(encoding="utf-8"))
    return cast("Callable[[Any], Any]", fastjsonschema.compile(definition, fast_fail=False))


def _in_words(error: "JsonSchemaValueException") -> str:
    # fastjsonschema calls the whole input `data`, and every message begins with the place.
    name = error.name or "data"
    place = name.removeprefix("data").removeprefix(".") or "the input"
    if error.rule == "additionalProperties":
        allowed = error.definition.get("properties", {})
        unknown = ", ".join(f"`{key}`" for key in error.value if key not in allowed)
        return f"unknown {unknown} in {place}; allowed: {', '.join(allowed)}"
    if error.rule == "required":
        missing = ", ".join(f"`{key}`" for key in error.rule_definition if key not in error.value)
        return f"{place} must have {missing}"
    if error.rule == "enum":
        rule = f"must be one of {', '.join(json.dumps(value) for value in error.rule_definition)}"
    else:
        rule = error.message.removeprefix(name).strip()
    return f"{place} {rule}, got {_excerpt(error.value)}"


def _excerpt(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
