"""What a check found: an outcome, the reason, what to do about it, and the facts."""

from dataclasses import dataclass, field
from typing import Any

from opskit.verdict import Outcome


@dataclass(frozen=True, slots=True)
class Finding:
    """`advice` says what to do; a check that passed has some where something is about to change."""

    outcome: Outcome
    reason: str
    advice: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def passed(reason: str, advice: str | None = None, /, **facts: Any) -> Finding:
    """It is as it should be."""
    return Finding(Outcome.PASS, reason, advice, facts)


def failed(reason: str, advice: str, /, **facts: Any) -> Finding:
    """It is not, and `advice` says what to do."""
    return Finding(Outcome.FAIL, reason, advice, facts)


def unknown(reason: str, advice: str, /, **facts: Any) -> Finding:
    """It could not be told: `reason` says why, `advice` how it could be."""
    return Finding(Outcome.INCONCLUSIVE, reason, advice, facts)
