"""Evidence: an append-only chain of records in S3, each carrying the hash of the one before.

How a record is appended, so that a crash at any point leaves neither a gap nor a duplicate:

1. One transaction advances the chain's head in the ledger. The head then holds the new record's whole content
   (compressed) as *pending*, and an index entry holds its reference under kind, name and start.
2. The object is written, only if there is none at its key.
3. The head's pending content is cleared.

Whoever comes next, a retry or another append, first does 2 and 3 for a record that was left pending. The
object comes second because an object in a locked bucket cannot be taken back, while an intent can be carried
out.
"""

import base64
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, cast

from opskit import clients
from opskit.clock import Clock, timestamp
from opskit.decisions.evidence import (
    PREFIX,
    ChainReport,
    Head,
    StoredRecord,
    canonical,
    key_of,
    sha256,
    verify,
    wrap,
)
from opskit.errors import EvidenceError
from opskit.ledger.table import Item, Table, Write

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

HEAD = "EVIDENCE_HEAD"
INDEX = "EVIDENCE#"
# An item may have 400 KB; JSON of this kind shrinks to about a tenth.
_MOST_PENDING_BYTES = 350_000
_ATTEMPTS = 10
_READERS = 8


@dataclass(frozen=True, slots=True)
class EvidenceRef:
    """Where a record is, and its hash. `previous`: hash of the one before, None for the first."""

    key: str
    sha256: str
    previous: str | None
    sequence: int

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        return cls(data["key"], data["sha256"], data.get("previous"), int(data["sequence"]))


class Evidence:
    """The evidence chain of one service in one environment."""

    def __init__(
        self,
        bucket: str,
        ledger_table: str,
        service: str,
        environment: str,
        clock: Clock,
        *,
        s3: "S3Client | None" = None,
        dynamodb: "DynamoDBClient | None" = None,
    ) -> None:
        """`s3`, `dynamodb`: used in place of the process's own clients (`opskit.clients`)."""
        self._bucket = bucket
        self._clock = clock
        self._table = Table(ledger_table, service, environment, dynamodb)
        self._given_s3 = s3

    def append(self, kind: str, name: str, body: Mapping[str, Any], *, at: datetime | None = None) -> EvidenceRef:
        """Append a record, once for each kind, name and `at`: repeated, it returns the first one's reference.

        `at` (aware): when what `name` names began, for names that come again; that of an execution is free for
        another one 90 days after its end. `kind` becomes a folder (ASCII letters, digits, `-`, `_`), `name` a file
        name, percent-encoded. Raises EvidenceError if the record is too large or the bucket refuses it; ValueError
        or TypeError for a kind, a name or a body that cannot be written.
        """
        index = f"{INDEX}{kind}#{name}" + (f"#{timestamp(at)}" if at else "")
        for _ in range(_ATTEMPTS):
            head = self._table.get(HEAD) or {}
            self._complete(head)
            done = self._table.get(index)
            if done:
                return EvidenceRef.from_dict(done)
            ref, content = self._next(head, kind, name, body)
            pending = zlib.compress(content)
            if len(pending) > _MOST_PENDING_BYTES:
                raise EvidenceError(
                    f"{ref.key} has {len(pending)} bytes compressed; the ledger takes {_MOST_PENDING_BYTES}. "
                    "Put the bulk into an object of its own and record its hash."
                )
            advanced = ref.as_dict() | {"pending": pending}
            unchanged = {"sequence": head.get("sequence"), "pending": None}
            failed = self._table.transact([Write(HEAD, advanced, unchanged), Write(index, ref.as_dict(), {"sk": None})])
            if not failed:
                self._complete(advanced)
                return ref
        raise EvidenceError(f"the chain moved {_ATTEMPTS} times while {kind} {name} was to be appended; retry")

    def verify(self, on_read: Callable[[int], None] = lambda _: None) -> ChainReport:
        """Read the whole chain and check it against the ledger; changes nothing.

        `on_read` is called with the number of records read so far.
        """
        head = self._settled_head()
        last = head.sequence if head else 0
        stored = []
        for record in self._stored():
            stored.append(record)
            on_read(len(stored))
        known = {item["sequence"]: item["sha256"] for item in self._table.newest(INDEX)}
        # What was appended while the bucket was read is not part of what is checked.
        later = tuple(f"/{sequence:010d}-" for sequence in known if sequence > last)
        return verify([record for record in stored if not any(mark in record.key for mark in later)], head, known)

    def _next(self, head: Item, kind: str, name: str, body: Mapping[str, Any]) -> tuple[EvidenceRef, bytes]:
        sequence, previous = head.get("sequence", 0) + 1, head.get("sha256")
        record = wrap(kind, name, body, recorded_at=self._clock.now(), sequence=sequence, previous=previous)
        content = canonical(record)
        return EvidenceRef(key_of(record), sha256(content), previous, sequence), content

    def _complete(self, head: Item) -> None:
        """Write the object that `head` holds as pending, if any, then clear it; safe for several at once."""
        if head.get("pending") is None:
            return
        self._write(head["key"], zlib.decompress(head["pending"]), head["sha256"])
        self._table.update(HEAD, {"sequence": head["sequence"]}, changes={"pending": None})

    def _write(self, key: str, content: bytes, digest: str) -> None:
        from botocore.exceptions import ClientError  # noqa: PLC0415 - see opskit.clients

        try:
            self._s3.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=content,
                ContentType="application/json",
                IfNoneMatch="*",
                # S3 refuses a body that arrives otherwise, and keeps the hash with the object.
                ChecksumSHA256=base64.b64encode(bytes.fromhex(digest)).decode(),
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "PreconditionFailed":
                self._confirm(key, digest)
            elif _passing(error):
                raise
            else:
                raise EvidenceError(f"{self._bucket} refused {key}: {error}") from error

    def _confirm(self, key: str, digest: str) -> None:
        found = sha256(self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read())
        if found != digest:
            raise EvidenceError(f"{self._bucket}/{key} was there before its record, with SHA-256 {found}")

    def _settled_head(self) -> Head | None:
        """The newest record whose object is certainly written."""
        item = self._table.get(HEAD)
        if item is None:
            return None
        if item.get("pending") is None:
            return Head(item["sequence"], item["sha256"])
        return Head(item["sequence"] - 1, item["previous"]) if item.get("previous") else None

    def _stored(self) -> Iterator[StoredRecord]:
        client = self._s3
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=PREFIX)

        def read(key: str) -> StoredRecord:
            return StoredRecord(key, client.get_object(Bucket=self._bucket, Key=key)["Body"].read())

        # A year has ten thousand records, and reading one is waiting for S3.
        with ThreadPoolExecutor(_READERS) as pool:
            for page in pages:
                yield from pool.map(read, [found["Key"] for found in page.get("Contents", [])])

    @cached_property
    def _s3(self) -> "S3Client":
        return self._given_s3 or cast("S3Client", clients.client("s3"))


def _passing(error: "ClientError") -> bool:
    """Whether the same request may succeed later: throttled, in conflict with another, or S3's own failure."""
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    return status >= 500 or status in (409, 429)
