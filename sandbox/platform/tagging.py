"""The Resource Groups Tagging API's GetResources, for what the sandbox's RDS and ElastiCache hold.

https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_GetResources.html. On AWS a change of tags is
seen there after some seconds; here at once.
"""

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sandbox.platform.application import Forward
from sandbox.platform.calls import Answer, Call
from sandbox.platform.engines import Faults
from sandbox.platform.errors import AwsError

SERVICE = "tagging"
"""What faults call it."""

Tagged = tuple[str, Mapping[str, str]]
"""An ARN and its tags."""

DEFAULT_PAGE = 50
MAX_PAGE = 100
MAX_ARNS = 100


class Tagging:
    """Answers GetResources and refuses every other operation."""

    service = "resourcegroupstaggingapi"

    def __init__(self, sources: Mapping[str, Callable[[], Iterable[Tagged]]], faults: Faults) -> None:
        """`sources` gives the tagged resources of each service, by the name that it has in ARNs."""
        self._sources = sources
        self._faults = faults

    def handle(self, call: Call, forward: Forward) -> Answer:
        """Answer one call; raises `AwsError`."""
        del forward  # moto would list its own resources
        if call.operation != "GetResources":
            raise AwsError("InvalidParameterException", f"{call.operation} is not served by the sandbox")
        self._faults.refuse(SERVICE, call.operation, ())
        found = sorted(self._found(call.params), key=lambda one: one[0])
        page, token = _page(found, call.params)
        mappings = [
            {"ResourceARN": arn, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
            for arn, tags in page
        ]
        return call.answer({"ResourceTagMappingList": mappings, "PaginationToken": token})

    def _found(self, params: Mapping[str, Any]) -> Iterable[Tagged]:
        types, filters = params.get("ResourceTypeFilters") or [], params.get("TagFilters") or []
        arns = params.get("ResourceARNList") or []
        if params.get("TagsPerPage") or params.get("IncludeComplianceDetails"):
            raise _invalid("The sandbox serves neither TagsPerPage nor IncludeComplianceDetails")
        if arns and (types or filters or params.get("ResourcesPerPage")):
            raise _invalid("ResourceARNList excludes filters and ResourcesPerPage")
        if len(arns) > MAX_ARNS:
            raise _invalid(f"ResourceARNList takes at most {MAX_ARNS} ARNs")
        services = {one.partition(":")[0] for one in types} or {arn.split(":")[2] for arn in arns if arn.count(":") > 4}
        if not services or services - self._sources.keys():
            raise _invalid(f"The sandbox serves the resource types of {', '.join(sorted(self._sources))} only")
        for service in services:
            for arn, tags in self._sources[service]():
                wanted = arn in arns if arns else _is_of(arn, types)
                # What never had a tag is not listed.
                if tags and wanted and all(_matches(tags, one) for one in filters):
                    yield arn, tags


def _is_of(arn: str, types: Sequence[str]) -> bool:
    """Whether an ARN is of one of `types`, `service` or `service:type`."""
    _, _, service, _, _, kind, *_ = arn.split(":")
    return service in types or f"{service}:{kind}" in types


def _matches(tags: Mapping[str, str], tag_filter: Mapping[str, Any]) -> bool:
    """Whether there is the tag, with one of the values if any are named."""
    key, values = tag_filter.get("Key"), tag_filter.get("Values") or ()
    return key in tags and (not values or tags[key] in values)


def _page(found: Sequence[Tagged], params: Mapping[str, Any]) -> tuple[Sequence[Tagged], str]:
    """A page, and the token of the next one, empty at the end."""
    size = params.get("ResourcesPerPage") or DEFAULT_PAGE
    if not 1 <= size <= MAX_PAGE:
        raise _invalid(f"ResourcesPerPage must be 1 to {MAX_PAGE}")
    try:
        after = base64.urlsafe_b64decode((params.get("PaginationToken") or "").encode()).decode()
    except ValueError:
        raise AwsError("PaginationTokenExpiredException", "The pagination token is not valid", 400) from None
    rest = [one for one in found if one[0] > after]
    page = rest[:size]
    return page, base64.urlsafe_b64encode(page[-1][0].encode()).decode() if len(rest) > size else ""


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterException", message, 400)
