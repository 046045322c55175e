"""Check the statements of template.yaml against AWS's service authorization reference: resources wherever they can be.

    .venv/bin/python -m scripts.policy_use.allowed | .venv-checkov/bin/python scripts/check_resource_levels.py

The reference (https://docs.aws.amazon.com/service-authorization/latest/reference/) is the copy that `policy_sentry`
carries, in whose environment this runs. Prints a line for each problem, and exits 1 if there is one: an action that AWS
does not know; `*` where the action takes resources; a resource where it takes none; an action, or a resource, that no
other part of the statement fits, so that it allows nothing.
"""

import json
import re
import sys
from collections.abc import Iterator
from typing import Any

from policy_sentry.querying.actions import get_action_data

EVERYTHING = {
    "cloudwatch:DescribeAlarms": "composite alarms are returned to `*` only: "
    "https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html",
}
"""Actions that take resources and are allowed on `*` all the same, each with the reason."""

_VARIABLE = re.compile(r"\$\{[^}]*\}")


def types_of(action: str) -> list[re.Pattern[str]] | None:
    """What ARNs the action takes, none if only `*`; None if AWS has no such action."""
    service, name = action.split(":")
    known = get_action_data(service, name)
    if not known:
        return None
    formats = {row["resource_arn_format"] for row in known[service]} - {"*"}
    return [re.compile(".*".join(re.escape(part) for part in _VARIABLE.split(text))) for text in sorted(formats)]


def problems(actions: list[str], resources: list[str]) -> Iterator[str]:
    """What is wrong with one statement."""
    arns = [resource for resource in resources if resource.startswith("arn:")]
    fitting: set[str] = set()
    for action in actions:
        types = types_of(action)
        if types is None:
            yield f"AWS has no action {action}"
        elif resources == ["*"]:
            if types and action not in EVERYTHING:
                yield f"{action} takes resources and is allowed on *"
        elif not types:
            yield f"{action} takes no resources; it is allowed on * or not at all"
        else:
            found = {arn for arn in arns if any(known.fullmatch(_example(arn)) for known in types)}
            fitting |= found
            if arns == resources and not found:
                yield f"{action} is never about {', '.join(resources)}"
    if resources != ["*"]:
        yield from (f"no action is about {arn}" for arn in arns if arn not in fitting)


def _example(pattern: str) -> str:
    return _VARIABLE.sub("x", pattern).replace("*", "x")


def main() -> int:
    """Read the statements of the roles from stdin; 1 if there is a problem."""
    roles: dict[str, dict[str, Any]] = json.load(sys.stdin)
    found = [
        f"{role} {label}: {problem}"
        for role, statements in roles.items()
        for label, statement in statements.items()
        for problem in problems(statement["actions"], statement["resources"])
    ]
    for line in found:
        sys.stderr.write(f"{line}\n")
    return 1 if found or not roles else 0


if __name__ == "__main__":
    sys.exit(main())
