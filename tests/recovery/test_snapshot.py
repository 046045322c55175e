"""The hourly run on a real PostgreSQL and a real Redis: what it takes, once, and what it leaves."""

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from lightkube.resources.batch_v1 import CronJob
from lightkube.types import PatchType

from opskit.clock import timestamp
from opskit.decisions.contents import CacheContents, DatabaseContents
from opskit.decisions.manifest import Kind, Status
from sandbox.kubernetes.client import administrator
from sandbox.operator import Operator
from tests.recovery.snapshots import (
    HOURS,
    begin,
    database_snapshots,
    evidence_of,
    manifest_of,
    part,
    record_of,
    settle,
    take,
)
from tests.recovery.told import told


@pytest.fixture
def operator(everyone: Operator) -> Iterator[Operator]:
    settle(everyone)
    yield everyone
    settle(everyone)


def test_the_hourly_run_backs_up_all_five_components(operator: Operator) -> None:
    name, hour = operator.config.name, HOURS.take()
    operator.sql("CREATE TABLE IF NOT EXISTS kept (id int PRIMARY KEY, body text)")
    operator.sql("INSERT INTO kept SELECT n, md5(n::text) FROM generate_series(1, 50) n ON CONFLICT DO NOTHING")
    with operator.cache() as client:
        client.set("lasting", "1")
        client.set("passing", "1", ex=3600)
    with told(operator, "SNAPSHOT_COMPLETE") as messages:
        done = take(operator, hour, requested_by="a test")
        assert (done.status, done.output["outcome"]) == ("SUCCEEDED", "COMPLETE"), done.cause
        assert messages() == []

    manifest = manifest_of(operator, done)
    assert (manifest.hour, manifest.run, manifest.complete) == (hour, done.name, True)
    assert {one.kind for one in manifest.components} == set(Kind)

    database = part(manifest, Kind.DATABASE)
    assert database.resource == name
    found = database_snapshots(operator)[str(database.id)]
    assert (found["Status"], found["Encrypted"], found["SnapshotCreateTime"]) == ("available", True, database.taken_at)
    before, after = (DatabaseContents.from_dict(database.contents[when]) for when in ("before", "after"))
    assert before.rows["public.kept"] == after.rows["public.kept"] == 50
    assert before.checksums["public.kept"] == after.checksums["public.kept"]

    cache = part(manifest, Kind.CACHE)
    contents = CacheContents.from_dict(cache.contents["before"])
    assert contents.expiries["lasting"] is None
    assert contents.expiries["passing"] is not None
    (export,) = cache.contents["exports"]
    dump = operator.read(export["key"], operator.platform.cache_export_bucket)
    assert dump.startswith(b"REDIS")
    assert (len(dump), cache.sha256) == (export["bytes"], export["sha256"])

    state = part(manifest, Kind.STATE)
    assert operator.read(str(state.id)) == operator.read(
        "dev/platform.tfstate", operator.platform.terraform_state_bucket
    )
    assert state.counts["serial"] > 0
    data = part(manifest, Kind.DATA)
    assert operator.read(str(data.id)).startswith(b"SQLite format 3")
    assert data.counts["tables"] > 0


def test_the_run_is_on_record_with_its_evidence_and_its_metric_and_frees_its_lock(operator: Operator) -> None:
    hour, began = HOURS.take(), datetime.now(UTC)
    done = take(operator, hour)
    record = record_of(operator, done)
    assert (record.outcome, record.facts["hour"]) == ("COMPLETE", timestamp(hour))
    evidence = evidence_of(operator, done)
    assert evidence["body"]["facts"]["manifest"] == record.facts["manifest"]
    assert evidence["body"]["outcome"] == "COMPLETE"
    assert operator.ledger.holder("snapshot") is None
    assert complete_since(operator, began) == [1.0]


def test_the_cache_is_backed_up_every_second_hour_and_counts_in_between(operator: Operator) -> None:
    first, second, third = (take(operator, hour) for hour in (HOURS.take(skip=4), HOURS.take(), HOURS.take()))
    ids = [part(manifest_of(operator, done), Kind.CACHE) for done in (first, second, third)]
    assert ids[0].id == ids[1].id != ids[2].id
    assert ids[0].contents == ids[1].contents
    assert "not due" in str(ids[1].reason)
    assert record_of(operator, second).facts["newest_cache"]["id"] == ids[0].id


def test_the_clusters_configuration_is_exported_without_secrets(operator: Operator) -> None:
    manifest = manifest_of(operator, take(operator, HOURS.take(), components=["cluster_configuration"]))
    cluster = part(manifest, Kind.CLUSTER)
    assert cluster.status is Status.VERIFIED
    text = operator.read(str(cluster.id)).decode()
    exported = json.loads(text)
    kinds = {one["kind"] for one in exported["items"]}
    assert {"Deployment", "Service", "Role", "RoleBinding", "TargetGroupBinding", "CronJob"} <= kinds
    assert {"HorizontalPodAutoscaler", "NetworkPolicy", "PodDisruptionBudget"} <= kinds
    assert "Secret" not in kinds
    for one in exported["items"]:
        assert "status" not in one
        assert not {"uid", "managedFields", "resourceVersion"} & set(one["metadata"])


def test_the_same_event_twice_makes_one_set_of_snapshots(operator: Operator) -> None:
    hour, mark = HOURS.take(), operator.api_mark()
    first, second = take(operator, hour), take(operator, hour)
    assert (first.output["outcome"], second.output["outcome"]) == ("COMPLETE", "DUPLICATE")
    assert first.name in second.output["reason"]
    assert len(database_snapshots(operator, hour)) == 1
    assert len(operator.api_calls("rds:CreateDBSnapshot", after=mark)) == 1
    assert record_of(operator, second).outcome == "DUPLICATE"
    assert "manifest" not in record_of(operator, second).facts


def test_two_deliveries_at_once_make_one_set_of_snapshots(operator: Operator) -> None:
    hour, mark = HOURS.take(), operator.api_mark()
    arns = [begin(operator, hour) for _ in range(2)]
    done = [operator.wait(arn) for arn in arns]
    assert sorted(one.output["outcome"] for one in done) == ["COMPLETE", "DUPLICATE"]
    assert len(operator.api_calls("rds:CreateDBSnapshot", after=mark)) == 1


def test_a_run_that_overlaps_with_the_hour_before_is_refused_and_told(operator: Operator) -> None:
    operator.engine_fault("rds", operation="CreateDBSnapshot", seconds=6, times=1)
    earlier, later = HOURS.take(), HOURS.take()
    running = begin(operator, earlier)
    operator.wait_for_state(running, "WaitForSnapshots")
    with told(operator, "SNAPSHOT_REFUSED") as messages:
        refused = take(operator, later)
        assert (refused.status, refused.error) == ("FAILED", "SnapshotRefused")
        assert running.rpartition(":")[2] in str(refused.cause)
        assert [message["execution"] for message in messages()] == [refused.arn]
    assert operator.wait(running).output["outcome"] == "COMPLETE"
    assert database_snapshots(operator, later) == {}


def test_a_run_that_died_half_way_is_run_again_and_finds_its_snapshots(operator: Operator) -> None:
    operator.engine_fault("rds", operation="CreateDBSnapshot", seconds=5, times=1)
    hour = HOURS.take()
    died = begin(operator, hour)
    operator.wait_for_state(died, "WaitForSnapshots")
    operator.clients["stepfunctions"].stop_execution(executionArn=died, cause="a hand slipped")
    holder = operator.ledger.holder("snapshot")
    assert holder is not None
    assert holder.owner == died
    again = take(operator, hour)
    assert again.output["outcome"] == "COMPLETE", again.cause
    left = operator.ledger.operation_of("snapshot", died.rpartition(":")[2])
    assert left is not None
    assert (left.outcome, again.name in str(left.outcome_reason)) == ("ABORTED", True)
    assert len(database_snapshots(operator, hour)) == 1
    taken = part(manifest_of(operator, again), Kind.DATABASE)
    tags = database_snapshots(operator, hour)[str(taken.id)]["TagList"]
    assert {"Key": "ops:run", "Value": died.rpartition(":")[2]} in tags


def test_a_dry_run_says_what_it_would_take_and_changes_nothing(operator: Operator) -> None:
    hour, mark = HOURS.take(), operator.api_mark()
    keys = operator.keys()
    done = take(operator, hour, dry_run=True)
    assert (done.status, done.output["outcome"]) == ("SUCCEEDED", "PLANNED")
    plan = done.output["plan"]
    assert operator.config.name in {one["resource"] for one in plan["take"]}
    assert (
        operator.api_calls("rds:Create*", "rds:Delete*", "elasticache:Create*", "elasticache:Delete*", after=mark) == []
    )
    assert operator.keys() == keys
    assert operator.ledger.operation_of("snapshot", done.name) is None
    assert operator.ledger.holder("snapshot") is None


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"environment": "prod"}, "this is the environment dev"),
        ({"scheduled_at": "2020-01-01T00:00:00Z"}, "its hour is not taken"),
        ({"scheduled_at": "2099-01-01T00:00:00Z"}, "still to come"),
        ({"resources": ["nobody"]}, "nothing tagged backup=true that is called nobody"),
        ({"hour": 7}, "unknown `hour`"),
    ],
)
def test_what_cannot_be_meant_is_refused(operator: Operator, given: dict[str, object], why: str) -> None:
    keys = operator.keys("manifests/")
    done = operator.run(workflow="snapshot", **{"scheduled_at": timestamp(HOURS.take()), **given})
    assert (done.status, done.error) == ("FAILED", "SnapshotRefused")
    assert why in str(done.cause)
    assert record_of(operator, done).outcome == "REFUSED"
    assert operator.keys("manifests/") == keys
    assert operator.ledger.holder("snapshot") is None


@pytest.fixture
def queue(operator: Operator) -> Iterator[str]:
    """The key of the service's dump, which is made anew every five minutes, but not now; there again at the end."""
    key = "application-data/incoming/queue.db"
    client, namespace = administrator(operator.config), operator.config.service

    def suspend(suspended: bool) -> None:
        body = {"spec": {"suspend": suspended}}
        client.patch(CronJob, "queue-dump", body, namespace=namespace, patch_type=PatchType.MERGE)

    suspend(True)
    operator.until(
        lambda: client.get(CronJob, "queue-dump", namespace=namespace).status,
        lambda status: not (status and status.active),
        "the dump that is being made",
        seconds=60,
    )
    whole = operator.read(key)
    try:
        yield key
    finally:
        operator.write(key, whole, sha256=hashlib.sha256(whole).hexdigest())
        suspend(False)


def test_a_corrupt_dump_of_the_queue_makes_the_run_incomplete(operator: Operator, queue: str) -> None:
    whole = operator.read(queue)
    operator.write(queue, whole[:4096] + b"\xff" * (len(whole) - 4096))
    with told(operator, "SNAPSHOT_INCOMPLETE") as messages:
        done = take(operator, HOURS.take())
        assert (done.status, done.error) == ("FAILED", "SnapshotIncomplete")
        assert "application_data" in str(done.cause)
        assert [message["execution"] for message in messages()] == [done.arn]
    manifest = manifest_of(operator, done)
    data = part(manifest, Kind.DATA)
    assert data.status is Status.FAILED
    assert not data.id
    verified = {one.kind for one in manifest.components if one.status is Status.VERIFIED}
    assert verified == set(Kind) - {Kind.DATA}


def test_without_a_dump_of_the_queue_there_is_no_backup_of_it(operator: Operator, queue: str) -> None:
    operator.remove(queue)
    done = take(operator, HOURS.take(), components=["application_data"])
    assert "no dump" in str(part(manifest_of(operator, done), Kind.DATA).reason)


def test_a_state_that_is_none_is_not_verified(operator: Operator) -> None:
    bucket, key = operator.platform.terraform_state_bucket, operator.platform.terraform_state_key
    whole = operator.read(key, bucket)
    try:
        operator.write(key, b'{"version": 3}', bucket)
        done = take(operator, HOURS.take(), components=["terraform_state"])
    finally:
        operator.write(key, whole, bucket)
    state = part(manifest_of(operator, done), Kind.STATE)
    assert (state.status, "not a state of version 4" in str(state.reason)) == (Status.FAILED, True)


def test_contents_that_cannot_be_read_leave_the_database_unverified_and_the_backup_there(operator: Operator) -> None:
    operator.sql("ALTER ROLE ops_reader NOLOGIN")
    try:
        done = take(operator, HOURS.take(), components=["database"])
    finally:
        operator.sql("ALTER ROLE ops_reader LOGIN")
    database = part(manifest_of(operator, done), Kind.DATABASE)
    assert database.status is Status.FAILED
    assert "DatabaseLoginError" in str(database.reason)
    assert database_snapshots(operator)[str(database.id)]["Status"] == "available"


def complete_since(operator: Operator, began: datetime) -> list[float]:
    """What the metric that the alarm watches says, highest of each second."""
    dimensions = {
        "environment": operator.config.environment,
        "workflow": "snapshot",
        "service": operator.config.service,
    }

    def read() -> list[float]:
        found = operator.clients["cloudwatch"].get_metric_statistics(
            Namespace="DetectionOps",
            MetricName="SnapshotComplete",
            Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
            StartTime=began,
            EndTime=datetime.now(UTC) + timedelta(minutes=1),
            Period=3600,
            Statistics=["Maximum"],
        )
        return [point["Maximum"] for point in found["Datapoints"]]

    return operator.until(read, bool, "the metric", seconds=20)
