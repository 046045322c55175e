"""What the functions of a restore may do to production, tried with their own roles."""

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.config import Config as ClientConfig
from botocore.exceptions import ClientError

from sandbox.operator import Operator

STEPS = (
    *("plan-restore", "begin-restore", "check-copies", "discard-failed", "verify-restore", "request-cut-over"),
    *("cut-over", "verify-service", "retain-replaced", "swap-back", "close-restore", "repair-interrupted-restore"),
)
MAY_SWAP = {"cut-over", "swap-back", "repair-interrupted-restore"}
REFUSED = {"AccessDenied", "AccessDeniedException"}


@pytest.fixture(scope="module")
def client_of(everyone: Operator) -> Callable[[str, str], Any]:
    """A client of a service with the role of a step."""

    def make(step: str, service: str) -> Any:
        function = f"{everyone.config.name}-restore-{step}"
        role = everyone.clients["lambda"].get_function_configuration(FunctionName=function)["Role"]
        given = everyone.clients["sts"].assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
        return boto3.client(
            service,
            region_name=everyone.config.region,
            endpoint_url=everyone.clients[service].meta.endpoint_url,
            aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"],
            aws_session_token=given["SessionToken"],
            config=ClientConfig(retries={"total_max_attempts": 1}, proxies={}),
        )

    return make


def refused(call: Callable[[], Any]) -> bool:
    with pytest.raises(ClientError) as caught:
        call()
    return caught.value.response["Error"]["Code"] in REFUSED


@pytest.mark.parametrize("step", STEPS)
def test_no_step_can_delete_or_change_the_live_database_or_cache(everyone, client_of, step):
    live = everyone.database()["DBInstanceIdentifier"]
    rds, elasticache = client_of(step, "rds"), client_of(step, "elasticache")
    assert refused(lambda: rds.delete_db_instance(DBInstanceIdentifier=live, SkipFinalSnapshot=True))
    assert refused(lambda: rds.modify_db_instance(DBInstanceIdentifier=live, DeletionProtection=False))
    assert refused(lambda: elasticache.delete_replication_group(ReplicationGroupId=live))


@pytest.mark.parametrize("step", STEPS)
def test_only_the_steps_that_cut_over_can_move_an_endpoint(everyone, client_of, step):
    name = f"/{everyone.config.service}/{everyone.config.environment}/endpoints/database"
    here = everyone.endpoint("database")
    ssm = client_of(step, "ssm")
    if step in MAY_SWAP:
        ssm.put_parameter(Name=name, Value=here, Type="String", Overwrite=True)
    else:
        assert refused(lambda: ssm.put_parameter(Name=name, Value=here, Type="String", Overwrite=True))


def test_what_a_restore_made_can_be_deleted_until_it_is_backed_up_as_production_is(everyone, client_of):
    """By its tags: without the restore's, or with that of what is live, IAM refuses."""
    elasticache, admin = client_of("discard-failed", "elasticache"), everyone.clients["elasticache"]
    name = f"{everyone.config.name}-r2-tagged"
    made = admin.create_replication_group(
        ReplicationGroupId=name, ReplicationGroupDescription="x", Engine="redis", CacheNodeType="cache.t4g.medium",
        NumCacheClusters=1, CacheSubnetGroupName=everyone.config.name, Tags=[{"Key": "backup", "Value": "true"}],
    )["ReplicationGroup"]  # fmt: skip

    def status(_: object = None) -> str | None:
        found = admin.describe_replication_groups()["ReplicationGroups"]
        return next((str(one["Status"]) for one in found if one["ReplicationGroupId"] == name), None)

    def delete() -> Any:
        return elasticache.delete_replication_group(ReplicationGroupId=name)

    everyone.until(status, lambda seen: seen == "available", "the group", seconds=60)
    assert refused(delete)
    admin.add_tags_to_resource(ResourceName=made["ARN"], Tags=[{"Key": "ops:restore-id", "Value": "0123456789ab"}])
    assert refused(delete)
    admin.remove_tags_from_resource(ResourceName=made["ARN"], TagKeys=["backup"])
    delete()
    everyone.until(status, lambda seen: seen in (None, "deleting"), "the deletion", seconds=60)
