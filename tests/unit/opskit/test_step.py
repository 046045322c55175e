import json
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from aws_lambda_powertools.metrics import Metrics
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

import opskit
from opskit import clients
from opskit import step as step_module
from opskit.errors import (
    InvalidInputError,
    LockHeldError,
    LockLostError,
    PlatformContractError,
    ThrottledError,
    UnavailableError,
)
from opskit.evidence import Evidence
from opskit.ledger import Ledger, ReleaseRecord
from opskit.platform import PARAMETERS
from opskit.result import MOST_RESULT_BYTES
from opskit.settings import Settings
from opskit.step import Execution, Run, step
from opskit.verdict import Outcome

from .stand_ins import ENVIRONMENT, REGION, SERVICE, START, TABLE, ManualClock, once

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ENVIRON = {
    "OPS_SERVICE": SERVICE,
    "OPS_ENVIRONMENT": ENVIRONMENT,
    "LEDGER_TABLE": TABLE,
    "EVIDENCE_BUCKET": "shop-test-evidence-1",
    "TOPIC_ARN": "arn:aws:sns:eu-west-1:1:shop-test-operations",
}
ARN = "arn:aws:states:eu-west-1:123456789012:execution:shop-test-release:first"
EXECUTION = {"id": ARN, "name": "first", "start_time": "2026-11-23T12:00:00.123Z"}


@dataclass
class Context:
    aws_request_id: str = "request-1"
    invoked_function_arn: str = "arn:aws:lambda:eu-west-1:1:function:shop-test-release-shift-traffic"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A function's environment, and a process that has served no call yet."""
    for name in ("AWS_LAMBDA_FUNCTION_NAME", "_X_AMZN_TRACE_ID", "POWERTOOLS_TRACE_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    forget()
    yield
    forget()


def forget() -> None:
    for cached in (step_module._settings, step_module._logger, step_module._metrics, step_module._tracer):
        cached.cache_clear()
    clients.client.cache_clear()
    step_module._platforms = step_module._Platforms()
    # Powertools shares these among all instances in a process.
    Metrics(namespace="none", service="none").clear_metrics()
    Metrics._default_dimensions.clear()
    logging.getLogger(SERVICE).handlers.clear()
    for mark in ("init", "powertools_handler"):
        vars(logging.getLogger(SERVICE)).pop(mark, None)


def lines(captured: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in captured.readouterr().out.splitlines()]


def call(body: Any, event: Any = None) -> dict[str, Any]:
    """Decorate `body` as a step's handler and call it as Lambda does."""

    def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
        result: dict[str, Any] = body(event, run)
        return result

    handler.__module__ = "shift_traffic"
    return step(handler)({"execution": EXECUTION} if event is None else event, Context())


def test_a_handler_gets_its_run() -> None:
    runs: list[Run] = []
    call(lambda event, run: runs.append(run) or {})
    run = runs[0]
    assert run.settings == Settings.from_env(ENVIRON)
    assert run.execution == Execution(ARN, "first", datetime(2026, 11, 23, 12, 0, 0, 123000, tzinfo=UTC))
    assert (run.workflow, run.step, run.operation) == ("release", "shift_traffic", "release")
    assert isinstance(run.ledger, Ledger)
    assert isinstance(run.evidence, Evidence)
    assert run.ledger is run.ledger
    assert run.record_key == ReleaseRecord(ARN, "first", "release", run.execution.started_at).key


def test_the_operation_of_the_event_is_the_operation_of_the_run() -> None:
    event = {"execution": EXECUTION, "operation": "rollback"}
    assert call(lambda event, run: {"is": run.operation}, event) == {"is": "rollback"}


def test_what_a_handler_returns_is_returned() -> None:
    result = {"outcome": Outcome.PASS, "facts": {"n": 1, "p95": 0.5, "list": [None, True]}}
    assert call(lambda event, run: result) == result


def test_every_log_line_says_whose_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    call(lambda event, run: run.logger.info("shifting", extra={"weight": 10}) or {})
    told = lines(capsys)
    assert [line["message"] for line in told] == ["shifting", "finished"]
    assert told[0]["weight"] == 10
    for line in told:
        assert line["service"] == SERVICE
        assert line["execution_id"] == ARN
        assert line["execution_name"] == "first"
        assert line["step"] == "shift_traffic"
        assert line["environment"] == ENVIRONMENT
        assert line["operation"] == "release"
        assert line["function_request_id"] == "request-1"


def test_nothing_of_one_call_is_in_the_lines_of_the_next(capsys: pytest.CaptureFixture[str]) -> None:
    call(lambda event, run: run.logger.append_keys(colour="green") or {})
    capsys.readouterr()
    second = {"execution": EXECUTION | {"name": "second"}}
    call(lambda event, run: {}, second)
    (line,) = lines(capsys)
    assert line["execution_name"] == "second"
    assert "colour" not in line


def test_a_named_error_goes_through_and_is_logged_once(capsys: pytest.CaptureFixture[str]) -> None:
    def body(event: dict[str, Any], run: Run) -> dict[str, Any]:
        raise LockHeldError("held by second")

    with pytest.raises(LockHeldError, match="held by second"):
        call(body)
    (line,) = lines(capsys)
    assert (line["level"], line["message"], line["error"]) == ("ERROR", "held by second", "LockHeldError")
    assert line["execution_name"] == "first"
    assert "exception" not in line


def test_a_defect_goes_through_and_is_logged_with_its_trace(capsys: pytest.CaptureFixture[str]) -> None:
    def body(event: dict[str, Any], run: Run) -> dict[str, Any]:
        return {"x": event["no_such_key"]}

    with pytest.raises(KeyError):
        call(body)
    (line,) = lines(capsys)
    assert line["error"] == "KeyError"
    assert "no_such_key" in line["exception"]


def client_error(code: str, status: int) -> ClientError:
    response = {"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "DescribeRules")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("raised", "seen"),
    [
        (client_error("ThrottlingException", 400), ThrottledError),
        (client_error("Throttling", 400), ThrottledError),
        (client_error("SlowDown", 503), ThrottledError),
        (client_error("InternalError", 500), UnavailableError),
        (client_error("ServiceUnavailable", 503), UnavailableError),
        (EndpointConnectionError(endpoint_url="https://x"), UnavailableError),
        (ReadTimeoutError(endpoint_url="https://x"), UnavailableError),
        (client_error("OperationAborted", 409), UnavailableError),
        (client_error("ConditionalRequestConflict", 409), UnavailableError),
        (client_error("BucketAlreadyExists", 409), ClientError),
        (client_error("AccessDenied", 403), ClientError),
        (client_error("ConditionalCheckFailedException", 400), ClientError),
    ],
)
def test_passing_failures_of_aws_are_told_from_defects(
    raised: Exception, seen: type[Exception], capsys: pytest.CaptureFixture[str]
) -> None:
    def body(event: dict[str, Any], run: Run) -> dict[str, Any]:
        raise raised

    with pytest.raises(seen) as caught:
        call(body)
    assert type(caught.value) is seen
    assert caught.value is raised or caught.value.__cause__ is raised
    (line,) = lines(capsys)
    assert line["error"] == seen.__name__


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({"at": START}, r"shift_traffic returned what JSON cannot carry: result\.at is datetime"),
        ({"a": [{"b": {1, 2}}]}, r"result\.a\[0\]\.b is \{1, 2\} \(set\)"),
        ({"p95": float("nan")}, r"result\.p95 is nan \(float\)"),
        ({"a": {(1, 2): 3}}, "shift_traffic returned what JSON cannot carry: keys must be"),
        (None, "shift_traffic returned NoneType; a step returns a dict"),
        ([], "shift_traffic returned list; a step returns a dict"),
    ],
)
def test_what_json_cannot_carry_is_refused_in_the_step_that_made_it(result: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call(lambda event, run: result)


def test_a_result_too_large_for_step_functions_is_refused_in_the_step_that_made_it() -> None:
    room = MOST_RESULT_BYTES - len(json.dumps({"x": ""}))
    assert call(lambda event, run: {"x": "y" * room})
    with pytest.raises(ValueError, match="a step may return 250000"):
        call(lambda event, run: {"x": "y" * (room + 1)})


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"execution": None},
        {"execution": {"id": ARN, "name": "first"}},
        {"execution": EXECUTION | {"start_time": "soon"}},
        {"execution": EXECUTION | {"start_time": "2026-11-23T12:00:00"}},
    ],
)
def test_an_event_without_its_execution_is_refused(event: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match="must have `execution` with `id`, `name` and `start_time`"):
        call(lambda event, run: {}, event)


def test_an_event_that_is_no_object_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="shift_traffic takes an object, got list"):
        call(lambda event, run: {}, [])


def test_a_function_that_stands_alone_is_its_own_execution() -> None:
    runs: list[Run] = []

    @step(standalone=True)
    def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
        runs.append(run)
        return {}

    handler({"detail": {}}, Context())
    assert runs[0].execution.name == "request-1"
    assert runs[0].execution.id == Context.invoked_function_arn


def test_a_missing_variable_is_named_before_the_handler_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEDGER_TABLE")
    with pytest.raises(PlatformContractError, match="LEDGER_TABLE"):
        call(lambda event, run: pytest.fail("ran"))


def test_metrics_are_published_also_when_the_step_fails(capsys: pytest.CaptureFixture[str]) -> None:
    def body(event: dict[str, Any], run: Run) -> dict[str, Any]:
        run.metrics.add_metric(name="Refused", unit="Count", value=1)
        raise LockHeldError("held")

    with pytest.raises(LockHeldError):
        call(body)
    published = next(line for line in lines(capsys) if "_aws" in line)
    (told,) = published["_aws"]["CloudWatchMetrics"]
    assert told["Namespace"] == "DetectionOps"
    assert sorted(told["Dimensions"][0]) == ["environment", "service", "workflow"]
    assert (published["service"], published["environment"], published["workflow"]) == (SERVICE, ENVIRONMENT, "release")
    assert published["Refused"] == [1.0]


def test_a_second_call_publishes_its_own_metrics_only(capsys: pytest.CaptureFixture[str]) -> None:
    def count(value: int) -> None:
        call(lambda event, run: run.metrics.add_metric(name="Shifts", unit="Count", value=value) or {})

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        count(1)
        count(2)
        call(lambda event, run: {})
    published = [line for line in lines(capsys) if "_aws" in line]
    assert [line["Shifts"] for line in published] == [[1.0], [2.0]]
    assert [line["workflow"] for line in published] == ["release", "release"]


def test_the_platform_is_read_when_asked_for_and_kept_for_a_minute(mocked_aws: None) -> None:
    assert call(lambda event, run: {}) == {}, "a step that needs no platform reads none"
    ssm = boto3.client("ssm", region_name=REGION)
    for name in PARAMETERS:
        value = {"service_url": "http://x", "alarm_resources": "none"}.get(name, "arn:x")
        ssm.put_parameter(Name=f"/{SERVICE}/{ENVIRONMENT}/platform/{name}", Value=value, Type="String")
    clock, settings = ManualClock(), Settings.from_env(ENVIRON)
    platforms = step_module._Platforms()
    first = platforms.get(settings, clock)
    ssm.put_parameter(
        Name=f"/{SERVICE}/{ENVIRONMENT}/platform/service_url", Value="http://y", Type="String", Overwrite=True
    )
    clock.advance(59.9)
    assert platforms.get(settings, clock) is first
    clock.advance(0.1)
    assert platforms.get(settings, clock).service_url == "http://y"
    assert call(lambda event, run: {"url": run.platform.service_url}) == {"url": "http://y"}


def test_holding_renews_the_lock_of_the_event(dynamodb: "DynamoDBClient") -> None:
    clock = ManualClock()
    run = Run(
        settings=Settings.from_env(ENVIRON),
        execution=Execution(ARN, "first", START),
        load_platform=lambda: pytest.fail("not needed"),
        clock=clock,
    )
    lock = run.ledger.acquire(ARN, "release", 60)
    event = {"lock": lock.as_dict(), "settings": {"lease_seconds": 90}}
    clock.advance(30)
    assert run.hold(event) == lock
    holder = run.ledger.holder()
    assert holder is not None
    assert holder.lease_until == START + timedelta(seconds=120)
    run.hold(event, lease_seconds=600)
    holder = run.ledger.holder()
    assert holder is not None
    assert holder.lease_until == START + timedelta(seconds=630)
    run.ledger.release(lock)
    with pytest.raises(LockLostError):
        run.hold(event)


def test_clients_are_kept_between_calls_and_bounded_in_time(mocked_aws: None) -> None:
    first = clients.client("dynamodb")
    assert clients.client("dynamodb") is first
    assert first.meta.config.retries["mode"] == "standard"
    assert (first.meta.config.connect_timeout, first.meta.config.read_timeout) == (3, 10)


def test_a_sampled_call_is_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the real X-Ray SDK, in Lambda's mode: the step is a subsegment of the invocation's segment."""
    script = Path(__file__).with_name("traced_step.py")
    environ = os.environ | {
        "AWS_LAMBDA_FUNCTION_NAME": "shop-test-release-shift-traffic",
        "LAMBDA_TASK_ROOT": "/var/task",
        "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:1",
        "PYTHONPATH": str(Path(opskit.__file__).parent.parent),
    }
    sampled = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled="

    def run(**more: str) -> dict[str, Any]:
        answer = subprocess.run([sys.executable, str(script)], env=environ | more, capture_output=True, check=True)
        result: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
        return result

    assert run(_X_AMZN_TRACE_ID=f"{sampled}1") == {"loaded": True, "subsegments": ["## shift_traffic"]}
    assert run(_X_AMZN_TRACE_ID=f"{sampled}0") == {"loaded": False, "subsegments": []}
    assert run(_X_AMZN_TRACE_ID=f"{sampled}1", POWERTOOLS_TRACE_DISABLED="1") == {"loaded": False, "subsegments": []}


def test_a_step_that_does_not_connect_loads_no_heavy_module() -> None:
    """What a function does not use must not be in its cold start."""
    code = (
        "import sys, opskit.step; "
        "print([name for name in ('aws_xray_sdk', 'fastjsonschema', 'lightkube', 'requests', 'pydantic') "
        "if name in sys.modules])"
    )
    environ = os.environ | {"PYTHONPATH": str(Path(opskit.__file__).parent.parent)}
    answer = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, check=True, text=True)
    assert answer.stdout.strip() == "[]"


def test_the_ledgers_data_needs_no_aws() -> None:
    """The command line and the pure modules import it."""
    code = (
        "import sys, opskit.ledger, opskit.platform, opskit.evidence; "
        "print('boto3' in sys.modules, 'botocore' in sys.modules)"
    )
    environ = os.environ | {"PYTHONPATH": str(Path(opskit.__file__).parent.parent)}
    answer = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, check=True, text=True)
    assert answer.stdout.strip() == "False False"


def test_a_crash_in_between_is_seen_by_the_next_call(dynamodb: "DynamoDBClient") -> None:
    """A step that is retried by the state machine finds the lock that its first attempt took."""

    def body(event: dict[str, Any], run: Run) -> dict[str, Any]:
        return run.ledger.acquire(run.execution.id, "release", 60).as_dict()

    def lose() -> None:
        raise ReadTimeoutError(endpoint_url="https://dynamodb")

    with once(clients.client("dynamodb"), "after-call.dynamodb.PutItem", lose), pytest.raises(UnavailableError):
        call(body)
    assert call(body) == {"owner": ARN, "fence": 1, "superseded": None, "name": ""}


@pytest.mark.parametrize(
    ("arn", "machine"),
    [
        ("arn:aws:states:us-east-1:000000000000:execution:detection-api-dev-release:r1", "detection-api-dev-release"),
        (
            "arn:aws:states:us-east-1:000000000000:express:detection-api-dev-objectives:o1:6f0c",
            "detection-api-dev-objectives",
        ),
        ("arn:aws:lambda:us-east-1:000000000000:function:detection-api-dev-objectives-stamp-heartbeat", None),
    ],
)
def test_the_state_machine_is_in_the_arn_of_an_execution(arn: str, machine: str | None) -> None:
    assert Execution(arn, "x", datetime(2026, 11, 23, tzinfo=UTC)).state_machine == machine
