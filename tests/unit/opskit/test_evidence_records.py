from typing import TYPE_CHECKING

import boto3
import pytest

from opskit.evidence import Evidence, EvidenceRef
from opskit.evidence_records import EvidenceRecords

from .stand_ins import ENVIRONMENT, REGION, SERVICE, TABLE, ManualClock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

BUCKET = "shop-test-evidence-1"


@pytest.fixture
def s3(mocked_aws: None) -> "S3Client":
    client = boto3.client("s3", region_name=REGION)
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    return client


@pytest.fixture
def evidence(s3: "S3Client", dynamodb: "DynamoDBClient", clock: ManualClock) -> Evidence:
    return Evidence(BUCKET, TABLE, SERVICE, ENVIRONMENT, clock, s3=s3, dynamodb=dynamodb)


@pytest.fixture
def records(s3: "S3Client", dynamodb: "DynamoDBClient") -> EvidenceRecords:
    return EvidenceRecords(BUCKET, TABLE, SERVICE, ENVIRONMENT, s3=s3, dynamodb=dynamodb)


@pytest.fixture
def three(evidence: Evidence) -> list[EvidenceRef]:
    kinds = (("release", "b"), ("drill", "a"), ("release", "a"))
    return [evidence.append(kind, name, {"number": number}) for number, (kind, name) in enumerate(kinds)]


def test_records_come_in_the_order_of_the_chain_whatever_their_kinds(
    records: EvidenceRecords, three: list[EvidenceRef]
) -> None:
    assert records.newest() == three[::-1]
    assert records.newest(limit=2) == three[:0:-1]
    assert records.newest("release") == [three[2], three[0]]
    assert records.newest("rel") == []


def test_a_record_is_found_by_its_number_and_its_key(records: EvidenceRecords, three: list[EvidenceRef]) -> None:
    assert records.of("2") == records.of(three[1].key) == three[1]
    assert records.of("0") is records.of("9") is records.of("²") is records.of(three[1].key[:-1]) is None


def test_a_record_is_read_as_it_was_written(records: EvidenceRecords, three: list[EvidenceRef]) -> None:
    found = records.read_all(three)
    assert [one.problem for one in found] == [None, None, None]
    assert [one.record and one.record["body"] for one in found] == [{"number": n} for n in range(3)]
    assert found[0].as_dict()["sha256"] == three[0].sha256


def test_what_is_wrong_with_a_record_is_told_and_the_others_are_read(
    records: EvidenceRecords, three: list[EvidenceRef], s3: "S3Client"
) -> None:
    s3.put_object(Bucket=BUCKET, Key=three[0].key, Body=b'{"body": {"number": 7}}')
    s3.delete_object(Bucket=BUCKET, Key=three[1].key)
    changed, missing, whole = records.read_all(three)
    assert changed.record == {"body": {"number": 7}}
    assert changed.problem is not None
    assert three[0].sha256 in changed.problem
    assert (missing.record, missing.problem) == (None, "it is not there")
    assert whole.problem is None


@pytest.mark.parametrize("content", [b"nonsense", b"[1]"])
def test_what_is_no_record_at_all_is_told(
    records: EvidenceRecords, three: list[EvidenceRef], s3: "S3Client", content: bytes
) -> None:
    s3.put_object(Bucket=BUCKET, Key=three[0].key, Body=content)
    found = records.read(three[0])
    assert found.record is None
    assert found.problem is not None
    assert "changed" in found.problem


def test_verify_tells_how_far_it_is(evidence: Evidence, three: list[EvidenceRef]) -> None:
    counts: list[int] = []
    assert evidence.verify(counts.append).records == 3
    assert counts == [1, 2, 3]
