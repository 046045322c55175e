"""`python -m sandbox.service.dump`: a consistent, checked copy of the write queue to S3.

Environment: `QUEUE_PATH`, the file that the service queues in, and `QUEUE_DUMP_URL`, `s3://bucket/key`. The copy is
taken while the service uses the file; of a queue that nobody has used yet it is an empty, valid database. The object's
metadata are `sha256` (of the file, hexadecimal), `integrity` (`ok`), `rows` (how many wait) and `dumped-at` (ISO 8601
in UTC). A copy that is not sound is not uploaded: the one before stays, its `dumped-at` shows its age, and this ends
with 1.
"""

import base64
import contextlib
import hashlib
import os
import sqlite3
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sandbox.service.logs import log
from sandbox.service.queue import connect

MAX_BYTES = 5 * 1024**3
"""What S3 takes in one PutObject: https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html"""


class DumpError(RuntimeError):
    """There is no sound copy, or nowhere to put it; the message says why."""


@dataclass(frozen=True, slots=True)
class Dump:
    """A copy that was checked; `rows` is how many detections wait in it."""

    path: Path
    sha256: bytes
    rows: int
    dumped_at: datetime

    @property
    def metadata(self) -> dict[str, str]:
        """As the object carries it."""
        return {
            "sha256": self.sha256.hex(),
            "integrity": "ok",
            "rows": str(self.rows),
            "dumped-at": self.dumped_at.isoformat(timespec="milliseconds"),
        }


def dump(queue_path: str, target: Path) -> Dump:
    """Copy the queue to `target`, which must not exist, and check the copy. Raises `DumpError`."""
    try:
        # In one step of the backup API: no writer gets in between, and none waits longer than a small file takes.
        # https://www.sqlite.org/backup.html
        with contextlib.closing(connect(queue_path)) as source, contextlib.closing(sqlite3.connect(target)) as copy:
            moment = datetime.now(UTC)
            source.backup(copy)
            found = [text for (text,) in copy.execute("PRAGMA integrity_check")]
            if found != ["ok"]:
                raise DumpError(f"the copy is not sound: {'; '.join(found)}")
            rows = int(copy.execute("SELECT count(*) FROM queue").fetchone()[0])
    except sqlite3.Error as error:
        raise DumpError(f"{queue_path} cannot be copied: {error}") from error
    with target.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    return Dump(target, digest, rows, moment)


def upload(made: Dump, bucket: str, key: str, client: Any) -> None:
    """Put the copy into S3, which compares it with its checksum. Raises `DumpError`."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    if (size := made.path.stat().st_size) > MAX_BYTES:
        raise DumpError(f"the copy has {size} bytes, more than one upload takes")
    try:
        with made.path.open("rb") as body:
            client.put_object(
                Bucket=bucket,
                Key=key,
                Body=body,
                ContentType="application/vnd.sqlite3",
                ChecksumSHA256=base64.b64encode(made.sha256).decode(),
                Metadata=made.metadata,
            )
    except (BotoCoreError, ClientError) as error:
        raise DumpError(f"s3://{bucket}/{key} cannot be written: {error}") from error


def settings(environment: Mapping[str, str]) -> tuple[str, str, str]:
    """Queue file, bucket and key. Raises `DumpError` for what is missing or malformed."""
    queue_path, url = environment.get("QUEUE_PATH", ""), urlsplit(environment.get("QUEUE_DUMP_URL", ""))
    bucket, key = url.netloc, url.path.lstrip("/")
    if not queue_path:
        raise DumpError("QUEUE_PATH is not set")
    if url.scheme != "s3" or not bucket or not key:
        raise DumpError(f"QUEUE_DUMP_URL must be s3://bucket/key, not {url.geturl()!r}")
    return queue_path, bucket, key


def main() -> int:
    """Dump and upload as the environment says; returns the exit status."""
    from botocore.session import Session  # noqa: PLC0415

    try:
        queue_path, bucket, key = settings(os.environ)
        with tempfile.TemporaryDirectory() as directory:
            made = dump(queue_path, Path(directory) / "queue.db")
            upload(made, bucket, key, Session().create_client("s3"))
    except DumpError as error:
        log("error", "queue not dumped", error=str(error))
        return 1
    log("info", "queue dumped", bucket=bucket, key=key, **made.metadata)
    return 0


if __name__ == "__main__":
    sys.exit(main())
