"""The automation plane says how often each API was used, by whom, and how much of it DynamoDB would be paid for."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox.fixtures.automation import Plane, running_plane


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with running_plane(tmp_path_factory.mktemp("plane")) as running:
        yield running


@pytest.fixture(scope="module")
def table(plane: Plane) -> str:
    plane.client("dynamodb").create_table(
        TableName="counted",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return "counted"


def counted(plane: Plane) -> dict[tuple[str, str], dict[str, Any]]:
    status, answer = plane.ask("/_sandbox/requests")
    assert status == 200
    return {(one["service"], one["operation"]): one for one in answer["requests"]}


def grown(plane: Plane, before: dict[tuple[str, str], dict[str, Any]]) -> dict[tuple[str, str], dict[str, int]]:
    """What came since, without zeros."""
    found = {}
    for key, now in counted(plane).items():
        then = before.get(key, {})
        more = {what: now[what] - then.get(what, 0) for what in now if isinstance(now[what], int)}
        if more["count"]:
            found[key] = {what: number for what, number in more.items() if number}
    return found


def test_requests_to_s3_are_counted_as_they_are_priced(plane: Plane) -> None:
    client = plane.client("s3")
    client.create_bucket(Bucket="counted")
    before = counted(plane)
    client.put_object(Bucket="counted", Key="a/b", Body=b"12345")
    client.get_object(Bucket="counted", Key="a/b")["Body"].read()
    client.copy_object(Bucket="counted", Key="c", CopySource="counted/a/b")
    client.list_objects_v2(Bucket="counted")
    found = grown(plane, before)
    assert {key: number["count"] for key, number in found.items()} == {
        ("s3", "PUT object"): 1,
        ("s3", "GET object"): 1,
        ("s3", "COPY object"): 1,
        ("s3", "LIST bucket"): 1,
    }
    assert found["s3", "PUT object"]["sent_bytes"] >= 5
    assert found["s3", "GET object"]["received_bytes"] == 5


def test_a_write_takes_a_unit_for_each_kilobyte_and_twice_as_many_in_a_transaction(plane: Plane, table: str) -> None:
    client, before = plane.client("dynamodb"), counted(plane)
    client.put_item(TableName=table, Item={"pk": {"S": "small"}})
    client.put_item(TableName=table, Item={"pk": {"S": "large"}, "body": {"S": "x" * 3000}})
    put = {"Put": {"TableName": table, "Item": {"pk": {"S": "1"}}}}
    client.transact_write_items(TransactItems=[put, {"Put": {"TableName": table, "Item": {"pk": {"S": "2"}}}}])
    found = grown(plane, before)
    assert (found["dynamodb", "PutItem"]["count"], found["dynamodb", "PutItem"]["write_units"]) == (2, 1 + 4)
    assert found["dynamodb", "TransactWriteItems"]["write_units"] == 2 * 2


def test_a_read_takes_a_unit_for_each_four_kilobytes(plane: Plane, table: str) -> None:
    client = plane.client("dynamodb")
    client.put_item(TableName=table, Item={"pk": {"S": "five"}, "body": {"S": "x" * 5000}})
    before = counted(plane)
    client.get_item(TableName=table, Key={"pk": {"S": "five"}})
    client.get_item(TableName=table, Key={"pk": {"S": "none"}})
    assert grown(plane, before)["dynamodb", "GetItem"]["read_units"] == 2 + 1


def test_it_is_said_who_asked(plane: Plane) -> None:
    role = plane.role({"Effect": "Allow", "Action": "ssm:GetParameter", "Resource": "*"})
    function = plane.function(
        """
        import boto3

        def handler(event, context):
            try:
                boto3.client("ssm").get_parameter(Name="/none")
            except Exception as error:
                return type(error).__name__
        """,
        role=role,
    )
    assert plane.invoke(function) == ("ParameterNotFound", None)
    asked = counted(plane)["ssm", "GetParameter"]
    assert (asked["principal"], asked["count"]) == (role.rpartition("/")[2], 1)
