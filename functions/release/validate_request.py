"""Release, step 1: a request that fits its schema and names an image that exists."""

from typing import Any

from opskit.adapters.registry import Registry
from opskit.decisions.request import complete_request
from opskit.schema import validate
from opskit.step import Run, step


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return the request with defaults filled in and its image resolved to a digest.

    A tag can move while a release runs; a digest cannot. Changes nothing.

    Raises:
        InvalidInputError: the input does not fit the schema or contradicts itself.
        UnknownImageError: the registry has no such image.
    """
    request = complete_request(validate("release", event["input"]), event["settings"], run.settings.environment)
    if request["operation"] == "rollback":
        return request
    image = Registry(run.platform).resolve(request["image"])
    return request | {"image": image.uri, "digest": image.digest, "tag": image.tag}
