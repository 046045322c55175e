import hashlib
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from opskit.decisions.evidence import Fault, canonical
from opskit.errors import EvidenceError
from opskit.evidence import Evidence, EvidenceRef
from opskit.ledger.table import Table

from .stand_ins import ENVIRONMENT, REGION, SERVICE, START, TABLE, Interruption, ManualClock, die, once

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

BUCKET = "shop-test-evidence-1"
# Every point at which a process can die in the course of an append: before and after each call that it makes.
CRASHES = [
    "before-call.dynamodb.TransactWriteItems",
    "after-call.dynamodb.TransactWriteItems",
    "before-call.s3.PutObject",
    "after-call.s3.PutObject",
    "before-call.dynamodb.UpdateItem",
    "after-call.dynamodb.UpdateItem",
]


@pytest.fixture
def s3(mocked_aws: None) -> "S3Client":
    client = boto3.client("s3", region_name=REGION)
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    return client


@pytest.fixture
def evidence(s3: "S3Client", dynamodb: "DynamoDBClient", clock: ManualClock) -> Evidence:
    return Evidence(BUCKET, TABLE, SERVICE, ENVIRONMENT, clock, s3=s3, dynamodb=dynamodb)


def stored(s3: "S3Client") -> list[tuple[str, bytes]]:
    """Every object's key and content, in the order of the chain."""
    keys = [found["Key"] for found in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]
    found = [(key, s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()) for key in keys]
    return sorted(found, key=lambda record: json.loads(record[1])["sequence"])


def assert_whole(s3: "S3Client", evidence: Evidence, names: list[str]) -> None:
    """The chain consists of records of these names, in this order, with neither gap nor duplicate."""
    records = stored(s3)
    documents = [json.loads(content) for _, content in records]
    assert [document["name"] for document in documents] == names
    assert [document["sequence"] for document in documents] == list(range(1, len(names) + 1))
    hashes = [hashlib.sha256(content).hexdigest() for _, content in records]
    assert [document["previous_sha256"] for document in documents] == [None, *hashes][: len(names)]
    report = evidence.verify()
    assert report.intact, report.problems
    assert report.records == len(names)


def test_a_record_is_canonical_json_at_a_key_that_tells_its_place(s3: "S3Client", evidence: Evidence) -> None:
    ref = evidence.append("release", "first", {"z": 1, "a": "ü"})
    content = (
        '{"body":{"a":"ü","z":1},"kind":"release","name":"first","previous_sha256":null,'
        '"recorded_at":"2026-11-23T12:00:00.000000Z","sequence":1}'
    ).encode()
    assert stored(s3) == [("evidence/release/2026/11/0000000001-first.json", content)]
    assert ref == EvidenceRef(
        "evidence/release/2026/11/0000000001-first.json", hashlib.sha256(content).hexdigest(), None, 1
    )
    assert EvidenceRef.from_dict(ref.as_dict()) == ref


def test_each_record_carries_the_hash_of_the_one_before(s3: "S3Client", evidence: Evidence) -> None:
    refs = [evidence.append(kind, f"r{number}", {"n": number}) for number, kind in enumerate(("a", "b", "a"))]
    assert [ref.previous for ref in refs] == [None, refs[0].sha256, refs[1].sha256]
    assert_whole(s3, evidence, ["r0", "r1", "r2"])


def test_the_same_kind_and_name_are_recorded_once(s3: "S3Client", evidence: Evidence, clock: ManualClock) -> None:
    first = evidence.append("release", "first", {"n": 1})
    clock.advance(60)
    assert evidence.append("release", "first", {"n": 2}) == first
    assert evidence.append("repair", "first", {"n": 1}) != first
    assert [json.loads(content)["body"]["n"] for _, content in stored(s3)] == [1, 1]


def test_a_name_that_comes_again_is_recorded_again_with_its_own_start(
    s3: "S3Client", evidence: Evidence, clock: ManualClock
) -> None:
    first = evidence.append("release", "weekly", {"n": 1}, at=START)
    clock.advance(91 * 86400)
    assert evidence.append("release", "weekly", {"n": 1}, at=START) == first
    second = evidence.append("release", "weekly", {"n": 2}, at=clock.now())
    assert second.previous == first.sha256
    assert evidence.append("release", "weekly", {"n": 2}, at=clock.now()) == second
    assert_whole(s3, evidence, ["weekly", "weekly"])


def test_a_name_with_characters_that_executions_may_have_is_recorded(s3: "S3Client", evidence: Evidence) -> None:
    names = ["v1.2+hotfix", "me@here", "é", "100%"]
    for name in names:
        evidence.append("release", name, {}, at=START)
    assert_whole(s3, evidence, names)


@pytest.mark.parametrize("crash", CRASHES)
def test_a_crash_at_any_point_is_made_good_by_a_retry(
    s3: "S3Client", dynamodb: "DynamoDBClient", evidence: Evidence, clock: ManualClock, crash: str
) -> None:
    evidence.append("release", "before", {})
    client = s3 if ".s3." in crash else dynamodb
    with once(client, crash, die), pytest.raises(Interruption):
        evidence.append("release", "first", {"n": 1})
    clock.advance(60)
    ref = evidence.append("release", "first", {"n": 1})
    assert ref.sequence == 2
    assert_whole(s3, evidence, ["before", "first"])


@pytest.mark.parametrize("crash", CRASHES)
def test_a_crash_at_any_point_is_made_good_by_the_next_to_append(
    s3: "S3Client", dynamodb: "DynamoDBClient", evidence: Evidence, crash: str
) -> None:
    client = s3 if ".s3." in crash else dynamodb
    with once(client, crash, die), pytest.raises(Interruption):
        evidence.append("release", "first", {"n": 1})
    evidence.append("release", "second", {"n": 2})
    begun = crash != "before-call.dynamodb.TransactWriteItems"
    assert_whole(s3, evidence, ["first", "second"] if begun else ["second"])
    evidence.append("release", "first", {"n": 1})
    assert_whole(s3, evidence, ["first", "second"] if begun else ["second", "first"])


@pytest.mark.parametrize("crash", CRASHES)
def test_a_crash_leaves_a_chain_that_is_intact_to_look_at(
    s3: "S3Client", dynamodb: "DynamoDBClient", evidence: Evidence, crash: str
) -> None:
    evidence.append("release", "before", {})
    client = s3 if ".s3." in crash else dynamodb
    with once(client, crash, die), pytest.raises(Interruption):
        evidence.append("release", "first", {"n": 1})
    assert evidence.verify().intact


@pytest.mark.parametrize(
    "moment", ["before-call.dynamodb.TransactWriteItems", "before-call.s3.PutObject", "after-call.s3.PutObject"]
)
def test_two_that_append_at_once_both_get_a_place(
    s3: "S3Client", dynamodb: "DynamoDBClient", evidence: Evidence, moment: str
) -> None:
    client = s3 if ".s3." in moment else dynamodb
    with once(client, moment, lambda: evidence.append("release", "rival", {}) and None):
        mine = evidence.append("release", "first", {})
    theirs = evidence.append("release", "rival", {})
    order = sorted((mine, theirs), key=lambda ref: ref.sequence)
    assert_whole(s3, evidence, ["first" if ref is mine else "rival" for ref in order])


def test_two_deliveries_of_the_same_record_at_once_make_one(
    s3: "S3Client", dynamodb: "DynamoDBClient", evidence: Evidence
) -> None:
    again: Callable[[], None] = lambda: evidence.append("release", "first", {}) and None  # noqa: E731
    with once(dynamodb, "before-call.dynamodb.TransactWriteItems", again):
        evidence.append("release", "first", {})
    assert_whole(s3, evidence, ["first"])


def test_an_object_that_lay_at_the_key_before_is_not_taken_for_the_record(s3: "S3Client", evidence: Evidence) -> None:
    s3.put_object(Bucket=BUCKET, Key="evidence/release/2026/11/0000000001-first.json", Body=b"{}")
    with pytest.raises(EvidenceError, match="was there before its record"):
        evidence.append("release", "first", {})


def test_a_bucket_that_refuses_is_named_and_the_record_is_not_lost(
    s3: "S3Client", dynamodb: "DynamoDBClient", clock: ManualClock, evidence: Evidence
) -> None:
    elsewhere = Evidence("no-such-bucket", TABLE, SERVICE, ENVIRONMENT, clock, s3=s3, dynamodb=dynamodb)
    with pytest.raises(EvidenceError, match="no-such-bucket refused evidence/release"):
        elsewhere.append("release", "first", {"n": 1})
    evidence.append("release", "second", {"n": 2})
    assert_whole(s3, evidence, ["first", "second"])


def test_a_passing_failure_of_s3_goes_through_and_is_made_good(s3: "S3Client", evidence: Evidence) -> None:
    error = s3.exceptions.ClientError(
        {"Error": {"Code": "SlowDown", "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": 503}},  # type: ignore[typeddict-item]
        "PutObject",
    )

    def slow_down() -> None:
        raise error

    with once(s3, "before-call.s3.PutObject", slow_down), pytest.raises(type(error), match="SlowDown"):
        evidence.append("release", "first", {})
    evidence.append("release", "first", {})
    assert_whole(s3, evidence, ["first"])


def test_a_record_that_is_too_large_is_refused_before_anything_is_written(
    s3: "S3Client", dynamodb: "DynamoDBClient", evidence: Evidence
) -> None:
    noise = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(20_000)]
    with pytest.raises(EvidenceError, match="Put the bulk into an object of its own"):
        evidence.append("release", "first", {"noise": noise})
    assert stored(s3) == []
    assert Table(TABLE, SERVICE, ENVIRONMENT, dynamodb).get("EVIDENCE_HEAD") is None


def test_a_long_manifest_fits(s3: "S3Client", evidence: Evidence) -> None:
    component = {"kind": "database", "status": "verified", "snapshot": "rds:db-0001-2026-11-23-12", "bytes": 10**9}
    components = [component | {"resource": f"db-{number}"} for number in range(5_000)]
    assert len(canonical({"components": components})) > 400_000
    evidence.append("snapshot", "hour", {"components": components})
    assert_whole(s3, evidence, ["hour"])


@pytest.mark.parametrize(("kind", "name"), [("re/lease", "x"), ("release", "")])
def test_a_kind_that_is_no_folder_and_an_empty_name_are_refused(
    s3: "S3Client", evidence: Evidence, kind: str, name: str
) -> None:
    with pytest.raises(ValueError, match="a kind takes letters, digits"):
        evidence.append(kind, name, {})
    assert stored(s3) == []


@pytest.mark.parametrize("body", [{"x": float("nan")}, {"x": object()}])
def test_a_body_that_is_not_json_is_refused(s3: "S3Client", evidence: Evidence, body: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        evidence.append("release", "first", body)
    assert stored(s3) == []


def test_verify_names_what_was_changed_and_what_is_gone(s3: "S3Client", evidence: Evidence) -> None:
    refs = [evidence.append("release", f"r{number}", {"n": number}) for number in range(4)]
    for place in (0, 2):
        content = s3.get_object(Bucket=BUCKET, Key=refs[place].key)["Body"].read()
        s3.put_object(Bucket=BUCKET, Key=refs[place].key, Body=content.replace(b'"n":', b'"n":7'))
    s3.delete_object(Bucket=BUCKET, Key=refs[3].key)
    report = evidence.verify()
    assert [(problem.fault, problem.sequence) for problem in report.problems] == [
        (Fault.CHANGED, 1),
        (Fault.CHANGED, 3),
        (Fault.MISSING, 4),
    ]


def test_verify_ignores_what_is_appended_while_it_reads(s3: "S3Client", evidence: Evidence) -> None:
    evidence.append("release", "first", {})
    with once(s3, "before-call.s3.ListObjectsV2", lambda: evidence.append("release", "second", {}) and None):
        report = evidence.verify()
    assert report.intact
    assert report.records == 1


def test_an_empty_chain_is_intact(s3: "S3Client", dynamodb: "DynamoDBClient", evidence: Evidence) -> None:
    report = evidence.verify()
    assert report.intact
    assert report.records == 0
