"""The ledger: who holds the lock, what is live, what happened, what waits for approval, what was repaired.

One DynamoDB table with string keys `pk` and `sk`; the partition is `<service>#<environment>`.
"""

from typing import TYPE_CHECKING

from opskit.clock import Clock
from opskit.ledger.approvals import Approval, ApprovalError, Approvals, Decision
from opskit.ledger.live import Live, LiveState, StaleRevisionError, Version
from opskit.ledger.lock import Holder, Lock
from opskit.ledger.operations import OperationRecord, Operations
from opskit.ledger.records import Event, ReleaseRecord, Releases
from opskit.ledger.remedies import Remedies, RemedyState, Reserved, Seen
from opskit.ledger.table import Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = [
    "Approval",
    "ApprovalError",
    "Decision",
    "Event",
    "Holder",
    "Ledger",
    "Live",
    "Lock",
    "OperationRecord",
    "ReleaseRecord",
    "RemedyState",
    "Reserved",
    "Seen",
    "StaleRevisionError",
    "Table",
    "Version",
]


class Ledger(LiveState, Releases, Operations, Approvals, Remedies):
    """The ledger of one service in one environment. Reads are strongly consistent."""

    def __init__(
        self,
        table_name: str,
        service: str,
        environment: str,
        *,
        clock: Clock,
        client: "DynamoDBClient | None" = None,
    ) -> None:
        """`client`: used in place of the process's own (`opskit.clients`)."""
        super().__init__(Table(table_name, service, environment, client), clock)
