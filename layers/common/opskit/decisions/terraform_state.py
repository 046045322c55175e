"""A Terraform state file: whether it is one that can be used again, and what is counted in it.

Its format: https://developer.hashicorp.com/terraform/internals/json-format and, of the file itself, the `stateV4`
structure in Terraform's `internal/states/statefile/version4.go`. `lineage` is given to a state when it is created,
`serial` grows with every change.
"""

import json
from dataclasses import dataclass, field

VERSION = 4


@dataclass(frozen=True, slots=True)
class StateFile:
    """`problem` is None if it is a whole state of version 4; `counts` hold its serial and number of resources."""

    problem: str | None = None
    lineage: str | None = None
    counts: dict[str, int] = field(default_factory=dict)


def inspect_state(content: bytes) -> StateFile:
    """Look at a state file; never at the values in it, which hold secrets."""
    try:
        data = json.loads(content)
    except ValueError as error:
        return StateFile(f"it is not JSON: {error}")
    if not isinstance(data, dict) or data.get("version") != VERSION:
        found = data.get("version") if isinstance(data, dict) else type(data).__name__
        return StateFile(f"it is not a state of version {VERSION}, but {found!r}")
    serial, lineage, resources = data.get("serial"), data.get("lineage"), data.get("resources")
    if not isinstance(serial, int) or serial < 0:
        return StateFile("it has no serial")
    if not isinstance(lineage, str) or not lineage:
        return StateFile("it has no lineage")
    if not isinstance(resources, list):
        return StateFile("it has no list of resources")
    return StateFile(None, lineage, {"serial": serial, "resources": len(resources)})
