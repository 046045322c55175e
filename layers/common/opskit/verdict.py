"""Expected outcomes as data."""

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """What a check found. *Could not measure* is never *passed*."""

    PASS = "PASS"  # noqa: S105 - an outcome, not a password
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    WAIT = "WAIT"


@dataclass(frozen=True, slots=True)
class Verdict:
    """An outcome, the reason in words for a person, and the facts it rests on for a program."""

    outcome: Outcome
    reason: str
    facts: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The form in which a verdict travels between steps: `outcome`, `reason`, `facts`."""
        return asdict(self) | {"outcome": self.outcome.value}
