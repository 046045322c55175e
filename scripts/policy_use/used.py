"""What was used: the recordings of a test run's sandboxes, and the file that keeps what they come to."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from scripts.policy_use.allowed import ROOT, Role

KEPT = ROOT / "docs" / "policy-use.json"
SERVICE = "service"
LONGEST_NAME = 64

Used = dict[str, dict[str, dict[str, list[str]]]]
"""Role → statement → action → resources of the statement, as the template has them; all sorted."""


class RecordingError(ValueError):
    """A recording is not of this template; the message names the role and the statement."""


def recorded(files: Iterable[Path], roles: Mapping[str, Role]) -> Used:
    """What the files of `sandbox.automation.policy_use` say of the template's roles.

    Left out are roles of others, and what somebody else did with a function's role: the tests try what it may do.
    Raises `RecordingError`.
    """
    found: set[tuple[str, str, str, str]] = set()
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            role = _role(entry["role"], entry["by"], roles)
            if role is None:
                continue
            label = entry["sid"] or "+".join(entry["allows"])
            statement = role.statements.get(label)
            if statement is None and not entry["sid"]:
                continue  # of a policy that AWS manages
            if statement is None or entry["resource"] >= len(statement.resources):
                raise RecordingError(f"{role.name} {label}: recorded, but not of this template")
            found.add((role.name, label, entry["action"], statement.resources[entry["resource"]]))
    return _tree(found)


def merged(*all_used: Used) -> Used:
    """What any of them has."""
    return _tree(
        (role, label, action, resource)
        for used in all_used
        for role, statements in used.items()
        for label, actions in statements.items()
        for action, resources in actions.items()
        for resource in resources
    )


def of_template(used: Used, roles: Mapping[str, Role]) -> Used:
    """Without what the template no longer allows."""
    return _tree(
        (role, label, action, resource)
        for role, statements in used.items()
        for label, actions in statements.items()
        for action, resources in actions.items()
        for resource in resources
        if role in roles
        and (statement := roles[role].statements.get(label))
        and action in statement.actions
        and resource in statement.resources
    )


def load(path: Path = KEPT) -> Used:
    """What was kept; nothing if there is no such file."""
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def save(used: Used, path: Path = KEPT) -> None:
    """Keep it."""
    path.write_text(json.dumps(used, indent=1) + "\n", encoding="utf-8")


def _role(name: str, by: str, roles: Mapping[str, Role]) -> Role | None:
    """The role whose function has a session, or that a service acts with; None for a role of others.

    CloudFormation names a role after the stack, the logical id (cut where the whole grows beyond 64 characters) and a
    random end; Lambda's sessions are told by the function's name instead.
    """
    if by != SERVICE:
        return next((role for role in roles.values() if role.session and role.session.fullmatch(by)), None)
    known = sorted((role for role in roles.values() if role.session is None), key=lambda role: -len(role.name))
    stem = re.sub(r"-?[0-9A-F]{13}$", "", name)
    cut = len(name) == LONGEST_NAME
    return next((role for role in known if stem.endswith(f"-{role.name}") or (cut and _is_cut(role.name, stem))), None)


def _is_cut(logical_id: str, stem: str) -> bool:
    """Whether a name ends in the beginning of a logical id that is long enough to tell."""
    return any(stem.endswith(f"-{logical_id[:length]}") for length in range(len(logical_id) - 1, 9, -1))


def _tree(found: Iterable[tuple[str, str, str, str]]) -> Used:
    tree: dict[str, Any] = {}
    for role, label, action, resource in sorted(set(found)):
        tree.setdefault(role, {}).setdefault(label, {}).setdefault(action, []).append(resource)
    return tree
