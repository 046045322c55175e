"""JSONata state machines on the automation plane do what the States Language says."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.sandbox.fixtures.automation import Plane, running_plane

STEP = """
    class LockHeldError(Exception):
        pass

    class ThrottledError(Exception):
        pass

    attempts = 0

    def handler(event, context):
        global attempts
        attempts += 1
        match event.get("do"):
            case "held":
                raise LockHeldError("held by release-7")
            case "throttled" if attempts < 3:
                raise ThrottledError("slow down")
        return {"attempts": attempts, "event": event}
"""


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with running_plane(tmp_path_factory.mktemp("plane")) as running:
        yield running


def task(function: str, payload: Any, **fields: Any) -> dict[str, Any]:
    """A Task state that invokes a function and returns its payload."""
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": function, "Payload": payload},
        "Output": "{% $states.result.Payload %}",
        **({} if "Next" in fields else {"End": True}),
        **fields,
    }


def single(state: dict[str, Any]) -> dict[str, Any]:
    return {"StartAt": "Only", "States": {"Only": {"End": True, **state}}}


def test_assignments_take_effect_together_and_later_states_see_them(plane: Plane) -> None:
    states: dict[str, dict[str, Any]] = {
        "First": {"Type": "Pass", "Assign": {"a": 1, "b": "{% $states.input.b %}"}, "Next": "Second"},
        "Second": {
            "Type": "Pass",
            "Assign": {"a": "{% $b %}", "b": "{% $a %}"},
            "Output": {"then": "{% $a %}"},
            "Next": "Third",
        },
        "Third": {"Type": "Pass", "Output": {"a": "{% $a %}", "b": "{% $b %}", "then": "{% $states.input.then %}"}},
    }
    states["Third"]["End"] = True

    assert plane.output({"StartAt": "First", "States": states}, {"b": 2}) == {"a": 2, "b": 1, "then": 1}


def test_the_context_object_names_execution_machine_and_state(plane: Plane) -> None:
    definition = single({"Type": "Pass", "Output": "{% $states.context %}"})
    machine = plane.machine(definition)
    execution = plane.start(machine, {"image": "1.2.3"})

    context = json.loads(plane.ended(execution)["output"])

    assert context["Execution"]["Id"] == execution
    assert context["Execution"]["Name"] == execution.rsplit(":", 1)[1]
    assert context["Execution"]["Input"] == {"image": "1.2.3"}
    assert datetime.fromisoformat(context["Execution"]["StartTime"]).tzinfo is not None
    assert context["StateMachine"]["Id"] == machine
    assert context["State"]["Name"] == "Only"
    assert context["State"]["RetryCount"] == 0


def test_whole_numbers_stay_whole(plane: Plane) -> None:
    output = plane.output(single({"Type": "Pass", "Output": "{% {'n': 10 / 2, 'sum': $sum([1, 2]), 'f': 1 / 4} %}"}))

    assert json.dumps(output) == '{"n": 5, "sum": 3, "f": 0.25}'


def test_an_error_is_caught_by_its_class_name_with_assign_and_output(plane: Plane) -> None:
    function = plane.function(STEP)
    catch = {
        "ErrorEquals": ["LockHeldError"],
        "Assign": {"cause": "{% $parse($states.errorOutput.Cause) %}"},
        "Output": {"error": "{% $states.errorOutput.Error %}"},
        "Next": "Report",
    }
    states = {
        "Acquire": task(function, {"do": "held"}, Catch=[catch], Next="Done"),
        "Done": {"Type": "Succeed"},
        "Report": {
            "Type": "Pass",
            "Output": {"error": "{% $states.input.error %}", "message": "{% $cause.errorMessage %}"},
            "End": True,
        },
    }

    output = plane.output({"StartAt": "Acquire", "States": states})

    assert output == {"error": "LockHeldError", "message": "held by release-7"}


def test_a_named_error_is_retried_and_counted(plane: Plane) -> None:
    retry = {"ErrorEquals": ["ThrottledError"], "IntervalSeconds": 1, "BackoffRate": 1, "MaxAttempts": 4}
    state = task(plane.function(STEP), {"do": "throttled", "retries": "{% $states.context.State.RetryCount %}"})

    output = plane.output(single({**state, "Retry": [retry]}))

    assert output["attempts"] == 3
    assert output["event"]["retries"] == 2


def test_an_uncaught_error_fails_the_execution_by_name(plane: Plane) -> None:
    ended = plane.run(single(task(plane.function(STEP), {"do": "held"})))

    assert (ended["status"], ended["error"]) == ("FAILED", "LockHeldError")
    assert json.loads(ended["cause"])["errorMessage"] == "held by release-7"


def test_fail_may_compute_its_error_and_cause(plane: Plane) -> None:
    state = {
        "Type": "Fail",
        "Error": "{% $states.input.verdict & 'Error' %}",
        "Cause": "{% 'because of ' & $states.input.reason %}",
    }
    ended = plane.run({"StartAt": "End", "States": {"End": state}}, {"verdict": "Bake", "reason": "5xx"})

    assert (ended["error"], ended["cause"]) == ("BakeError", "because of 5xx")


def test_an_undefined_result_is_a_query_evaluation_error_and_can_be_caught(plane: Plane) -> None:
    catch = {"ErrorEquals": ["States.QueryEvaluationError"], "Next": "Caught"}
    states = {
        "Ask": task(plane.function(STEP), {"x": "{% $states.input.missing %}"}, Catch=[catch], Next="Never"),
        "Never": {"Type": "Fail", "Error": "NotCaught"},
        "Caught": {"Type": "Succeed", "Output": "{% $states.input.Error %}"},
    }

    assert plane.output({"StartAt": "Ask", "States": states}, {}) == "States.QueryEvaluationError"


def test_choice_assigns_by_rule_and_by_default(plane: Plane) -> None:
    rule = {"Condition": "{% $states.input.n > 10 %}", "Assign": {"size": "large"}, "Next": "Tell"}
    states = {
        "Size": {"Type": "Choice", "Choices": [rule], "Assign": {"size": "small"}, "Default": "Tell"},
        "Tell": {"Type": "Succeed", "Output": "{% $size %}"},
    }
    definition = {"StartAt": "Size", "States": states}

    assert plane.output(definition, {"n": 11}) == "large"
    assert plane.output(definition, {"n": 10}) == "small"


def test_wait_takes_its_seconds_from_an_expression(plane: Plane) -> None:
    definition = single({"Type": "Wait", "Seconds": "{% $states.input.pause + 1 %}"})
    execution = plane.start(plane.machine(definition), {"pause": 0})

    assert plane.ended(execution)["status"] == "SUCCEEDED"
    moments = {event["type"]: event["timestamp"] for event in plane.history(execution)}
    assert (moments["WaitStateExited"] - moments["WaitStateEntered"]).total_seconds() >= 1


def test_parallel_has_arguments_output_and_scopes_of_its_own(plane: Plane) -> None:
    def branch(name: str) -> dict[str, Any]:
        inner = {"Type": "Pass", "Assign": {"seen": name}, "Next": "Tell"}
        tell = {"Type": "Pass", "Output": "{% $seen & $outer & $states.input.given %}", "End": True}
        return {"StartAt": "Set", "States": {"Set": inner, "Tell": tell}}

    states = {
        "Outer": {"Type": "Pass", "Assign": {"outer": "-outer-"}, "Next": "Both"},
        "Both": {
            "Type": "Parallel",
            "Arguments": {"given": "{% $states.input.x %}"},
            "Branches": [branch("one"), branch("two")],
            "Assign": {"joined": "{% $join($states.result, '+') %}"},
            "Output": {"results": "{% $states.result %}"},
            "Next": "End",
        },
        "End": {"Type": "Succeed", "Output": "{% $joined %}"},
    }

    output = plane.output({"StartAt": "Outer", "States": states}, {"x": "x"})

    assert output == "one-outer-x+two-outer-x"


def test_a_failed_branch_ends_the_others_and_is_caught(plane: Plane) -> None:
    broken = {"StartAt": "Break", "States": {"Break": {"Type": "Fail", "Error": "Broken", "Cause": "by design"}}}
    slow = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 600, "End": True}}}
    catch = {"ErrorEquals": ["Broken"], "Next": "Caught"}
    states = {
        "Both": {"Type": "Parallel", "Branches": [slow, broken], "Catch": [catch], "End": True},
        "Caught": {"Type": "Succeed", "Output": "{% $states.input.Cause %}"},
    }

    assert plane.output({"StartAt": "Both", "States": states}) == "by design"


def test_map_runs_items_in_order_with_selector_and_index(plane: Plane) -> None:
    state = {
        "Type": "Map",
        "Items": "{% $states.input.names %}",
        "MaxConcurrency": 2,
        "ItemSelector": {
            "name": "{% $states.context.Map.Item.Value %}",
            "index": "{% $states.context.Map.Item.Index %}",
        },
        "ItemProcessor": single({"Type": "Pass", "Output": "{% $states.input.name & $string($states.input.index) %}"}),
    }

    assert plane.output(single(state), {"names": ["a", "b", "c"]}) == ["a0", "b1", "c2"]
    assert plane.output(single(state), {"names": []}) == []


def test_a_role_that_may_not_invoke_the_function_fails_the_task(plane: Plane) -> None:
    role = plane.role(service="states.amazonaws.com")
    machine = plane.machine(single(task(plane.function(STEP), {})), role=role)

    ended = plane.ended(plane.start(machine))

    assert ended["error"] == "Lambda.AWSLambdaException"
    assert "is not authorized to perform: lambda:InvokeFunction" in ended["cause"]


def test_the_history_tells_progress_with_times_names_and_reasons(plane: Plane) -> None:
    function = plane.function(STEP)
    before = datetime.now(UTC)
    catch = {"ErrorEquals": ["States.ALL"], "Next": "Caught"}
    states = {
        "Good": task(function, {"do": "nothing"}, Next="Bad"),
        "Bad": task(function, {"do": "held"}, Catch=[catch]),
        "Caught": {"Type": "Fail", "Error": "RolledBack", "Cause": "the lock was held"},
    }
    execution = plane.start(plane.machine({"StartAt": "Good", "States": states}))
    plane.ended(execution)

    history = plane.history(execution)

    assert [event["type"] for event in history] == [
        "ExecutionStarted",
        "TaskStateEntered",
        "TaskScheduled",
        "TaskStarted",
        "TaskSucceeded",
        "TaskStateExited",
        "TaskStateEntered",
        "TaskScheduled",
        "TaskStarted",
        "TaskFailed",
        "TaskStateExited",
        "FailStateEntered",
        "ExecutionFailed",
    ]
    assert [event["id"] for event in history] == list(range(1, 14))
    assert [event["previousEventId"] for event in history[1:]] == list(range(1, 13))
    assert history[1]["stateEnteredEventDetails"]["name"] == "Good"
    assert history[5]["stateExitedEventDetails"]["name"] == "Good"
    assert history[9]["taskFailedEventDetails"]["error"] == "LockHeldError"
    assert history[9]["taskFailedEventDetails"]["resource"] == "invoke"
    assert history[12]["executionFailedEventDetails"] == {"error": "RolledBack", "cause": "the lock was held"}
    assert any(event["timestamp"].microsecond for event in history)
    assert abs((history[0]["timestamp"] - before).total_seconds()) < 60
    assert [event["timestamp"] for event in history] == sorted(event["timestamp"] for event in history)
