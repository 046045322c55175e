"""What a step may return: JSON, as much of it as Step Functions takes."""

import json
from collections.abc import Mapping
from typing import Any

# A state's output may have 256 KiB (262,144 bytes), and that of a task with the resource lambda:invoke holds, besides
# the function's result, the envelope of the Invoke API (StatusCode, SdkHttpMetadata, ...). Above the limit the
# execution ends with States.DataLimitExceeded, a terminal error that States.ALL does not catch, so nothing would be
# put back. Hence a bound with room to spare, and an error that can be caught.
# https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html#service-limits-task-executions
# https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html#error-handling-error-representation
MOST_RESULT_BYTES = 250_000


def checked(name: str, result: Any) -> dict[str, Any]:
    """`result` of the step `name`, if Step Functions can pass it on.

    Raises TypeError naming the place of what JSON cannot carry, and ValueError for more than
    MOST_RESULT_BYTES.
    """
    if not isinstance(result, dict):
        raise TypeError(f"{name} returned {type(result).__name__}; a step returns a dict")
    try:
        text = json.dumps(result, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} returned what JSON cannot carry: {_culprit(result) or error}") from error
    size = len(text.encode())
    if size > MOST_RESULT_BYTES:
        raise ValueError(f"{name} returned {size} bytes; a step may return {MOST_RESULT_BYTES}")
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
