"""Documents between steps: small ones in the state, large ones as objects that cannot be changed unseen."""

from typing import Any

import pytest

from opskit.adapters.handover import MOST_INLINE_BYTES, Handover
from opskit.adapters.objects import Objects
from opskit.adapters.snapshot_documents import documents_of
from opskit.errors import IntegrityError, NotFoundError

from .conftest import aws_client

BUCKET = "detection-api-dev-backups"
LARGE = {"names": [f"database-{n}" for n in range(MOST_INLINE_BYTES // 10)]}


@pytest.fixture
def s3() -> Any:
    client = aws_client("s3")
    client.create_bucket(Bucket=BUCKET)
    return client


@pytest.fixture
def documents(s3: Any) -> Handover:
    return Handover(Objects(BUCKET, s3), "runs/1/")


def test_a_small_document_travels_within_the_state(documents: Handover, s3: Any) -> None:
    given = documents.give("parts", [{"a": 1}])
    assert given == {"inline": [{"a": 1}]}
    assert documents.take(given) == [{"a": 1}]
    assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0


def test_a_large_document_travels_as_an_object(documents: Handover, s3: Any) -> None:
    given = documents.give("parts", LARGE)
    assert set(given) == {"key", "sha256"}
    assert given["key"].startswith("runs/1/parts-")
    assert documents.take(given) == LARGE
    assert documents.give("parts", LARGE) == given
    assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 1
    assert documents.give("parts", LARGE | {"more": 1})["key"] != given["key"]


def test_an_object_that_was_changed_or_is_gone_is_not_taken(documents: Handover, s3: Any) -> None:
    given = documents.give("parts", LARGE)
    s3.put_object(Bucket=BUCKET, Key=given["key"], Body=b"{}")
    with pytest.raises(IntegrityError):
        documents.take(given)
    s3.delete_object(Bucket=BUCKET, Key=given["key"])
    with pytest.raises(NotFoundError):
        documents.take(given)


def test_a_runs_documents_are_by_hour_and_run(s3: Any) -> None:
    given = documents_of(BUCKET, "2026-11-23T09:00:00.000000Z", "run/1").store("plan", b"{}")
    assert given["key"].startswith("runs/2026/11/23/09-run%2F1/plan-")
    assert s3.head_object(Bucket=BUCKET, Key=given["key"])
