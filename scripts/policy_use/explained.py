"""Why something is allowed that no test run used: `docs/policy-explained.yaml`, and what it leaves unexplained."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from scripts.policy_use.allowed import ROOT, Role
from scripts.policy_use.used import Used

EXPLAINED = ROOT / "docs" / "policy-explained.yaml"


@dataclass(frozen=True)
class Unused:
    """An action of a statement, or one of its resources, that no run used; the other of the two is None."""

    role: str
    statement: str
    action: str | None
    resource: str | None

    def __str__(self) -> str:
        return f"{self.role} {self.statement}: {self.action or self.resource}"


@dataclass(frozen=True)
class Explanation:
    """Why statements of a name allow what is not used; every part is a list of shell patterns, of which one fits.

    One with `resources` is about these, and one with `actions` about those; one with neither is about the whole
    statement. `why` is for people.
    """

    statements: tuple[str, ...]
    roles: tuple[str, ...]
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    why: str

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> "Explanation":
        """From an entry of the file; raises `ValueError` if it has something else or no reason."""
        unknown = entry.keys() - {"statements", "roles", "actions", "resources", "why"}
        if unknown or not entry.get("statements") or not str(entry.get("why", "")).strip():
            raise ValueError(f"not an explanation: {dict(entry)}")
        return cls(
            statements=tuple(entry["statements"]),
            roles=tuple(entry.get("roles", ("*",))),
            actions=tuple(entry.get("actions", ())),
            resources=tuple(entry.get("resources", ())),
            why=" ".join(str(entry["why"]).split()),
        )

    def fits(self, unused: Unused) -> bool:
        """Whether it explains this."""
        if not (_any(unused.role, self.roles) and _any(unused.statement, self.statements)):
            return False
        if not self.actions and not self.resources:
            return True
        return _any(unused.action, self.actions) or _any(unused.resource, self.resources)


def explanations(path: Path = EXPLAINED) -> list[Explanation]:
    """All of the file; raises `ValueError`."""
    return [Explanation.read(entry) for entry in yaml.safe_load(path.read_text(encoding="utf-8"))]


def unused(roles: Mapping[str, Role], used: Used) -> Iterator[Unused]:
    """What the statements allow and nothing used: actions; and resources, of statements that are used at all."""
    for name, role in roles.items():
        for label, statement in role.statements.items():
            seen = used.get(name, {}).get(label, {})
            for action in statement.actions:
                if action not in seen:
                    yield Unused(name, label, action, None)
            for resource in statement.resources if seen else ():
                if not any(resource in resources for resources in seen.values()):
                    yield Unused(name, label, None, resource)


def reason(item: Unused, known: list[Explanation]) -> Explanation | None:
    """The first explanation that fits."""
    return next((each for each in known if each.fits(item)), None)


def _any(value: str | None, patterns: tuple[str, ...]) -> bool:
    return value is not None and any(fnmatchcase(value, pattern) for pattern in patterns)
