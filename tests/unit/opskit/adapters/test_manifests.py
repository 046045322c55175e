"""Manifests as the ledger and the bucket have them; one that was touched is left out, and said to be."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from opskit.adapters.manifests import Manifests
from opskit.adapters.objects import Objects
from opskit.decisions.manifest import Component, Kind, Manifest, Status
from opskit.errors import ManifestError, NameTakenError, NotFoundError
from opskit.ledger import Ledger, OperationRecord

from .conftest import aws_client

HOUR = datetime(2026, 11, 23, 9, tzinfo=UTC)
BUCKET = "detection-api-dev-backups"


class Clock:
    def now(self) -> datetime:
        return HOUR


def manifest(hours: int = 0) -> Manifest:
    hour = HOUR + timedelta(hours=hours)
    return Manifest(
        service="detection-api",
        environment="dev",
        hour=hour,
        run=f"run-{hours}",
        started_at=hour,
        finished_at=hour + timedelta(minutes=9),
        components=(Component(Kind.DATABASE, "db", Status.VERIFIED, id=f"db-{hours}"),),
        required=(Kind.DATABASE,),
    )


@pytest.fixture
def s3() -> Any:
    client = aws_client("s3")
    client.create_bucket(Bucket=BUCKET)
    return client


@pytest.fixture
def ledger() -> Ledger:
    dynamodb = aws_client("dynamodb")
    dynamodb.create_table(
        TableName="ledger",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    return Ledger("ledger", "detection-api", "dev", clock=Clock(), client=dynamodb)


@pytest.fixture
def manifests(s3: Any, ledger: Ledger) -> Manifests:
    return Manifests(BUCKET, ledger, Objects(BUCKET, s3))


def recorded(ledger: Ledger, made: Manifest, facts: dict[str, Any]) -> None:
    ledger.open_operation(
        OperationRecord("snapshot", f"arn:{made.run}", made.run, started_at=made.started_at, facts=facts)
    )


def run(manifests: Manifests, ledger: Ledger, hours: int) -> Manifest:
    made = manifest(hours)
    written = manifests.write(made)
    facts = {"manifest": {"key": written.key, "sha256": written.sha256, "complete": made.complete}}
    recorded(ledger, made, facts)
    return made


def test_a_manifest_is_read_back_as_it_was_written(manifests: Manifests) -> None:
    made = manifest()
    written = manifests.write(made)
    assert (written.key, written.sha256) == (made.key, made.sha256)
    assert manifests.read(written.key, sha256=written.sha256) == made
    assert manifests.write(made).sha256 == made.sha256


def test_another_manifest_is_never_written_over_one_that_is_there(manifests: Manifests) -> None:
    manifests.write(manifest())
    with pytest.raises(NameTakenError):
        manifests.write(replace(manifest(), finished_at=HOUR + timedelta(hours=2)))


def test_a_manifest_that_is_not_there_or_was_changed_is_refused(manifests: Manifests, s3: Any) -> None:
    made = manifest()
    with pytest.raises(NotFoundError):
        manifests.read(made.key, sha256=made.sha256)
    s3.put_object(Bucket=BUCKET, Key=made.key, Body=made.to_bytes().replace(b"db-0", b"db-1"))
    with pytest.raises(ManifestError, match="was changed"):
        manifests.read(made.key, sha256=made.sha256)


def test_the_recent_ones_come_newest_first_and_no_more_than_asked_for(manifests: Manifests, ledger: Ledger) -> None:
    made = [run(manifests, ledger, hours) for hours in range(5)]
    recorded(ledger, manifest(9), {"hour": "no manifest: a second delivery"})
    assert manifests.recent() == made[::-1]
    assert manifests.recent(limit=2) == made[:2:-1]
    assert manifests.problems == ()


def test_what_was_touched_is_left_out_and_named(
    manifests: Manifests, ledger: Ledger, s3: Any, caplog: pytest.LogCaptureFixture
) -> None:
    whole, edited, gone = (run(manifests, ledger, hours) for hours in range(3))
    s3.put_object(Bucket=BUCKET, Key=edited.key, Body=edited.to_bytes() + b" ")
    s3.delete_object(Bucket=BUCKET, Key=gone.key)
    recorded(ledger, manifest(3), {"manifest": {"key": "manifests/x.json", "complete": True}})
    assert manifests.recent() == [whole]
    assert len(manifests.problems) == 3
    told = " ".join(manifests.problems)
    assert f"{gone.key} is not there" in told
    assert f"{edited.key}: the manifest was changed" in told
    assert "the record of manifests/x.json has no hash" in told
    assert all(problem in caplog.text for problem in manifests.problems)


def test_a_bucket_that_cannot_be_read_is_no_bucket_without_manifests(
    manifests: Manifests, ledger: Ledger, s3: Any
) -> None:
    made = run(manifests, ledger, 0)
    s3.delete_object(Bucket=BUCKET, Key=made.key)
    s3.delete_bucket(Bucket=BUCKET)
    with pytest.raises(s3.exceptions.NoSuchBucket):
        manifests.recent()
