"""Objects in an S3 bucket: written with their checksum, once unless told otherwise, and read back with it."""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from opskit import clients
from opskit.clock import timestamp
from opskit.errors import IntegrityError, NameTakenError, NotFoundError


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
        digest = hashlib.sha256(content)
        try:
            answer = self._client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=content,
                ContentType=content_type,
                IfNoneMatch="*",
                ChecksumSHA256=base64.b64encode(digest.digest()).decode(),
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "PreconditionFailed":
                raise
            found = hashlib.sha256(self.get(key)).hexdigest()
            if found != digest.hexdigest():
                raise NameTakenError(f"{self._bucket}/{key} was there before, with SHA-256 {found}") from error
            answer = {}
        return Written(key, len(content), digest.hexdigest(), answer.get("VersionId"))

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
        try:
            content: bytes = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] in {"NoSuchKey", "404"}:
                raise NotFoundError(f"there is no object {self._bucket}/{key}") from error
            raise
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
