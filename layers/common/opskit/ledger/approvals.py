"""Approvals: a question to a person, bound to an execution and to the digest of what it asks about, answered once."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from opskit.clock import moment_of, timestamp
from opskit.errors import OpsError
from opskit.ledger.table import Section

# An answered question is of no use for long, and its task token should not lie about.
_KEPT_AFTER_EXPIRY = timedelta(days=30)


class ApprovalError(OpsError):
    """There is no approval to decide on: never asked for, expired, decided otherwise, or about something else."""


class Decision(StrEnum):
    """How an approval can end."""

    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Approval:
    """A question and, once decided, its answer. `task_token` wakes the execution that waits for it.

    `subject` is what is asked about, for people: a release's image, what a restore would cut over. `digest` is the
    image's, or the SHA-256 of a plan: what was approved is what is done.
    """

    execution_name: str
    subject: str
    digest: str
    requested_at: datetime
    expires_at: datetime
    task_token: str = field(repr=False)
    decision: Decision | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None
    reason: str | None = None
    workflow: str = "release"

    @property
    def image(self) -> str:
        """The subject of a release."""
        return self.subject

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; moments as `opskit.clock.timestamp` writes them."""
        return {
            "execution_name": self.execution_name,
            "workflow": self.workflow,
            "subject": self.subject,
            "digest": self.digest,
            "requested_at": timestamp(self.requested_at),
            "expires_at": timestamp(self.expires_at),
            "task_token": self.task_token,
            "decision": self.decision and self.decision.value,
            "decided_by": self.decided_by,
            "decided_at": self.decided_at and timestamp(self.decided_at),
            "reason": self.reason,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        decision, decided_at = data.get("decision"), data.get("decided_at")
        return cls(
            execution_name=data["execution_name"],
            subject=data["subject"],
            digest=data["digest"],
            requested_at=moment_of(data["requested_at"]),
            expires_at=moment_of(data["expires_at"]),
            task_token=data["task_token"],
            decision=decision and Decision(decision),
            decided_by=data.get("decided_by"),
            decided_at=decided_at and moment_of(decided_at),
            reason=data.get("reason"),
            workflow=data.get("workflow", "release"),
        )


class Approvals(Section):
    """Questions and answers. DynamoDB's TTL (attribute `ttl`) removes them 30 days after their expiry."""

    def request_approval(
        self,
        execution_name: str,
        task_token: str,
        *,
        subject: str,
        digest: str,
        expires_at: datetime,
        workflow: str = "release",
    ) -> Approval:
        """Ask, or ask again with a new token as a retried state does; an answer already given is kept.

        Atomic: one write, conditional on there being no answer. Returns the approval as it stands, so that
        a caller who finds it decided can wake the execution itself.
        """
        approval = Approval(
            execution_name, subject, digest, self._clock.now(), expires_at, task_token, workflow=workflow
        )
        item = approval.as_dict() | {"ttl": int((expires_at + _KEPT_AFTER_EXPIRY).timestamp())}
        if self._table.put(_key(execution_name), item, {"decision": None}):
            return approval
        return self._existing(execution_name)

    def approval(self, execution_name: str) -> Approval | None:
        """The approval that the execution asked for, or None."""
        item = self._table.get(_key(execution_name))
        return Approval.from_dict(item) if item else None

    def decide(
        self,
        execution_name: str,
        decision: Decision | str,
        by: str,
        reason: str,
        *,
        digest: str | None = None,
    ) -> Approval:
        """Answer; once only. `digest`: what the person saw; where given, it must be the one asked about.

        Atomic: one write, conditional on there being no answer and on the question being as it was read.
        Safe to repeat: the same answer by the same person is returned again. After the expiry only EXPIRED
        is taken. Raises ApprovalError.
        """
        decision = Decision(decision)
        asked = self._existing(execution_name)
        if digest is not None and digest != asked.digest:
            raise ApprovalError(f"{execution_name} asks about {asked.digest}, not {digest}. Nothing was decided.")
        now = self._clock.now()
        if asked.decision is None:
            if decision is not Decision.EXPIRED and now >= asked.expires_at:
                raise ApprovalError(f"the approval of {execution_name} expired at {timestamp(asked.expires_at)}.")
            answer = {
                "decision": decision.value,
                "decided_by": by,
                "decided_at": timestamp(now),
                "reason": reason,
            }
            question = {"decision": None, "task_token": asked.task_token, "digest": asked.digest}
            self._table.update(_key(execution_name), question, changes=answer)
            # Read back, because the answer to the write may have been lost, or another came first.
            asked = self._existing(execution_name)
        if (asked.decision, asked.decided_by) != (decision, by):
            raise ApprovalError(_in_words(asked))
        return asked

    def _existing(self, execution_name: str) -> Approval:
        approval = self.approval(execution_name)
        if approval is None:
            raise ApprovalError(f"{execution_name} has not asked for an approval.")
        return approval


def _key(execution_name: str) -> str:
    return f"APPROVAL#{execution_name}"


def _in_words(approval: Approval) -> str:
    if approval.decision is None or approval.decided_at is None:
        return f"{approval.execution_name} asked again while this was decided. Look again, then decide again."
    return (
        f"{approval.execution_name} was {approval.decision} by {approval.decided_by} "
        f"at {timestamp(approval.decided_at)}: {approval.reason}"
    )
