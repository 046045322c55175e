"""Express workflows run like others, but cannot be looked at, stopped, or followed by events."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.fixtures.automation import Plane, eventually, running_plane


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with running_plane(tmp_path_factory.mktemp("plane")) as running:
        yield running


def publishing(topic: str, text: str) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::sns:publish",
        "Arguments": {"TopicArn": topic, "Message": text},
        "End": True,
    }


def express(plane: Plane, states: dict[str, Any]) -> str:
    allowed = {"Effect": "Allow", "Action": "sns:Publish", "Resource": "*"}
    definition = {"QueryLanguage": "JSONata", "StartAt": next(iter(states)), "States": states}
    answer = plane.client("stepfunctions").create_state_machine(
        name=f"express-{len(states)}",
        type="EXPRESS",
        definition=json.dumps(definition),
        roleArn=plane.role(allowed, service="states.amazonaws.com"),
    )
    return str(answer["stateMachineArn"])


def code_of(call: Callable[..., Any], **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


def test_it_does_its_work_and_its_end_is_no_event(plane: Plane) -> None:
    topic = plane.client("sns").create_topic(Name="told")["TopicArn"]
    url, _ = plane.queue(topic)
    ends, ends_arn = plane.queue()
    events = plane.client("events")
    events.put_rule(
        Name="ends", EventPattern=json.dumps({"source": ["aws.states"], "detail": {"status": ["SUCCEEDED"]}})
    )
    events.put_targets(Rule="ends", Targets=[{"Id": "queue", "Arn": ends_arn}])
    plane.start(express(plane, {"Tell": publishing(topic, "worked")}))
    assert plane.message(url)["Message"] == "worked"
    standard = plane.start(plane.machine({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}))
    assert plane.message(ends)["detail"]["executionArn"] == standard


def test_it_cannot_be_looked_at_or_stopped(plane: Plane) -> None:
    states = plane.client("stepfunctions")
    machine = express(plane, {"Wait": {"Type": "Wait", "Seconds": 30, "Next": "Done"}, "Done": {"Type": "Succeed"}})
    execution = plane.start(machine)
    assert code_of(states.describe_execution, executionArn=execution) == "InvalidArn"
    assert code_of(states.get_execution_history, executionArn=execution) == "InvalidArn"
    assert code_of(states.list_executions, stateMachineArn=machine) == "StateMachineTypeNotSupported"
    assert code_of(states.stop_execution, executionArn=execution) == "InvalidArn"


def test_a_standard_workflow_still_can(plane: Plane) -> None:
    states = plane.client("stepfunctions")
    machine = plane.machine({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
    execution = plane.start(machine)
    assert eventually(lambda: plane.ended(execution))["status"] == "SUCCEEDED"
    assert states.list_executions(stateMachineArn=machine)["executions"][0]["executionArn"] == execution
    assert states.get_execution_history(executionArn=execution)["events"]
