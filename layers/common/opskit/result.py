"""What a step may return: JSON, as much of it as Step Functions takes."""

import json
from collections.abc import Mapping
from typing import Any

# https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html#service-limits-task-executions
MOST_RESULT_BYTES = 262_144


def checked(name: str, result: Any) -> dict[str, Any]:
    """`result` of the step `name`, if Step Functions can pass it on.

    Raises TypeError naming the place of what JSON cannot carry, and ValueError for more than 256 KiB.
    """
    if not isinstance(result, dict):
        raise TypeError(f"{name} returned {type(result).__name__}; a step returns a dict")
    try:
        text = json.dumps(result, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} returned what JSON cannot carry: {_culprit(result) or error}") from error
    if len(text.encode()) > MOST_RESULT_BYTES:
        raise ValueError(f"{name} returned {len(text)} bytes; Step Functions takes {MOST_RESULT_BYTES}")
    return result


def _culprit(value: Any, place: str = "result") -> str | None:
    """The place of the first value within `value` that JSON cannot carry, and what it is."""
    if isinstance(value, Mapping):
        return next(filter(None, (_culprit(item, f"{place}.{key}") for key, item in value.items())), None)
    if isinstance(value, list | tuple):
        return next(filter(None, (_culprit(item, f"{place}[{i}]") for i, item in enumerate(value))), None)
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return f"{place} is {value!r} ({type(value).__name__})"
    return None
