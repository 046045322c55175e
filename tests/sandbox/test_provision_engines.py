"""A sandbox with engines: what is provisioned, who may log in to the database, and an operator's hands on it."""

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from pg8000.native import DatabaseError

from opskit.platform import DATABASE_AUTHORITIES, Platform, endpoint_parameter
from sandbox.operator import Operator
from sandbox.platform.elasticache.exports import Exports
from sandbox.provision import database, roles, setup
from sandbox.supervisor import Options, sandbox
from tests.sandbox.fixtures.automation import archive

# What a function of the product does: a token for a user, and a statement with it.
LOGS_IN = """
    import os, ssl
    import boto3
    from pg8000 import native

    def handler(event, context):
        authorities = boto3.client("s3").get_object(Bucket=event["bucket"], Key=event["authorities"])["Body"].read()
        trust = ssl.create_default_context(cadata=authorities.decode())
        rds = boto3.client("rds")
        token = rds.generate_db_auth_token(event["host"], event["port"], event["user"])
        try:
            session = native.Connection(event["user"], host=event["host"], port=event["port"],
                database=event["database"], password=token, ssl_context=trust, timeout=5)
            try:
                return {"rows": [[str(cell) for cell in row] for row in session.run(event["statement"]) or []]}
            finally:
                session.close()
        except native.DatabaseError as error:
            return {"error": error.args[0]["C"], "message": error.args[0]["M"]}
"""


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    directory: Path = tmp_path_factory.mktemp("sandbox") / "sandbox"
    options = Options(setup=lambda config, progress: setup(config, progress, deploy=False, engines=True))
    with sandbox(directory, options) as config:
        yield Operator(config)


def with_driver(source: str) -> bytes:
    """A function's archive with the driver that the layer has."""
    content = io.BytesIO(archive(source))
    with zipfile.ZipFile(content, "a", zipfile.ZIP_DEFLATED) as files:
        for package in ("pg8000", "scramp", "asn1crypto"):
            for file in metadata.files(package) or ():
                if not file.as_posix().startswith(".."):
                    files.write(file.locate(), file)
    return content.getvalue()


def call(operator: Operator, user: str, statement: str, *, role: str) -> dict[str, Any]:
    """What a function with a role gets from the live database."""
    host, _, port = operator.endpoint("database").rpartition(":")
    client = operator.clients["lambda"]
    name = f"{role}-logs-in"
    try:
        client.create_function(
            FunctionName=name,
            Runtime="python3.13",
            Handler="handler.handler",
            Role=f"arn:aws:iam::{operator.config.account}:role/{role}",
            Code={"ZipFile": with_driver(LOGS_IN)},
            Timeout=20,
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceConflictException":
            raise
    event = {"host": host, "port": int(port), "user": user, "statement": statement, "database": database.DATABASE}
    event |= {"bucket": operator.platform.backup_bucket, "authorities": DATABASE_AUTHORITIES}
    answer = client.invoke(FunctionName=name, Payload=json.dumps(event).encode())
    result = json.loads(answer["Payload"].read())
    assert not answer.get("FunctionError"), result
    return dict(result)


def role(operator: Operator, name: str, *users: str) -> str:
    """A role that may read objects and log in as users, on whatever instance."""
    iam = operator.clients["iam"]
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    version = "2012-10-17"
    document = json.dumps({"Version": version, "Statement": [trust]})
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)
    statements = [
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"},
        *(
            {"Effect": "Allow", "Action": "rds-db:connect", "Resource": f"arn:aws:rds-db:*:*:dbuser:*/{user}"}
            for user in users
        ),
    ]
    policy = json.dumps({"Version": version, "Statement": statements})
    iam.put_role_policy(RoleName=name, PolicyName="policy", PolicyDocument=policy)
    return name


def test_the_contract_s_resources_are_there(operator: Operator) -> None:
    platform, clients = operator.platform, operator.clients
    found = operator.database()
    assert found["DBInstanceIdentifier"] == operator.config.name
    assert found["KmsKeyId"] == platform.database_key_arn
    assert {"Key": "backup", "Value": "true"} in found["TagList"]
    group = clients["elasticache"].describe_replication_groups(ReplicationGroupId=operator.config.name)
    (group,) = group["ReplicationGroups"]
    assert group["KmsKeyId"] == platform.cache_key_arn
    assert {"Key": "backup", "Value": "true"} in clients["elasticache"].list_tags_for_resource(
        ResourceName=group["ARN"]
    )["TagList"]
    for bucket in (platform.backup_bucket, platform.cache_export_bucket, platform.terraform_state_bucket):
        assert clients["s3"].get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert operator.read(DATABASE_AUTHORITIES) == (operator.config.tls_dir / "ca.pem").read_bytes()
    state = json.loads(operator.read(platform.terraform_state_key, platform.terraform_state_bucket))
    assert (state["version"], state["serial"] > 0, bool(state["lineage"])) == (4, True, True)
    vpc = next(one for one in state["resources"] if one["type"] == "aws_vpc")["instances"][0]["attributes"]["id"]
    assert clients["ec2"].describe_vpcs(VpcIds=[vpc])["Vpcs"]
    assert clients["rds"].describe_db_subnet_groups(DBSubnetGroupName=platform.drill_subnet_group)["DBSubnetGroups"]
    assert clients["elasticache"].describe_cache_subnet_groups(CacheSubnetGroupName=platform.drill_cache_subnet_group)
    assert clients["ec2"].describe_security_groups(GroupIds=[platform.drill_security_group_id])["SecurityGroups"]


def test_elasticache_may_export_to_its_bucket_and_to_no_other(operator: Operator) -> None:
    config, platform = operator.config, operator.platform
    exports = Exports(config.automation_url, region=config.region, account=config.account)
    exports.check_target(platform.cache_export_bucket, "x-0001.rdb")
    with pytest.raises(Exception, match="has not been granted READ"):
        exports.check_target(platform.backup_bucket, "x-0001.rdb")


def test_provisioning_again_leaves_the_endpoints_the_state_and_the_contract(operator: Operator) -> None:
    config, ssm, before = operator.config, operator.clients["ssm"], operator.platform
    name = endpoint_parameter(config.service, config.environment, "cache")
    live, state = operator.endpoint("cache"), (before.terraform_state_key, before.terraform_state_bucket)
    ssm.put_parameter(Name=name, Value="127.0.0.1:1", Overwrite=True)
    operator.write(state[0], b"moved on", state[1])
    try:
        setup(config, deploy=False, engines=True)
        assert operator.endpoint("cache") == "127.0.0.1:1"
        assert operator.read(*state) == b"moved on"
        assert Platform.load(config.service, config.environment, ssm) == before
        assert len(operator.clients["kms"].list_keys()["Keys"]) == 3
    finally:
        ssm.put_parameter(Name=name, Value=live, Overwrite=True)


def test_a_function_logs_in_as_whom_its_policy_names_and_as_nobody_else(operator: Operator) -> None:
    reader = role(operator, "reader", "ops_reader")
    assert call(operator, "ops_reader", "SELECT current_user", role=reader) == {"rows": [["ops_reader"]]}
    for other in ("ops_heartbeat", "detection_api", "postgres"):
        refused = call(operator, other, "SELECT current_user", role=reader)
        assert refused["error"] in ("28000", "28P01"), refused
    nobody = role(operator, "nobody")
    refused = call(operator, "ops_reader", "SELECT 1", role=nobody)
    assert (refused["error"], refused["message"]) == ("28000", 'PAM authentication failed for user "ops_reader"')


def test_whose_database_it_is_must_be_said(operator: Operator) -> None:
    asks = next(each for each in roles.statements(roles.FILE.read_text()) if "ops.service_role" in each)
    with pytest.raises(DatabaseError, match="say which role is the service's"):
        operator.sql(asks)


def test_what_each_role_of_the_database_may(operator: Operator) -> None:
    every = role(operator, "every", "ops_reader", "ops_heartbeat", "detection_api")

    def tried(user: str, statement: str) -> Any:
        answer = call(operator, user, statement, role=every)
        return answer.get("error") or answer["rows"]

    denied, read_only = "42501", "25006"
    assert tried("detection_api", "CREATE TABLE things (n int)") == []
    assert tried("detection_api", "INSERT INTO things VALUES (7)") == []
    assert tried("detection_api", "SELECT count(*) FROM ops.heartbeat") == denied
    assert tried("ops_heartbeat", "INSERT INTO ops.heartbeat DEFAULT VALUES RETURNING id") == [["1"]]
    assert tried("ops_heartbeat", "SELECT stamped_at <= clock_timestamp() FROM ops.heartbeat") == [["True"]]
    assert tried("ops_heartbeat", "UPDATE ops.heartbeat SET stamped_at = now()") == denied
    assert tried("ops_heartbeat", "SELECT * FROM things") == denied
    assert tried("ops_reader", "SELECT n FROM things") == [["7"]]
    assert tried("ops_reader", "SELECT count(*) FROM ops.heartbeat") == [["1"]]
    assert tried("ops_reader", "INSERT INTO things VALUES (8)") in (denied, read_only)
    assert tried("ops_reader", "CREATE TABLE mine (n int)") in (denied, read_only)
    assert tried("ops_heartbeat", "DELETE FROM ops.heartbeat") == []


STATEMENTS = {"DO", "GRANT", "REVOKE", "ALTER", "CREATE", "BEGIN", "RESET", "COMMIT"}


def test_the_roles_file_has_a_statement_between_empty_lines() -> None:
    found = list(roles.statements(roles.FILE.read_text()))
    assert all(one.split()[0] in STATEMENTS for one in found)
    assert not any(one.endswith(";") for one in found)
    assert list(roles.statements("-- a\n\n-- b\nSELECT 1;\n\nDO $$ BEGIN\n x;\nEND $$;\n")) == [
        "SELECT 1",
        "DO $$ BEGIN\n x;\nEND $$",
    ]


def test_the_operator_reads_and_changes_the_data(operator: Operator) -> None:
    operator.sql("CREATE TABLE IF NOT EXISTS counted (n int)")
    operator.sql("INSERT INTO counted VALUES (:n)", n=3)
    assert operator.sql("SELECT n FROM counted", instance=operator.config.name) == [[3]]
    with pytest.raises(LookupError):
        operator.sql("SELECT 1", instance="none")
    assert operator.cache().set("key", "value")
    assert operator.cache(operator.config.name).get("key") == b"value"
    operator.write("x/a.json", b"{}", sha256="abc")
    operator.tamper("x/a.json", lambda body: body + b" ")
    assert (operator.keys("x/"), operator.read("x/a.json")) == (["x/a.json"], b"{} ")
    head = operator.clients["s3"].head_object(Bucket=operator.platform.backup_bucket, Key="x/a.json")
    assert head["Metadata"] == {"sha256": "abc"}
    operator.remove("x/a.json")
    assert operator.keys("x/") == []


def test_the_operator_breaks_engines_and_sees_what_was_asked(operator: Operator) -> None:
    mark = operator.api_mark()
    with calmed(operator):
        operator.engine_fault("rds", operator.config.name, status="backing-up")
        assert operator.database()["DBInstanceStatus"] == "backing-up"
        operator.engine_fault("elasticache", error="Throttling", operation="DescribeReplicationGroups", times=1)
        with pytest.raises(AssertionError):
            operator.engine_fault("rds")
    assert operator.database()["DBInstanceStatus"] == "available"
    seen = operator.api_calls("rds:Describe*", after=mark)
    assert [one["action"] for one in seen] == ["rds:DescribeDBInstances"] * 2
    assert operator.api_calls("rds:CreateDBInstance")[0]["parameters"]["DBInstanceIdentifier"] == operator.config.name


def test_the_pulse_calls_the_heartbeat_and_outlives_its_failures(operator: Operator) -> None:
    operator.clients["lambda"].create_function(
        FunctionName=f"{operator.config.name}-objectives-stamp-heartbeat",
        Runtime="python3.13",
        Handler="handler.handler",
        Role=f"arn:aws:iam::{operator.config.account}:role/{role(operator, 'beating')}",
        Code={"ZipFile": archive(BEATS)},
    )
    with operator.pulse(0.01) as pulse:
        operator.until(lambda: pulse.beats, lambda beats: beats >= 2, "two beats", seconds=20)
    assert len(pulse.failures) == 1
    assert "the first one fails" in pulse.failures[0]


BEATS = """
    beats = []

    def handler(event, context):
        beats.append(1)
        if len(beats) == 1:
            raise RuntimeError("the first one fails")
        return {}
"""


@contextmanager
def calmed(operator: Operator) -> Iterator[None]:
    try:
        yield
    finally:
        operator.calm_engines()
