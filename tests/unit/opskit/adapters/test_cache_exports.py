"""Exported dumps, read through."""

import hashlib
from datetime import UTC, datetime
from typing import Any

import pytest

from opskit.adapters.cache_exports import verify_exports
from opskit.adapters.objects import Objects
from opskit.decisions.manifest import Kind
from opskit.decisions.taking import Part, Phase

from .conftest import aws_client

NOW = datetime(2026, 11, 23, 9, 5, tzinfo=UTC)
BUCKET = "detection-api-dev-cache-exports"


@pytest.fixture
def bucket() -> Objects:
    s3 = aws_client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="a-0001.rdb", Body=b"REDIS0011")
    s3.put_object(Bucket=BUCKET, Key="a-0002.rdb", Body=b"REDIS0011 more")
    s3.put_object(Bucket=BUCKET, Key="empty.rdb", Body=b"")
    return Objects(BUCKET, s3)


def exported(*keys: str, **changes: Any) -> Part:
    exports = tuple({"key": key, "bytes": 1} for key in keys)
    given: dict[str, Any] = {"phase": Phase.EXPORTED, "taken_at": NOW, "exports": exports} | changes
    return Part(Kind.CACHE, "sessions", "a", since=0, **given)


def test_each_object_gets_its_size_and_checksum(bucket: Objects) -> None:
    done = verify_exports(exported("a-0001.rdb", "a-0002.rdb"), bucket, NOW)
    assert done.phase is Phase.VERIFIED
    assert done.exports[0] == {
        "key": "a-0001.rdb",
        "bytes": 9,
        "sha256": hashlib.sha256(b"REDIS0011").hexdigest(),
    }
    assert done.exports[1]["bytes"] == 14


@pytest.mark.parametrize(("key", "why"), [("gone.rdb", "there is no object"), ("empty.rdb", "is empty")])
def test_one_that_is_gone_or_empty_is_no_backup(bucket: Objects, key: str, why: str) -> None:
    done = verify_exports(exported("a-0001.rdb", key), bucket, NOW)
    assert done.phase is Phase.FAILED
    assert why in str(done.reason)


def test_what_was_not_exported_stays_as_it_is(bucket: Objects) -> None:
    for phase in (Phase.FAILED, Phase.TAKEN, Phase.VERIFIED):
        part = exported("a-0001.rdb", phase=phase)
        assert verify_exports(part, bucket, NOW) is part
