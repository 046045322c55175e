"""`docs/policy-use.md`: what each role may do, how much of it was used, and why the rest is there."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from scripts.policy_use.allowed import Role
from scripts.policy_use.explained import Explanation, Unused, reason, unused
from scripts.policy_use.used import Used

HEAD = """# Policies: allowed and used

Written by `make policy-report`; change nothing here. It deploys `template.yaml` in the sandbox, which enforces IAM,
runs the tests of the workflows, and notes each statement that allowed something: who, which action, which of the
statement's resources. What a test tried with a function's role is not counted, only what the function did itself.

What was never used is explained in `policy-explained.yaml`, or it fails `tests/contract/test_policy_use.py`. What the
sandbox cannot show: permissions that AWS asks for and the sandbox does not (they are among the explained), and that
an action which is used is used with every value of its conditions.

Used resources are those of a statement, as the template writes them: a pattern counts as used if anything fitted it.
"""


def page(roles: Mapping[str, Role], used: Used, known: list[Explanation]) -> str:
    """The whole page."""
    open_ends = list(unused(roles, used))
    return "\n".join([HEAD, *_summary(roles, open_ends), *_never_used(open_ends, known), *_managed(roles)]) + "\n"


def _summary(roles: Mapping[str, Role], open_ends: list[Unused]) -> Iterator[str]:
    count: dict[str, int] = defaultdict(int)
    for item in open_ends:
        count[item.role] += item.action is not None
    yield "## By role\n"
    yield "| role | statements | actions allowed | used | explained |"
    yield "| --- | --: | --: | --: | --: |"
    total = [0, 0, 0]
    for name, role in sorted(roles.items()):
        allowed = sum(len(statement.actions) for statement in role.statements.values())
        yield f"| {name} | {len(role.statements)} | {allowed} | {allowed - count[name]} | {count[name]} |"
        total = [total[0] + len(role.statements), total[1] + allowed, total[2] + count[name]]
    yield f"| **all {len(roles)}** | {total[0]} | {total[1]} | {total[1] - total[2]} | {total[2]} |\n"


def _never_used(open_ends: list[Unused], known: list[Explanation]) -> Iterator[str]:
    by_reason: dict[str, dict[tuple[str, str], list[str]]] = defaultdict(lambda: defaultdict(list))
    for item in open_ends:
        found = reason(item, known)
        why = found.why if found else "**NOT EXPLAINED**"
        by_reason[why][item.statement, item.action or f"`{item.resource}`"].append(item.role)
    yield "## Allowed and never used\n"
    for why, items in by_reason.items():
        yield f"{why}\n"
        for (statement, what), names in sorted(items.items()):
            yield f"- {'' if statement == what else f'{statement}: '}{what} ({', '.join(sorted(names))})"
        yield ""


def _managed(roles: Mapping[str, Role]) -> Iterator[str]:
    yield "## Policies that AWS manages\n"
    yield "The SAM transform attaches them; the sandbox does not ask for what they allow.\n"
    yield "| policy | roles | for |"
    yield "| --- | --: | --- |"
    names: dict[str, int] = defaultdict(int)
    for role in roles.values():
        for arn in role.managed:
            names[arn.rpartition("/")[2]] += 1
    for name, number in sorted(names.items()):
        yield f"| {name} | {number} | {MANAGED[name]} |"


MANAGED = {
    "AWSLambdaBasicExecutionRole": "Lambda writes the function's log with the function's role",
    "AWSLambdaVPCAccessExecutionRole": "Lambda makes the network interfaces of functions in the VPC with their role",
    "AWSXrayWriteOnlyAccess": "traces; X-Ray has no resources that could be named",
}
"""A policy that is missing here stops the report, so that nobody attaches one without saying why."""
