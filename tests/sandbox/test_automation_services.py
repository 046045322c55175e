"""What the workflows use of the other services behaves on the automation plane as on AWS."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from queue import Queue
from threading import Thread
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.fixtures.automation import Plane, eventually, running_plane


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with running_plane(tmp_path_factory.mktemp("plane")) as running:
        yield running


@pytest.fixture(scope="module")
def table(plane: Plane) -> str:
    plane.client("dynamodb").create_table(
        TableName="ledger",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        KeySchema=[
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
    )
    return "ledger"


def key(sort: str) -> dict[str, Any]:
    return {"pk": {"S": "service"}, "sk": {"S": sort}}


def test_a_transaction_checks_one_item_and_writes_another(plane: Plane, table: str) -> None:
    client = plane.client("dynamodb")
    client.put_item(TableName=table, Item={**key("LOCK"), "fence": {"N": "7"}})

    def record(fence: int) -> None:
        check = {
            "TableName": table,
            "Key": key("LOCK"),
            "ConditionExpression": "fence = :fence",
            "ExpressionAttributeValues": {":fence": {"N": str(fence)}},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        put = {
            "TableName": table,
            "Item": {**key("LIVE"), "fence": {"N": str(fence)}},
            "ConditionExpression": "attribute_not_exists(pk)",
        }
        client.transact_write_items(TransactItems=[{"ConditionCheck": check}, {"Put": put}])

    with pytest.raises(client.exceptions.TransactionCanceledException) as refused:
        record(6)
    reasons = refused.value.response["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == ["ConditionalCheckFailed", "None"]
    assert reasons[0]["Item"]["fence"] == {"N": "7"}
    assert "Item" not in client.get_item(TableName=table, Key=key("LIVE"))

    record(7)
    assert client.get_item(TableName=table, Key=key("LIVE"))["Item"]["fence"] == {"N": "7"}
    with pytest.raises(client.exceptions.TransactionCanceledException):
        record(7)


def test_a_transaction_needs_the_single_items_permissions(plane: Plane, table: str) -> None:
    source = """
        import boto3
        def handler(event, context):
            key = {"pk": {"S": "service"}, "sk": {"S": "LOCK"}}
            check = {"TableName": "ledger", "Key": key, "ConditionExpression": "attribute_exists(pk)"}
            put = {"TableName": "ledger", "Item": {"pk": {"S": "service"}, "sk": {"S": event}}}
            boto3.client("dynamodb").transact_write_items(TransactItems=[{"ConditionCheck": check}, {"Put": put}])
            return "written"
    """
    plane.client("dynamodb").put_item(TableName=table, Item=key("LOCK"))
    arn = "arn:aws:dynamodb:us-east-1:000000000000:table/ledger"

    def run(*actions: str) -> Any:
        role = plane.role({"Effect": "Allow", "Action": list(actions), "Resource": arn})
        return plane.invoke(plane.function(source, role=role), "by-function")[0]

    assert run("dynamodb:PutItem", "dynamodb:ConditionCheckItem") == "written"
    assert "dynamodb:ConditionCheckItem" in run("dynamodb:PutItem")["errorMessage"]


def test_a_conditional_update_returns_the_item_it_failed_on(plane: Plane, table: str) -> None:
    client = plane.client("dynamodb")
    client.put_item(TableName=table, Item={**key("HELD"), "holder": {"S": "release-7"}, "fence": {"N": "1"}})
    update = {
        "TableName": table,
        "Key": key("HELD"),
        "UpdateExpression": "SET holder = :me, fence = if_not_exists(fence, :zero) + :one",
        "ReturnValues": "ALL_NEW",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    values = {":zero": {"N": "0"}, ":one": {"N": "1"}}

    with pytest.raises(client.exceptions.ConditionalCheckFailedException) as refused:
        client.update_item(
            **update,
            ConditionExpression="attribute_not_exists(holder) OR holder = :me",
            ExpressionAttributeValues={**values, ":me": {"S": "release-8"}},
        )
    assert refused.value.response["Item"]["holder"] == {"S": "release-7"}

    done = client.update_item(
        **update,
        ConditionExpression="holder = :me",
        ExpressionAttributeValues={**values, ":me": {"S": "release-7"}},
    )
    assert done["Attributes"]["fence"] == {"N": "2"}


def test_a_locked_object_can_neither_be_deleted_nor_shortened(plane: Plane) -> None:
    s3 = plane.client("s3")
    s3.create_bucket(Bucket="evidence", ObjectLockEnabledForBucket=True)
    until = datetime.now(UTC) + timedelta(days=1)
    put = s3.put_object(
        Bucket="evidence",
        Key="evidence/1.json",
        Body=b"{}",
        ObjectLockMode="COMPLIANCE",
        ObjectLockRetainUntilDate=until,
        ChecksumAlgorithm="SHA256",
    )

    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(Bucket="evidence", Key="evidence/1.json", VersionId=put["VersionId"])
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object_retention(
            Bucket="evidence",
            Key="evidence/1.json",
            VersionId=put["VersionId"],
            Retention={"Mode": "COMPLIANCE", "RetainUntilDate": until - timedelta(hours=12)},
        )
    s3.delete_object(Bucket="evidence", Key="evidence/1.json")
    versions = s3.list_object_versions(Bucket="evidence")
    assert [version["VersionId"] for version in versions["Versions"]] == [put["VersionId"]]


def test_an_object_can_be_written_only_if_absent(plane: Plane) -> None:
    s3 = plane.client("s3")
    s3.create_bucket(Bucket="once")
    s3.put_object(Bucket="once", Key="1", Body=b"first", IfNoneMatch="*")

    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket="once", Key="1", Body=b"second", IfNoneMatch="*")


def test_parameters_by_path_come_in_pages(plane: Plane) -> None:
    ssm = plane.client("ssm")
    for number in range(13):
        ssm.put_parameter(Name=f"/detection-api/dev/platform/p{number}", Value=str(number), Type="String")

    pages = list(
        ssm.get_paginator("get_parameters_by_path").paginate(Path="/detection-api/dev/platform/", Recursive=True)
    )

    assert len(pages) == 2
    assert len({parameter["Name"] for page in pages for parameter in page["Parameters"]}) == 13


def test_a_topic_reaches_a_queue_and_an_http_endpoint(plane: Plane) -> None:
    received: Queue[dict[str, Any]] = Queue()

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.put(json.loads(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Endpoint) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        sns = plane.client("sns")
        topic = sns.create_topic(Name="operations")["TopicArn"]
        url, _ = plane.queue(topic)
        sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=f"http://127.0.0.1:{server.server_port}/")
        confirmation = received.get(timeout=10)
        sns.confirm_subscription(TopicArn=topic, Token=confirmation["Token"])

        attributes = {"outcome": {"DataType": "String", "StringValue": "SUCCEEDED"}}
        sns.publish(TopicArn=topic, Subject="Released", Message="{}", MessageAttributes=attributes)

        assert plane.message(url)["Subject"] == "Released"
        assert received.get(timeout=10)["Type"] == "Notification"
        server.shutdown()


def test_a_rule_starts_a_state_machine_with_a_transformed_input(plane: Plane) -> None:
    end = {"StartAt": "End", "States": {"End": {"Type": "Succeed"}}}
    machine = plane.machine(end)
    allowed = {"Effect": "Allow", "Action": "states:StartExecution", "Resource": machine}
    transformer = {
        "InputPathsMap": {"repository": "$.detail.repository-name", "digest": "$.detail.image-digest"},
        "InputTemplate": '{"image": "<repository>@<digest>", "requested_by": "push to the registry"}',
    }
    _, undelivered = plane.queue()
    bus = plane.client("events")
    bus.put_rule(Name="pushed", EventPattern=json.dumps({"source": ["aws.ecr"]}))
    target = {
        "Id": "release",
        "Arn": machine,
        "RoleArn": plane.role(allowed, service="events.amazonaws.com"),
        "InputTransformer": transformer,
        "DeadLetterConfig": {"Arn": undelivered},
        "RetryPolicy": {"MaximumEventAgeInSeconds": 900, "MaximumRetryAttempts": 10},
    }
    assert bus.put_targets(Rule="pushed", Targets=[target])["FailedEntryCount"] == 0

    detail = {"repository-name": "detection-api", "image-digest": "sha256:1", "result": "SUCCESS"}
    plane.ask("/_sandbox/events", {"source": "aws.ecr", "detail_type": "ECR Image Action", "detail": detail})

    states = plane.client("stepfunctions")
    started = eventually(lambda: states.list_executions(stateMachineArn=machine)["executions"])
    given = states.describe_execution(executionArn=started[0]["executionArn"])["input"]
    assert json.loads(given) == {"image": "detection-api@sha256:1", "requested_by": "push to the registry"}


def test_a_rule_invokes_a_function_with_the_event(plane: Plane) -> None:
    source = """
        import boto3
        def handler(event, context):
            name = "/seen" + event["detail"]["path"]
            boto3.client("ssm").put_parameter(Name=name, Value=event["source"], Type="String")
    """
    function = plane.function(source, role=plane.role({"Effect": "Allow", "Action": "ssm:*", "Resource": "*"}))
    bus = plane.client("events")
    rule = bus.put_rule(Name="own", EventPattern=json.dumps({"source": ["own.app"]}))["RuleArn"]
    plane.client("lambda").add_permission(
        FunctionName=function,
        StatementId="rule",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=rule,
    )
    bus.put_targets(Rule="own", Targets=[{"Id": "function", "Arn": function}])

    bus.put_events(Entries=[{"Source": "own.app", "DetailType": "Seen", "Detail": '{"path": "/one"}'}])

    ssm = plane.client("ssm")
    found = eventually(lambda: ssm.get_parameters(Names=["/seen/one"])["Parameters"])
    assert found[0]["Value"] == "own.app"


def test_an_event_whose_function_fails_for_good_is_in_the_dead_letter_queue(plane: Plane) -> None:
    function = plane.function("def handler(event, context): raise ValueError('no')")
    url, arn = plane.queue()
    client = plane.client("lambda")
    client.put_function_event_invoke_config(
        FunctionName=function,
        MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": arn}},
    )
    client.invoke(FunctionName=function, InvocationType="Event", Payload='{"n": 1}')

    letter = plane.message(url)

    assert letter["requestPayload"] == {"n": 1}
    assert letter["responsePayload"]["errorType"] == "ValueError"


def dead_letter(plane: Plane, url: str) -> tuple[dict[str, str], Any]:
    """The reasons in the next message of a dead-letter queue, and its event."""
    sqs = plane.client("sqs")
    found = eventually(lambda: sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"]).get("Messages"))
    reasons = {name: value["StringValue"] for name, value in found[0]["MessageAttributes"].items()}
    return reasons, json.loads(found[0]["Body"])


def test_an_event_that_may_not_reach_its_target_is_in_the_rules_dead_letter_queue(plane: Plane) -> None:
    url, undelivered = plane.queue()
    machine = plane.machine({"StartAt": "End", "States": {"End": {"Type": "Succeed"}}})
    function = plane.function("def handler(event, context): ...")
    missing = "arn:aws:lambda:us-east-1:000000000000:function:missing"
    powerless = plane.role(service="events.amazonaws.com")
    bus = plane.client("events")
    rule = bus.put_rule(Name="refused", EventPattern=json.dumps({"source": ["refused.app"]}))["RuleArn"]
    for target, role, code in (
        (machine, {"RoleArn": powerless}, "NO_PERMISSIONS"),
        (function, {}, "NO_PERMISSIONS"),
        (missing, {}, "NO_RESOURCE"),
    ):
        given = {"Id": "only", "Arn": target, "DeadLetterConfig": {"Arn": undelivered}, **role}
        bus.put_targets(Rule="refused", Targets=[given])
        bus.put_events(Entries=[{"Source": "refused.app", "DetailType": "x", "Detail": '{"n": 1}'}])

        reasons, event = dead_letter(plane, url)

        assert (reasons["ERROR_CODE"], reasons["TARGET_ARN"], reasons["RULE_ARN"]) == (code, target, rule)
        assert (event["source"], event["detail"]) == ("refused.app", {"n": 1})
        plane.client("sqs").purge_queue(QueueUrl=url)
    assert plane.client("stepfunctions").list_executions(stateMachineArn=machine)["executions"] == []


def test_an_event_is_tried_again_when_its_function_fails(plane: Plane) -> None:
    source = """
        calls = 0
        def handler(event, context):
            global calls
            calls += 1
            if calls < 3:
                raise ValueError("not yet")
            import boto3
            boto3.client("ssm").put_parameter(Name="/third-time", Value=str(calls), Type="String")
    """
    function = plane.function(source, role=plane.role({"Effect": "Allow", "Action": "ssm:*", "Resource": "*"}))
    bus = plane.client("events")
    rule = bus.put_rule(Name="again", EventPattern=json.dumps({"source": ["again.app"]}))["RuleArn"]
    plane.client("lambda").add_permission(
        FunctionName=function,
        StatementId="rule",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=rule,
    )
    bus.put_targets(Rule="again", Targets=[{"Id": "function", "Arn": function}])

    bus.put_events(Entries=[{"Source": "again.app", "DetailType": "x", "Detail": "{}"}])

    ssm = plane.client("ssm")
    assert eventually(lambda: ssm.get_parameters(Names=["/third-time"])["Parameters"])[0]["Value"] == "3"


def test_put_events_refuses_the_sources_of_aws(plane: Plane) -> None:
    entry = {"Source": "aws.ecr", "DetailType": "x", "Detail": "{}"}
    answer = plane.client("events").put_events(Entries=[entry])

    assert answer["FailedEntryCount"] == 1


def test_policies_can_be_simulated(plane: Plane) -> None:
    table = "arn:aws:dynamodb:us-east-1:000000000000:table/ledger"
    role = plane.role({"Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": table})

    answer = plane.client("iam").simulate_principal_policy(
        PolicySourceArn=role, ActionNames=["dynamodb:GetItem", "dynamodb:DeleteItem"], ResourceArns=[table]
    )

    decisions = {each["EvalActionName"]: each["EvalDecision"] for each in answer["EvaluationResults"]}
    assert decisions == {"dynamodb:GetItem": "allowed", "dynamodb:DeleteItem": "implicitDeny"}


def test_an_unknown_key_is_refused(plane: Plane) -> None:
    stranger = plane.client("ssm", aws_access_key_id="AKIAUNKNOWN", aws_secret_access_key="x")
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        stranger.get_parameter(Name="/x")


def test_a_schedule_invokes_its_target(plane: Plane) -> None:
    machine = plane.machine({"StartAt": "End", "States": {"End": {"Type": "Succeed"}}})
    allowed = {"Effect": "Allow", "Action": "states:StartExecution", "Resource": machine}
    plane.client("scheduler").create_schedule(
        Name="soon",
        ScheduleExpression=f"at({datetime.now(UTC) + timedelta(seconds=1):%Y-%m-%dT%H:%M:%S})",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={
            "Arn": machine,
            "RoleArn": plane.role(allowed, service="scheduler.amazonaws.com"),
            "Input": '{"by": "schedule"}',
        },
    )
    states = plane.client("stepfunctions")
    started = eventually(lambda: states.list_executions(stateMachineArn=machine)["executions"], 60)
    given = states.describe_execution(executionArn=started[0]["executionArn"])["input"]
    assert json.loads(given) == {"by": "schedule"}
