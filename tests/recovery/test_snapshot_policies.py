"""What the functions of a snapshot run may do, tried with their own roles."""

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config as ClientConfig
from botocore.exceptions import ClientError

from opskit.decisions.snapshot import snapshot_tags
from sandbox.operator import Operator
from tests.recovery.snapshots import HOURS, database_snapshots, settle, take

STEPS = (
    *("plan-snapshots", "capture-contents", "take-snapshots", "export-cluster", "copy-objects", "write-manifest"),
    *("prune-snapshots", "close-snapshot"),
)
REFUSED = {"AccessDenied", "AccessDeniedException"}


@pytest.fixture(scope="module")
def operator(everyone: Operator) -> Iterator[Operator]:
    settle(everyone)
    yield everyone
    settle(everyone)


@pytest.fixture(scope="module")
def client_of(operator: Operator) -> Callable[[str, str], Any]:
    """A client of a service with the role of a step."""

    def make(step: str, service: str) -> Any:
        function = f"{operator.config.name}-snapshot-{step}"
        role = operator.clients["lambda"].get_function_configuration(FunctionName=function)["Role"]
        given = operator.clients["sts"].assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
        return boto3.client(
            service,
            region_name=operator.config.region,
            endpoint_url=operator.clients[service].meta.endpoint_url,
            aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"],
            aws_session_token=given["SessionToken"],
            config=ClientConfig(retries={"total_max_attempts": 1}, proxies={}, s3={"addressing_style": "path"}),
        )

    return make


def refused(call: Callable[[], Any]) -> bool:
    with pytest.raises(ClientError) as caught:
        call()
    return caught.value.response["Error"]["Code"] in REFUSED


@pytest.mark.parametrize("step", STEPS)
def test_no_step_can_touch_the_database_or_the_cache(
    operator: Operator, client_of: Callable[[str, str], Any], step: str
) -> None:
    name = operator.config.name
    rds, elasticache = client_of(step, "rds"), client_of(step, "elasticache")
    assert refused(lambda: rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True))
    assert refused(lambda: rds.modify_db_instance(DBInstanceIdentifier=name, DeletionProtection=False))
    assert refused(lambda: elasticache.delete_replication_group(ReplicationGroupId=name))


@pytest.mark.parametrize("step", [step for step in STEPS if step != "prune-snapshots"])
def test_only_the_step_that_prunes_deletes(operator: Operator, client_of: Callable[[str, str], Any], step: str) -> None:
    hour = HOURS.take()
    name = f"{operator.config.name}-orders-{hour:%Y%m%d%H}"
    rds, elasticache = client_of(step, "rds"), client_of(step, "elasticache")
    assert refused(lambda: rds.delete_db_snapshot(DBSnapshotIdentifier=name))
    assert refused(lambda: elasticache.delete_snapshot(SnapshotName=name))


def test_the_step_that_prunes_deletes_nothing_but_ours(
    operator: Operator, client_of: Callable[[str, str], Any]
) -> None:
    admin, name = operator.clients["rds"], operator.config.name
    rds, hour = client_of("prune-snapshots", "rds"), HOURS.take()
    ours = snapshot_tags(operator.config.service, operator.config.environment, name, hour, "test")
    others = {
        f"{name}-by-hand": {},
        "elsewhere": ours,
        f"{name}-of-prod": ours | {"ops:environment": "prod"},
    }
    made = {**others, f"{name}-ours": ours}
    for snapshot, tags in made.items():
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        admin.create_db_snapshot(DBInstanceIdentifier=name, DBSnapshotIdentifier=snapshot, Tags=listed)
        settle(operator)
    for snapshot in others:
        assert refused(lambda snapshot=snapshot: rds.delete_db_snapshot(DBSnapshotIdentifier=snapshot))
    rds.delete_db_snapshot(DBSnapshotIdentifier=f"{name}-ours")
    assert others.keys() <= database_snapshots(operator).keys()
    for snapshot in others:
        admin.delete_db_snapshot(DBSnapshotIdentifier=snapshot)


def test_a_database_without_the_tag_cannot_be_snapshotted(
    operator: Operator, client_of: Callable[[str, str], Any]
) -> None:
    admin, name = operator.clients["rds"], operator.config.name
    rds, arn = client_of("take-snapshots", "rds"), operator.database(name)["DBInstanceArn"]

    def snapshot() -> None:
        rds.create_db_snapshot(DBInstanceIdentifier=name, DBSnapshotIdentifier=f"{name}-tried")

    admin.remove_tags_from_resource(ResourceName=arn, TagKeys=["backup"])
    try:
        assert refused(snapshot)
    finally:
        admin.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "backup", "Value": "true"}])


def test_the_steps_reach_the_objects_that_are_theirs_and_no_others(
    operator: Operator, client_of: Callable[[str, str], Any]
) -> None:
    assert take(operator, HOURS.take()).status in {"SUCCEEDED", "FAILED"}
    bucket, evidence = operator.platform.backup_bucket, f"{operator.config.name}-evidence-{operator.config.account}"
    (manifest, *_) = operator.keys("manifests/")
    for step in STEPS:
        s3 = client_of(step, "s3")
        assert refused(lambda s3=s3: s3.delete_object(Bucket=bucket, Key=manifest)), step
        assert refused(lambda s3=s3: s3.put_object(Bucket=bucket, Key="trust/database.pem", Body=b"")), step
        if step != "write-manifest":
            assert refused(lambda s3=s3: s3.put_object(Bucket=bucket, Key="manifests/x.json", Body=b"")), step
        if step != "close-snapshot":
            assert refused(lambda s3=s3: s3.put_object(Bucket=evidence, Key="evidence/x.json", Body=b"")), step
        if step != "copy-objects":
            state = operator.platform.terraform_state_bucket, operator.platform.terraform_state_key
            assert refused(lambda s3=s3, state=state: s3.get_object(Bucket=state[0], Key=state[1])), step
