"""Reading single records of an evidence chain; whether the whole of it holds is `Evidence.verify`'s to say."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opskit.adapters.objects import Objects
from opskit.decisions.evidence import sha256
from opskit.errors import NotFoundError
from opskit.evidence import INDEX, EvidenceRef
from opskit.ledger.table import Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

# Reading is waiting for S3.
_READERS = 8


@dataclass(frozen=True, slots=True)
class Found:
    """A record as it is in the bucket. `problem` says why it is not the one that was recorded; None: it is.

    `record` is None where there is nothing at its key, or nothing that can be read.
    """

    ref: EvidenceRef
    record: dict[str, Any] | None
    problem: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return self.ref.as_dict() | {"record": self.record, "problem": self.problem}


class EvidenceRecords:
    """The records of one service in one environment, found through the ledger, which keeps their hashes."""

    def __init__(
        self,
        bucket: str,
        ledger_table: str,
        service: str,
        environment: str,
        *,
        s3: "S3Client | None" = None,
        dynamodb: "DynamoDBClient | None" = None,
    ) -> None:
        """`s3`, `dynamodb`: used in place of the process's own clients (`opskit.clients`)."""
        self._objects = Objects(bucket, s3)
        self._table = Table(ledger_table, service, environment, dynamodb)

    def newest(self, kind: str | None = None, limit: int | None = None) -> list[EvidenceRef]:
        """Where the records are, newest first; only those of `kind`, and at most `limit`, where given."""
        found = self._table.newest(f"{INDEX}{kind}#" if kind else INDEX)
        refs = sorted((EvidenceRef.from_dict(item) for item in found), key=lambda ref: ref.sequence, reverse=True)
        return refs[:limit]

    def of(self, which: str) -> EvidenceRef | None:
        """The record with this sequence number or object key, or None."""
        number = int(which) if which.isascii() and which.isdigit() else None
        return next((ref for ref in self.newest() if which == ref.key or number == ref.sequence), None)

    def read(self, ref: EvidenceRef) -> Found:
        """The record at `ref`. What is wrong with it is told, not raised: someone who looks wants to see it."""
        try:
            content = self._objects.get(ref.key)
        except NotFoundError:
            return Found(ref, None, "it is not there")
        digest = sha256(content)
        problem = None if digest == ref.sha256 else f"it was changed: its SHA-256 is {digest}, {ref.sha256} is recorded"
        try:
            record = json.loads(content)
        except ValueError as error:
            return Found(ref, None, f"{problem or 'it cannot be read'}; it is not JSON: {error}")
        return Found(ref, record if isinstance(record, dict) else None, problem)

    def read_all(self, refs: Sequence[EvidenceRef]) -> list[Found]:
        """`read` of each, several at a time."""
        with ThreadPoolExecutor(_READERS) as pool:
            return list(pool.map(self.read, refs))
