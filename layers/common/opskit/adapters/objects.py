"""Objects in an S3 bucket: written with their checksum, once unless told otherwise, and read back with it."""

import base64
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from opskit import clients
from opskit.clock import timestamp
from opskit.errors import IntegrityError, NameTakenError, NotFoundError

CHUNK = 2**20


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as listed: its key, size in bytes, and when it was last written."""

    key: str
    bytes: int
    modified_at: datetime

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"modified_at": timestamp(self.modified_at)}


@dataclass(frozen=True, slots=True)
class Streamed:
    """An object as it was read: size, SHA-256 (hexadecimal), metadata, and when it was written."""

    bytes: int
    sha256: str
    metadata: dict[str, str]
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class Written:
    """What `put` left in the bucket: key, size, SHA-256 (hexadecimal), and the version if the bucket keeps them."""

    key: str
    bytes: int
    sha256: str
    version: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


class Objects:
    """The objects of one bucket."""

    def __init__(self, bucket: str, client: Any = None) -> None:
        self._bucket = bucket
        self._client = client or clients.client("s3")

    def put(self, key: str, content: bytes, *, content_type: str = "application/octet-stream") -> Written:
        """Write `content` at `key`, where nothing may be yet; repeated with the same content, it changes nothing.

        S3 checks the SHA-256 on arrival and keeps it with the object. Raises NameTakenError if there is an object of
        other content at the key.
        """
        digest = hashlib.sha256(content).hexdigest()
        return Written(key, len(content), digest, self._put(key, content, digest, content_type))

    def keep(self, key: str, content: bytes, *, content_type: str = "application/octet-stream") -> Written:
        """Like `put`; but if there is other content at `key`, as after an attempt that was repeated, beside it."""
        try:
            return self.put(key, content, content_type=content_type)
        except NameTakenError:
            return self.put(_beside(key, hashlib.sha256(content).hexdigest()), content, content_type=content_type)

    def keep_file(self, key: str, path: Path, sha256: str) -> Written:
        """Like `keep`, with the content of the file `path`, whose hash is `sha256`; in one request, so up to 5 GB."""
        try:
            return self._put_file(key, path, sha256)
        except NameTakenError:
            return self._put_file(_beside(key, sha256), path, sha256)

    def stream(self, key: str, path: Path | None = None) -> Streamed:
        """Read the object through, into the file `path` if given; in constant memory. Raises NotFoundError."""
        with _named_absence(f"{self._bucket}/{key}"):
            answer = self._client.get_object(Bucket=self._bucket, Key=key)
        digest, size = hashlib.sha256(), 0
        with open(path or os.devnull, "wb") as target:  # noqa: PTH123 - one call for both
            for chunk in answer["Body"].iter_chunks(CHUNK):
                digest.update(chunk)
                size += len(chunk)
                target.write(chunk)
        return Streamed(size, digest.hexdigest(), dict(answer.get("Metadata", {})), answer["LastModified"])

    def replace(self, key: str, content: bytes, *, content_type: str = "application/octet-stream") -> Written:
        """Write `content` at `key`, whatever is there; a bucket with versions keeps that."""
        digest = hashlib.sha256(content)
        answer = self._client.put_object(
            Bucket=self._bucket,
            Key=key,
            Body=content,
            ContentType=content_type,
            ChecksumSHA256=base64.b64encode(digest.digest()).decode(),
        )
        return Written(key, len(content), digest.hexdigest(), answer.get("VersionId"))

    def get(self, key: str, *, sha256: str | None = None) -> bytes:
        """The content at `key`. Raises NotFoundError if there is none, IntegrityError if its hash is not `sha256`."""
        with _named_absence(f"{self._bucket}/{key}"):
            content: bytes = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        found = hashlib.sha256(content).hexdigest()
        if sha256 is not None and found != sha256:
            raise IntegrityError(f"{self._bucket}/{key} has SHA-256 {found}; {sha256} was recorded")
        return content

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Every object whose key begins with `prefix`, by key; one call for each 1,000."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        for page in pages:
            for found in page.get("Contents", []):
                yield StoredObject(found["Key"], found["Size"], found["LastModified"])

    def _put_file(self, key: str, path: Path, sha256: str) -> Written:
        with path.open("rb") as body:
            version = self._put(key, body, sha256, "application/octet-stream")
        return Written(key, path.stat().st_size, sha256, version)

    def _put(self, key: str, body: Any, sha256: str, content_type: str) -> str | None:
        try:
            answer = self._client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=body,
                ContentType=content_type,
                IfNoneMatch="*",
                ChecksumSHA256=base64.b64encode(bytes.fromhex(sha256)).decode(),
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "PreconditionFailed":
                raise
            found = self.stream(key).sha256
            if found != sha256:
                raise NameTakenError(f"{self._bucket}/{key} was there before, with SHA-256 {found}") from error
            return None
        version: str | None = answer.get("VersionId")
        return version


def _beside(key: str, sha256: str) -> str:
    stem, dot, ending = key.rpartition(".")
    return f"{stem}-{sha256[:12]}{dot}{ending}" if dot else f"{key}-{sha256[:12]}"


@contextmanager
def _named_absence(what: str) -> Iterator[None]:
    """Turn S3's answer that there is no such object into NotFoundError.

    S3 answers 403 in its place to whoever may not list the bucket; that is raised as it is.
    """
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] in {"NoSuchKey", "404"}:
            raise NotFoundError(f"there is no object {what}") from error
        raise
