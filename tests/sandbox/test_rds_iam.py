"""RDS with the real automation plane: policies, IAM authentication, the managed password, events."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from pg8000.exceptions import DatabaseError

from sandbox.postgres import tokens
from tests.sandbox.fixtures.automation import Plane, eventually, running_plane
from tests.sandbox.fixtures.databases import Databases, quick, running_databases


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with running_plane(tmp_path_factory.mktemp("planes")) as plane:
        yield plane


@pytest.fixture(scope="module")
def databases(plane: Plane) -> Iterator[Databases]:
    with running_databases(quick(plane.config)) as databases:
        yield databases


@pytest.fixture(scope="module")
def instance(databases: Databases) -> dict[str, Any]:
    found = databases.create("iam", EnableIAMDatabaseAuthentication=True)
    with databases.session(found) as session:
        for user in ("heartbeat", "reader"):
            session.run(f"CREATE ROLE {user} LOGIN")
            session.run(f"GRANT rds_iam TO {user}")
        session.run("GRANT INSERT ON t TO heartbeat")
    return found


class Holder:
    """Who holds the session of a role with a policy of its own."""

    def __init__(self, plane: Plane, *statements: dict[str, Any]) -> None:
        iam, sts, name = plane.client("iam"), plane.client("sts"), f"role-{time.time_ns()}"
        trust = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}, "Action": "sts:AssumeRole"}
        role = iam.create_role(
            RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        )["Role"]
        document = {"Version": "2012-10-17", "Statement": list(statements)}
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(document))
        session = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="session")["Credentials"]
        self.credentials = {
            "aws_access_key_id": session["AccessKeyId"],
            "aws_secret_access_key": session["SecretAccessKey"],
            "aws_session_token": session["SessionToken"],
        }

    def client(self, databases: Databases, **change: str) -> Any:
        return boto3.client(
            "rds",
            endpoint_url=databases.config.platform_url,
            region_name="us-east-1",
            **{**self.credentials, **change},  # type: ignore[arg-type]
        )

    def token(self, databases: Databases, instance: dict[str, Any], user: str, **change: str) -> str:
        address, port = instance["Endpoint"]["Address"], instance["Endpoint"]["Port"]
        token: str = self.client(databases, **change).generate_db_auth_token(address, port, user, "us-east-1")
        return token


def connect_as(instance: dict[str, Any], user: str) -> dict[str, Any]:
    resource = f"arn:aws:rds-db:us-east-1:000000000000:dbuser:{instance['DbiResourceId']}/{user}"
    return {"Effect": "Allow", "Action": "rds-db:connect", "Resource": resource}


@pytest.fixture(scope="module")
def holder(plane: Plane, databases: Databases, instance: dict[str, Any]) -> Holder:
    return Holder(plane, connect_as(instance, "heartbeat"))


def refused(databases: Databases, instance: dict[str, Any], user: str, password: str) -> str:
    with pytest.raises(DatabaseError) as caught, databases.session(instance, user, password):
        pass
    assert caught.value.args[0]["C"] == "28000"
    return str(caught.value.args[0]["M"])


def front_log(databases: Databases, instance: dict[str, Any]) -> str:
    directory = databases.config.dir / "engines" / "rds" / "instances" / instance["DbiResourceId"]
    return (directory / "front.log").read_text()


def test_a_token_opens_the_database_to_the_user_it_is_for(
    databases: Databases, instance: dict[str, Any], holder: Holder
) -> None:
    with databases.session(instance, "heartbeat", holder.token(databases, instance, "heartbeat")) as session:
        session.run("INSERT INTO t (n) VALUES (1)")
        assert session.run("SELECT current_user") == [["heartbeat"]]
        with pytest.raises(DatabaseError):
            session.run("SELECT n FROM t")
    assert databases.numbers(instance) == [1]


def test_the_administrator_s_own_keys_make_tokens_too(databases: Databases, instance: dict[str, Any]) -> None:
    rds = boto3.client("rds", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
    token = rds.generate_db_auth_token(instance["Endpoint"]["Address"], instance["Endpoint"]["Port"], "reader")
    with databases.session(instance, "reader", token) as session:
        assert session.run("SELECT current_user") == [["reader"]]


def test_what_is_not_a_valid_token_is_refused_and_the_log_says_why(
    databases: Databases, instance: dict[str, Any], holder: Holder
) -> None:
    good = holder.token(databases, instance, "heartbeat")
    elsewhere = {"Endpoint": {**instance["Endpoint"], "Address": "database.detection-api.internal"}}
    for user, password, why in (
        ("heartbeat", "a-password", "not an authentication token"),
        ("reader", good, "the token is for 'heartbeat'"),
        ("reader", holder.token(databases, instance, "reader"), "rds-db:connect on"),
        ("heartbeat", good[:-4] + ("0000" if good[-4:] != "0000" else "1111"), "the signature is not that of"),
        ("heartbeat", good.replace("X-Amz-Expires=900", "X-Amz-Expires=800"), "the signature is not that of"),
        (
            "heartbeat",
            holder.token(databases, instance, "heartbeat", aws_secret_access_key="guessed"),
            "the signature is not that of",
        ),
        (
            "heartbeat",
            holder.token(databases, instance, "heartbeat", aws_session_token="made-up"),
            "the signature is not that of",
        ),
        ("heartbeat", holder.token(databases, elsewhere, "heartbeat"), "the token is for database."),
    ):
        message = refused(databases, instance, user, password)
        assert message == f'PAM authentication failed for user "{user}"'
        assert why in front_log(databases, instance).splitlines()[-1]


def test_a_token_is_valid_for_fifteen_minutes(databases: Databases, instance: dict[str, Any], holder: Holder) -> None:
    text = holder.token(databases, instance, "heartbeat")
    address, port = instance["Endpoint"]["Address"], instance["Endpoint"]["Port"]
    now = datetime.now(UTC)

    def read(after: timedelta) -> tokens.Token:
        return tokens.read(text, host=address, port=port, user="heartbeat", region="us-east-1", now=now + after)

    assert read(timedelta(minutes=14)).access_key_id == holder.credentials["aws_access_key_id"]
    for wrong in (timedelta(minutes=15), timedelta(minutes=-6)):
        with pytest.raises(tokens.TokenError, match="not valid now"):
            read(wrong)


def test_iam_authentication_can_be_switched_off_and_on(
    databases: Databases, instance: dict[str, Any], holder: Holder
) -> None:
    for enabled in (False, True):
        databases.rds.modify_db_instance(DBInstanceIdentifier="iam", EnableIAMDatabaseAuthentication=enabled)
        assert databases.available("iam")["IAMDatabaseAuthenticationEnabled"] is enabled
        token = holder.token(databases, instance, "heartbeat")
        if enabled:
            eventually(lambda token=token: opens(databases, instance, token))
        else:
            refused(databases, instance, "heartbeat", token)
    # Passwords work all the time.
    assert databases.numbers(instance)


def opens(databases: Databases, instance: dict[str, Any], token: str) -> bool:
    try:
        with databases.session(instance, "heartbeat", token):
            return True
    except DatabaseError:
        return False


def test_policies_hold_by_name_and_by_tag(plane: Plane, databases: Databases, instance: dict[str, Any]) -> None:
    prefix = "arn:aws:rds:us-east-1:000000000000"
    drill = Holder(
        plane,
        {"Effect": "Allow", "Action": ["rds:Describe*", "rds:ListTagsForResource"], "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": "rds:CreateDBSnapshot",
            "Resource": [f"{prefix}:db:iam", f"{prefix}:snapshot:hourly-*"],
        },
        {
            "Effect": "Allow",
            "Action": ["rds:RestoreDBInstanceFromDBSnapshot", "rds:AddTagsToResource"],
            "Resource": [f"{prefix}:{name}" for name in ("db:drill-*", "snapshot:*", "pg:*", "og:*", "subgrp:*")],
        },
        {
            "Effect": "Allow",
            "Action": "rds:DeleteDBInstance",
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:ResourceTag/dr:drill-id": "42"}},
        },
    ).client(databases)
    tags = [{"Key": "dr:drill-id", "Value": "42"}]
    for call, params in (
        (drill.create_db_snapshot, {"DBInstanceIdentifier": "iam", "DBSnapshotIdentifier": "mine"}),
        (drill.create_db_snapshot, {"DBInstanceIdentifier": "iam", "DBSnapshotIdentifier": "hourly-1", "Tags": tags}),
        (drill.delete_db_instance, {"DBInstanceIdentifier": "iam", "SkipFinalSnapshot": True}),
        (drill.modify_db_instance, {"DBInstanceIdentifier": "iam", "DeletionProtection": False}),
    ):
        if params.get("DBSnapshotIdentifier") == "hourly-1":
            # Tags need a permission of their own, which is given for snapshots here.
            call(**params)
            continue
        with pytest.raises(ClientError) as caught:
            call(**params)
        assert caught.value.response["Error"]["Code"] == "AccessDenied"
    databases.available("iam")
    restore = {"DBSnapshotIdentifier": "hourly-1", "BackupRetentionPeriod": 0, "Tags": tags}
    with pytest.raises(ClientError, match="not authorized to perform: rds:RestoreDBInstanceFromDBSnapshot"):
        drill.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="production-2", **restore)
    drill.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="drill-1", **restore)
    databases.available("drill-1")
    drill.delete_db_instance(DBInstanceIdentifier="drill-1", SkipFinalSnapshot=True)
    databases.gone("drill-1")


def test_an_encrypted_copy_takes_the_right_to_the_key_and_its_own_tags(plane: Plane, databases: Databases) -> None:
    """RDS uses the customer's key with its caller's rights; `rds:req-tag` and `rds:db-tag` are RDS's own keys."""
    key = plane.client("kms").create_key()["KeyMetadata"]["Arn"]
    databases.create("keyed", StorageEncrypted=True, KmsKeyId=key)
    snapshot = databases.snapshot("keyed")
    drill = {"StringEquals": {"rds:req-tag/dr:drill-id": "42"}}
    statements: list[dict[str, Any]] = [
        {"Effect": "Allow", "Action": ["rds:Restore*", "rds:AddTags*"], "Resource": "*", "Condition": drill},
        {
            "Effect": "Allow",
            "Action": "rds:DeleteDBInstance",
            "Resource": "*",
            "Condition": {"StringEquals": {"rds:db-tag/dr:drill-id": "42"}},
        },
    ]
    through = {"StringEquals": {"kms:ViaService": "rds.us-east-1.amazonaws.com"}}
    grant = {"Bool": {"kms:GrantIsForAWSResource": "true"}}
    keyed = [
        {"Effect": "Allow", "Action": "kms:DescribeKey", "Resource": key, "Condition": through},
        {"Effect": "Allow", "Action": "kms:CreateGrant", "Resource": key, "Condition": {**through, **grant}},
    ]
    tags = [{"Key": "dr:drill-id", "Value": "42"}]
    restore: dict[str, Any] = {"DBInstanceIdentifier": "copy", "DBSnapshotIdentifier": snapshot}
    with pytest.raises(ClientError, match="not authorized to perform: kms:DescribeKey on resource"):
        Holder(plane, *statements).client(databases).restore_db_instance_from_db_snapshot(**restore, Tags=tags)
    holder = Holder(plane, *statements, *keyed).client(databases)
    with pytest.raises(ClientError, match="not authorized to perform: rds:RestoreDBInstanceFromDBSnapshot"):
        holder.restore_db_instance_from_db_snapshot(**restore)
    holder.restore_db_instance_from_db_snapshot(**restore, Tags=tags)
    databases.available("copy")
    with pytest.raises(ClientError, match="not authorized to perform: rds:DeleteDBInstance"):
        holder.delete_db_instance(DBInstanceIdentifier="keyed", SkipFinalSnapshot=True)
    holder.delete_db_instance(DBInstanceIdentifier="copy", SkipFinalSnapshot=True)
    databases.gone("copy")


def test_a_managed_password_is_in_a_secret(plane: Plane, databases: Databases) -> None:
    found = databases.create("managed", ManageMasterUserPassword=True)
    secrets = plane.client("secretsmanager")
    arn = found["MasterUserSecret"]["SecretArn"]

    def password() -> str:
        return str(json.loads(secrets.get_secret_value(SecretId=arn)["SecretString"])["password"])

    before = password()
    with databases.session(found, password=before) as session:
        assert session.run("SELECT current_user") == [["owner"]]
    databases.rds.modify_db_instance(
        DBInstanceIdentifier="managed", RotateMasterUserPassword=True, ApplyImmediately=True
    )
    databases.available("managed")
    assert password() != before
    with databases.session(found, password=password()) as session:
        assert session.run("SELECT current_user") == [["owner"]]
    databases.delete("managed")
    with pytest.raises(ClientError):
        secrets.get_secret_value(SecretId=arn)


def test_events_reach_a_rule_on_the_default_bus(plane: Plane, databases: Databases, instance: dict[str, Any]) -> None:
    sqs, events = plane.client("sqs"), plane.client("events")
    queue = sqs.create_queue(QueueName="rds")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["aws.rds"], "detail": {"EventID": ["RDS-EVENT-0042"]}}
    events.put_rule(Name="snapshots", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="snapshots", Targets=[{"Id": "1", "Arn": arn}])
    name = databases.snapshot("iam")
    (message,) = eventually(lambda: sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages"))
    event = json.loads(message["Body"])
    assert event["detail-type"] == "RDS DB Snapshot Event"
    assert event["detail"]["SourceIdentifier"] == name
    assert event["resources"] == [databases.described_snapshot(name)["DBSnapshotArn"]]
