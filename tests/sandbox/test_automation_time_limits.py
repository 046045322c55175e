"""Timeouts, stops, callbacks and repeated starts on the automation plane."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.fixtures.automation import Plane, eventually, running_plane

SLEEP = """
    import time
    def handler(event, context):
        time.sleep(event["seconds"])
        return "awake"
"""
KEEP_TOKEN = """
    import boto3
    def handler(event, context):
        boto3.client("ssm").put_parameter(Name=event["name"], Value=event["token"], Type="String", Overwrite=True)
"""


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with running_plane(tmp_path_factory.mktemp("plane")) as running:
        yield running


@pytest.fixture(scope="module")
def sleeper(plane: Plane) -> str:
    return plane.function(SLEEP, Timeout=60)


@pytest.fixture(scope="module")
def token_keeper(plane: Plane) -> str:
    return plane.function(KEEP_TOKEN, role=plane.role({"Effect": "Allow", "Action": "ssm:*", "Resource": "*"}))


@pytest.fixture
def events(plane: Plane, request: pytest.FixtureRequest) -> Any:
    """A function that returns the details of the status events seen so far."""
    sqs, bus = plane.client("sqs"), plane.client("events")
    name = f"events-{abs(hash(request.node.name))}"
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["aws.states"], "detail-type": ["Step Functions Execution Status Change"]}
    bus.put_rule(Name=name, EventPattern=json.dumps(pattern))
    bus.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
    seen: list[dict[str, Any]] = []

    def look(execution: str) -> list[dict[str, Any]]:
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            seen.append(json.loads(message["Body"])["detail"])
        return [detail for detail in seen if detail["executionArn"] == execution]

    yield look
    bus.remove_targets(Rule=name, Ids=["queue"])
    bus.delete_rule(Name=name)


def invoke(function: str, payload: Any, **fields: Any) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": function, "Payload": payload},
        "End": True,
        **fields,
    }


def approval(function: str, name: str, **fields: Any) -> dict[str, Any]:
    payload = {"name": name, "token": "{% $states.context.Task.Token %}"}
    return invoke(function, payload, Resource="arn:aws:states:::lambda:invoke.waitForTaskToken", **fields)


def only(state: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"StartAt": "Only", "States": {"Only": state}, **fields}


def token_in(plane: Plane, name: str) -> str:
    ssm = plane.client("ssm")
    found = eventually(lambda: ssm.get_parameters(Names=[name])["Parameters"])
    return str(found[0]["Value"])


def test_an_execution_past_its_time_limit_is_timed_out(plane: Plane, sleeper: str, events: Any) -> None:
    states = {
        "Sleep": {**invoke(sleeper, {"seconds": 3}), "End": False, "Next": "After"},
        "After": {"Type": "Pass", "End": True},
    }
    states["Sleep"].pop("End")
    execution = plane.start(plane.machine({"StartAt": "Sleep", "States": states, "TimeoutSeconds": 1}))

    ended = plane.ended(execution)
    statuses = eventually(lambda: [d["status"] for d in events(execution)] == ["RUNNING", "TIMED_OUT"])

    assert ended["status"] == "TIMED_OUT"
    assert ended["stopDate"] > ended["startDate"]
    assert statuses
    assert plane.history(execution)[-1]["type"] == "ExecutionTimedOut"


def test_a_stopped_execution_stays_aborted_and_goes_no_further(plane: Plane, sleeper: str, events: Any) -> None:
    states = {
        "Sleep": invoke(sleeper, {"seconds": 2}, Next="After"),
        "After": {"Type": "Pass", "End": True},
    }
    states["Sleep"].pop("End")
    execution = plane.start(plane.machine({"StartAt": "Sleep", "States": states}))
    eventually(lambda: any(event["type"] == "TaskStarted" for event in plane.history(execution)))

    client = plane.client("stepfunctions")
    client.stop_execution(executionArn=execution, error="Operator", cause="wrong image")
    seen = eventually(lambda: [d for d in events(execution) if d["status"] == "ABORTED"])
    length = len(plane.history(execution))
    # The function's answer arrives after the stop and must change nothing.
    plane.invoke(sleeper, {"seconds": 2.5})

    ended = client.describe_execution(executionArn=execution)
    assert (ended["status"], ended["error"], ended["cause"]) == ("ABORTED", "Operator", "wrong image")
    assert plane.history(execution)[-1]["type"] == "ExecutionAborted"
    assert len(plane.history(execution)) == length
    assert len(seen) == 1
    assert seen[0]["stopDate"] >= seen[0]["startDate"]
    assert json.loads(seen[0]["input"]) is None


def test_stop_interrupts_a_wait_a_retry_and_a_callback(plane: Plane, token_keeper: str) -> None:
    missing = "arn:aws:lambda:us-east-1:000000000000:function:missing"
    retry = {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 600}
    entered = {
        "WaitStateEntered": {"Type": "Wait", "Seconds": 600, "End": True},
        "TaskFailed": invoke(missing, {}, Retry=[retry]),
        "TaskSubmitted": approval(token_keeper, "stopped"),
    }
    for event_type, state in entered.items():
        execution = plane.start(plane.machine(only(state)))
        eventually(
            lambda kind=event_type, arn=execution: any(e["type"] == kind for e in plane.history(arn))  # type: ignore[misc]
        )
        plane.client("stepfunctions").stop_execution(executionArn=execution)
        assert plane.ended(execution)["status"] == "ABORTED"
    with pytest.raises(ClientError, match="TaskTimedOut"):
        plane.client("stepfunctions").send_task_success(taskToken=token_in(plane, "stopped"), output="1")


def test_a_tasks_time_limit_may_be_an_expression_and_is_caught(plane: Plane, sleeper: str) -> None:
    catch = {"ErrorEquals": ["States.Timeout"], "Next": "Caught"}
    states = {
        "Sleep": invoke(sleeper, {"seconds": 5}, TimeoutSeconds="{% $states.input.limit %}", Catch=[catch]),
        "Caught": {"Type": "Succeed", "Output": "{% $states.input.Error %}"},
    }
    execution = plane.start(plane.machine({"StartAt": "Sleep", "States": states}), {"limit": 1})

    assert json.loads(plane.ended(execution)["output"]) == "States.Timeout"
    assert "TaskTimedOut" in [event["type"] for event in plane.history(execution)]


def test_a_callback_answers_its_task_once(plane: Plane, token_keeper: str) -> None:
    state = approval(token_keeper, "answered", Output="{% $states.result.decision %}")
    execution = plane.start(plane.machine(only(state)))
    token = token_in(plane, "answered")
    client = plane.client("stepfunctions")

    client.send_task_heartbeat(taskToken=token)
    with pytest.raises(ClientError, match="InvalidOutput"):
        client.send_task_success(taskToken=token, output="not json")
    client.send_task_success(taskToken=token, output='{"decision": "approved"}')

    assert json.loads(plane.ended(execution)["output"]) == "approved"
    with pytest.raises(ClientError, match="TaskTimedOut"):
        client.send_task_failure(taskToken=token, error="Rejected")
    with pytest.raises(ClientError, match="TaskDoesNotExist"):
        client.send_task_success(taskToken="unknown", output="1")


def test_a_callback_may_fail_its_task_by_name(plane: Plane, token_keeper: str) -> None:
    catch = {"ErrorEquals": ["ApprovalRejected"], "Next": "Caught"}
    states = {
        "Ask": approval(token_keeper, "rejected", Catch=[catch]),
        "Caught": {"Type": "Succeed", "Output": "{% $states.input.Cause %}"},
    }
    execution = plane.start(plane.machine({"StartAt": "Ask", "States": states}))

    plane.client("stepfunctions").send_task_failure(
        taskToken=token_in(plane, "rejected"), error="ApprovalRejected", cause="by the operator"
    )

    assert json.loads(plane.ended(execution)["output"]) == "by the operator"


@pytest.mark.parametrize("limit", ["TimeoutSeconds", "HeartbeatSeconds"])
def test_a_callback_that_does_not_come_is_a_timeout(plane: Plane, token_keeper: str, limit: str) -> None:
    catch = {"ErrorEquals": ["States.Timeout"], "Next": "Expired"}
    states = {
        "Ask": approval(token_keeper, f"late-{limit}", Catch=[catch], **{limit: 2}),
        "Expired": {"Type": "Succeed", "Output": "expired"},
    }
    execution = plane.start(plane.machine({"StartAt": "Ask", "States": states}))

    assert json.loads(plane.ended(execution)["output"]) == "expired"
    with pytest.raises(ClientError, match="TaskTimedOut"):
        plane.client("stepfunctions").send_task_success(taskToken=token_in(plane, f"late-{limit}"), output="1")


def test_a_function_that_fails_to_pass_on_its_token_fails_the_task(plane: Plane) -> None:
    broken = plane.function("class NoMailError(Exception): ...\ndef handler(event, context): raise NoMailError('x')")

    ended = plane.run(only(approval(broken, "never")))

    assert (ended["status"], ended["error"]) == ("FAILED", "NoMailError")


def test_the_same_start_again_returns_the_running_execution(plane: Plane) -> None:
    machine = plane.machine(only({"Type": "Wait", "Seconds": 600, "End": True}))
    client = plane.client("stepfunctions")
    start = {"stateMachineArn": machine, "name": "release-1"}

    first = client.start_execution(**start, input='{"image": "1", "x": 2}')
    again = client.start_execution(**start, input='{ "image": "1", "x": 2 }')
    assert (again["executionArn"], again["startDate"]) == (first["executionArn"], first["startDate"])

    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        client.start_execution(**start, input='{"image": "2"}')
    client.stop_execution(executionArn=first["executionArn"])
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        client.start_execution(**start, input='{"image": "1", "x": 2}')
    with pytest.raises(ClientError, match="InvalidExecutionInput"):
        client.start_execution(stateMachineArn=machine, input="not json")
