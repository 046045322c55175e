"""How long a repair took, from its cause to an alarm that is OK again, and where its evidence is."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

from opskit.clock import moment_of, timestamp
from opskit.ledger import OperationRecord


@dataclass(frozen=True, slots=True)
class Timeline:
    """The four moments, and what the record says of them."""

    alarm: str
    action: str
    caused_at: datetime
    fired_at: datetime
    acted_at: datetime
    ok_at: datetime
    done: str
    evidence: str

    @classmethod
    def of(cls, record: OperationRecord, caused_at: datetime) -> Self:
        """That of a record that is closed as RESOLVED."""
        facts = record.facts
        assert record.outcome == "RESOLVED", (record.outcome, record.outcome_reason)
        assert record.evidence
        return cls(
            alarm=facts["alarm"],
            action=facts["action"],
            caused_at=caused_at,
            fired_at=moment_of(facts["alarm_since"]),
            acted_at=moment_of(facts["acted_at"]),
            ok_at=moment_of(facts["verified_at"]),
            done=facts["done"],
            evidence=record.evidence,
        )

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; seconds between the moments, where an alarm's is a whole second."""
        moments = {name: timestamp(value) for name, value in asdict(self).items() if isinstance(value, datetime)}
        return {
            **asdict(self),
            **moments,
            "seconds": {
                "cause_to_alarm": max(0.0, (self.fired_at - self.caused_at).total_seconds()),
                "alarm_to_action": (self.acted_at - self.fired_at).total_seconds(),
                "action_to_ok": (self.ok_at - self.acted_at).total_seconds(),
            },
        }
