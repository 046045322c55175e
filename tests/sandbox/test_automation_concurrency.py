"""More functions at the same time than the machine bears are throttled as on AWS, and a workflow outlasts that."""

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.automation.gaps.lambda_concurrency import AT_ONCE, QUOTA, THROTTLED
from tests.sandbox.fixtures.automation import Plane, eventually, running_plane

# One that ends when it is told to.
HELD = """
    import os, time

    def handler(event, context):
        directory = event["directory"]
        open(os.path.join(directory, context.aws_request_id), "w").close()
        while not os.path.exists(os.path.join(directory, "go")):
            time.sleep(0.05)
        return "went"
"""
QUICK = "def handler(event, context): return 'done'"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with running_plane(tmp_path_factory.mktemp("plane")) as running:
        yield running


class Crowd:
    """As many invocations as there may be."""

    def __init__(self, plane: Plane, directory: Path, calls: list["Future[Any]"]) -> None:
        self.calls = calls
        self._directory = directory
        eventually(lambda: len(list(directory.iterdir())) == len(calls), 60)

    def let_go(self) -> None:
        (self._directory / "go").touch()


@contextmanager
def crowded(plane: Plane, directory: Path) -> Iterator[Crowd]:
    function = plane.function(HELD, Timeout=55)
    directory.mkdir()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        calls = [pool.submit(plane.invoke, function, {"directory": str(directory)}) for _ in range(AT_ONCE)]
        try:
            yield Crowd(plane, directory, calls)
        finally:
            (directory / "go").touch()


def test_beyond_the_limit_an_invocation_is_throttled_and_those_before_it_are_not(plane: Plane, tmp_path: Path) -> None:
    function = plane.function(QUICK)
    with crowded(plane, tmp_path / "held") as crowd:
        with pytest.raises(ClientError) as caught:
            plane.invoke(function)
        assert caught.value.response["Error"]["Code"] == "TooManyRequestsException"
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
        crowd.let_go()
        assert [call.result() for call in crowd.calls] == [("went", None)] * AT_ONCE
    assert plane.invoke(function) == ("done", None)


def test_a_workflow_sees_lambdas_own_error_and_comes_through_by_trying_again(plane: Plane, tmp_path: Path) -> None:
    state: dict[str, Any] = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": plane.function(QUICK)},
        "Output": "{% $states.result.Payload %}",
        "End": True,
    }
    patient = state | {"Retry": [{"ErrorEquals": [THROTTLED], "IntervalSeconds": 1, "MaxAttempts": 9}]}
    once, again = (plane.machine({"StartAt": "Only", "States": {"Only": one}}) for one in (state, patient))
    with crowded(plane, tmp_path / "held") as crowd:
        failing, waiting = plane.start(once), plane.start(again)
        failed = plane.ended(failing)
        assert (failed["status"], failed["error"]) == ("FAILED", THROTTLED)
        crowd.let_go()
        ended = plane.ended(waiting)
    assert (ended["status"], json.loads(ended["output"])) == ("SUCCEEDED", "done")


def test_a_function_without_any_concurrency_is_never_called_and_comes_through_once_it_has_some(plane: Plane) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html"""
    function, client = plane.function(QUICK), plane.client("lambda")
    machine = plane.machine(
        {
            "StartAt": "Only",
            "States": {
                "Only": {
                    "Type": "Task",
                    "Resource": "arn:aws:states:::lambda:invoke",
                    "Arguments": {"FunctionName": function},
                    "Output": "{% $states.result.Payload %}",
                    "Retry": [{"ErrorEquals": [THROTTLED], "IntervalSeconds": 1, "MaxAttempts": 99, "BackoffRate": 1}],
                    "End": True,
                }
            },
        }
    )
    client.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=0)
    with pytest.raises(ClientError, match="TooManyRequestsException"):
        plane.invoke(function)
    waiting = plane.start(machine)
    eventually(lambda: failures(plane, waiting) >= 2)
    client.delete_function_concurrency(FunctionName=function)
    ended = plane.ended(waiting)
    assert (ended["status"], json.loads(ended["output"])) == ("SUCCEEDED", "done")


def failures(plane: Plane, arn: str) -> int:
    """How often an execution's tasks were throttled."""
    return sum(event.get("taskFailedEventDetails", {}).get("error") == THROTTLED for event in plane.history(arn))


def test_what_is_invoked_asynchronously_waits_for_its_turn(plane: Plane, tmp_path: Path) -> None:
    function = plane.function(HELD)
    later = tmp_path / "later"
    later.mkdir()
    (later / "go").touch()
    with crowded(plane, tmp_path / "held") as crowd:
        plane.client("lambda").invoke(
            FunctionName=function, InvocationType="Event", Payload=json.dumps({"directory": str(later)})
        )
        with pytest.raises(ClientError, match="TooManyRequestsException"):
            plane.invoke(function, {"directory": str(later)})
        assert len(list(later.iterdir())) == 1, "it waits as well"
        crowd.let_go()
        eventually(lambda: len(list(later.iterdir())) == 2)


def test_the_accounts_quota_is_awss_and_what_is_reserved_is_taken_from_it(plane: Plane) -> None:
    function = plane.function(QUICK)
    client = plane.client("lambda")
    client.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=30)
    try:
        limits = client.get_account_settings()["AccountLimit"]
    finally:
        client.delete_function_concurrency(FunctionName=function)
    assert (limits["ConcurrentExecutions"], limits["UnreservedConcurrentExecutions"]) == (QUOTA, QUOTA - 30)
