import base64
import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from opskit.adapters.objects import CHUNK, Objects, StoredObject
from opskit.errors import IntegrityError, NameTakenError, NotFoundError

from .conftest import aws_client, session

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
BUCKET = "detection-api-dev-backups"
CONTENT = b"-- a dump"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def s3() -> Any:
    client = aws_client("s3")
    client.create_bucket(Bucket=BUCKET)
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    return client


def test_an_object_is_written_once_with_its_checksum_and_read_back(s3: Any) -> None:
    objects = Objects(BUCKET, s3)
    written = objects.put("dumps/a", CONTENT, content_type="application/sql")
    assert (written.key, written.bytes, written.sha256) == ("dumps/a", len(CONTENT), DIGEST)
    assert written.version
    assert objects.get("dumps/a", sha256=written.sha256) == CONTENT
    assert s3.head_object(Bucket=BUCKET, Key="dumps/a")["ContentType"] == "application/sql"


def test_s3_is_given_the_checksum_and_told_to_overwrite_nothing() -> None:
    client = session().client("s3")
    wanted = {
        "Bucket": BUCKET,
        "Key": "dumps/a",
        "Body": CONTENT,
        "ContentType": "application/octet-stream",
        "IfNoneMatch": "*",
        "ChecksumSHA256": base64.b64encode(bytes.fromhex(DIGEST)).decode(),
    }
    with Stubber(client) as stub:
        stub.add_response("put_object", {}, wanted)
        Objects(BUCKET, client).put("dumps/a", CONTENT)
        stub.assert_no_pending_responses()


def test_writing_the_same_again_changes_nothing_and_other_content_is_refused(s3: Any) -> None:
    objects = Objects(BUCKET, s3)
    objects.put("dumps/a", CONTENT)
    again = objects.put("dumps/a", CONTENT)
    assert (again.sha256, again.version) == (DIGEST, None)
    with pytest.raises(NameTakenError, match=f"was there before, with SHA-256 {DIGEST}"):
        objects.put("dumps/a", b"other")
    assert len(s3.list_object_versions(Bucket=BUCKET)["Versions"]) == 1


def test_what_was_changed_or_is_missing_is_found(s3: Any) -> None:
    objects = Objects(BUCKET, s3)
    s3.put_object(Bucket=BUCKET, Key="dumps/a", Body=b"tampered")
    with pytest.raises(IntegrityError, match=f"{DIGEST} was recorded"):
        objects.get("dumps/a", sha256=DIGEST)
    with pytest.raises(NotFoundError, match="there is no object"):
        objects.get("dumps/b")


def test_other_errors_stay_what_they_are() -> None:
    client = session().client("s3")
    with Stubber(client) as stub:
        stub.add_client_error("put_object", "AccessDenied", http_status_code=403)
        stub.add_client_error("get_object", "AccessDenied", http_status_code=403)
        for act in (lambda: Objects(BUCKET, client).put("a", b""), lambda: Objects(BUCKET, client).get("a")):
            with pytest.raises(ClientError, match="AccessDenied"):
                act()


def test_a_list_goes_on_over_pages(s3: Any) -> None:
    for key in ("many/1", "many/2", "other"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    found = list(Objects(BUCKET, s3).list("many/"))
    assert [(one.key, one.bytes) for one in found] == [("many/1", 1), ("many/2", 1)]
    assert found[0].as_dict()["modified_at"].endswith("Z")
    assert list(Objects(BUCKET, s3).list("none/")) == []

    client = session().client("s3")
    first = {"Contents": [{"Key": "a", "Size": 1, "LastModified": NOW}], "IsTruncated": True}
    with Stubber(client) as stub:
        stub.add_response("list_objects_v2", first | {"NextContinuationToken": "more"})
        stub.add_response("list_objects_v2", {"Contents": [{"Key": "b", "Size": 2, "LastModified": NOW}]})
        assert list(Objects(BUCKET, client).list("")) == [StoredObject("a", 1, NOW), StoredObject("b", 2, NOW)]


def test_an_object_that_is_replaced_keeps_its_versions(s3: Any) -> None:
    objects = Objects(BUCKET, s3)
    first = objects.replace("latest.json", b"{}", content_type="application/json")
    second = objects.replace("latest.json", b"[]", content_type="application/json")
    assert objects.get("latest.json", sha256=second.sha256) == b"[]"
    assert first.version != second.version
    assert s3.get_object(Bucket=BUCKET, Key="latest.json", VersionId=first.version)["Body"].read() == b"{}"


def test_an_object_is_streamed_with_its_checksum_and_metadata(s3: Any, tmp_path: Path) -> None:
    content = b"x" * (2 * CHUNK + 7)
    s3.put_object(Bucket=BUCKET, Key="large", Body=content, Metadata={"rows": "3"})
    objects, path = Objects(BUCKET, s3), tmp_path / "copy"
    read = objects.stream("large", path)
    assert (read.bytes, read.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert read.metadata == {"rows": "3"}
    assert path.read_bytes() == content
    assert objects.stream("large") == read
    with pytest.raises(NotFoundError):
        objects.stream("missing")


def test_what_is_kept_twice_with_other_content_is_kept_beside(s3: Any, tmp_path: Path) -> None:
    objects, path = Objects(BUCKET, s3), tmp_path / "dump"
    first = objects.keep("a/state.json", b"1")
    assert objects.keep("a/state.json", b"1").key == first.key == "a/state.json"
    beside = objects.keep("a/state.json", b"2")
    assert beside.key == f"a/state-{hashlib.sha256(b'2').hexdigest()[:12]}.json"
    assert (objects.get(first.key), objects.get(beside.key)) == (b"1", b"2")
    path.write_bytes(CONTENT)
    kept = objects.keep_file("a/dump", path, DIGEST)
    assert (kept.key, kept.bytes, objects.get("a/dump")) == ("a/dump", len(CONTENT), CONTENT)
    path.write_bytes(b"2")
    other = objects.keep_file("a/dump", path, hashlib.sha256(b"2").hexdigest())
    assert other.key.startswith("a/dump-")
    assert objects.get(other.key) == b"2"
