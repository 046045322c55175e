"""Lambda functions on the automation plane fail, log and end as on AWS."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.sandbox.fixtures.automation import Plane, archive, eventually, running_plane

COUNTING = """
    calls = 0

    class LockHeldError(Exception):
        pass

    def handler(event, context):
        global calls
        calls += 1
        if event and event.get("fail"):
            raise LockHeldError("held by release-7")
        return {"calls": calls}
"""


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with running_plane(tmp_path_factory.mktemp("plane")) as running:
        yield running


def test_an_exception_is_reported_by_its_bare_class_name(plane: Plane) -> None:
    payload, error = plane.invoke(plane.function(COUNTING), {"fail": True})

    assert error == "Unhandled"
    assert payload["errorType"] == "LockHeldError"
    assert payload["errorMessage"] == "held by release-7"
    assert any("raise LockHeldError" in line for line in payload["stackTrace"])


def test_a_worker_outlives_an_exception(plane: Plane) -> None:
    function = plane.function(COUNTING)
    plane.invoke(function, {"fail": True})

    assert plane.invoke(function, {}) == ({"calls": 2}, None)


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("import a_module_that_is_missing", "Runtime.ImportModuleError"),
        ("def other(event, context): ...", "Runtime.HandlerNotFound"),
        ("raise ValueError('no table')", "ValueError"),
        ("def handler(event, context): return object()", "Runtime.MarshalError"),
        ("import os\ndef handler(event, context): os._exit(3)", "Runtime.ExitError"),
    ],
)
def test_failures_of_the_runtime_have_lambdas_names(plane: Plane, source: str, kind: str) -> None:
    payload, error = plane.invoke(plane.function(source), {})

    assert error == "Unhandled"
    assert payload["errorType"] == kind


def test_a_function_that_takes_too_long_is_ended_and_started_anew(plane: Plane) -> None:
    source = """
        import time
        def handler(event, context):
            if event["slow"]:
                time.sleep(60)
            return context.get_remaining_time_in_millis()
    """
    function = plane.function(source, Timeout=1)

    payload, _ = plane.invoke(function, {"slow": True})
    remaining, error = plane.invoke(function, {"slow": False})

    assert payload["errorType"] == "Sandbox.Timedout"
    assert "Task timed out after 1.00 seconds" in payload["errorMessage"]
    assert error is None
    assert 0 < remaining <= 1000


def test_only_the_layer_the_function_and_the_runtimes_own_packages_can_be_imported(plane: Plane) -> None:
    source = """
        import importlib.util
        def handler(event, context):
            return {name: importlib.util.find_spec(name) is not None for name in event}
    """
    content = archive("value = 1", "python/in_the_layer.py")
    layer = plane.client("lambda").publish_layer_version(LayerName="one", Content={"ZipFile": content})

    names = ["in_the_layer", "boto3", "ministack", "pytest", "opskit"]
    found, _ = plane.invoke(plane.function(source, Layers=[layer["LayerVersionArn"]]), names)

    expected = {"in_the_layer": True, "boto3": True, "ministack": False, "pytest": False, "opskit": False}
    assert found == expected


def test_workers_get_their_own_and_the_endpoint_variables_and_no_others(plane: Plane) -> None:
    source = """
        import os
        def handler(event, context):
            return dict(os.environ)
    """
    function = plane.function(source, Environment={"Variables": {"LEDGER_TABLE": "ledger"}})

    found, _ = plane.invoke(function)

    assert found["LEDGER_TABLE"] == "ledger"
    assert found["AWS_ENDPOINT_URL"] == plane.config.automation_url
    assert found["AWS_ENDPOINT_URL_ECR"] == plane.config.platform_url
    assert found["AWS_ACCESS_KEY_ID"].startswith("ASIA")
    assert found["_X_AMZN_TRACE_ID"].startswith("Root=1-")
    assert "AUTH" not in found
    assert "PYTEST_CURRENT_TEST" not in found


def test_what_a_function_prints_is_in_its_log_group(plane: Plane) -> None:
    function = plane.function("def handler(event, context): print('released', event)")
    plane.invoke(function, 7)

    group = f"/aws/lambda/{function.rsplit(':', 1)[1]}"
    events = plane.client("logs").filter_log_events(logGroupName=group)["events"]
    assert any("released 7" in event["message"] for event in events)


def test_a_functions_policy_is_enforced(plane: Plane) -> None:
    source = """
        import boto3
        def handler(event, context):
            client = boto3.client("ssm")
            client.get_parameter(Name="/allowed/one")
            client.get_parameter(Name="/refused/one")
    """
    ssm = plane.client("ssm")
    for name in ("/allowed/one", "/refused/one"):
        ssm.put_parameter(Name=name, Value="1", Type="String")
    resource = "arn:aws:ssm:us-east-1:000000000000:parameter/allowed/*"
    role = plane.role({"Effect": "Allow", "Action": "ssm:GetParameter", "Resource": resource})

    payload, _ = plane.invoke(plane.function(source, role=role))

    assert payload["errorType"] == "AccessDeniedException"
    assert "parameter/refused/one" in payload["errorMessage"]


def test_a_function_assumes_another_role_if_both_sides_allow_it(plane: Plane) -> None:
    source = """
        import boto3
        def handler(event, context):
            sts = boto3.client("sts")
            given = sts.assume_role(RoleArn=event, RoleSessionName="release")["Credentials"]
            other = boto3.client("sts", aws_access_key_id=given["AccessKeyId"],
                                 aws_secret_access_key=given["SecretAccessKey"],
                                 aws_session_token=given["SessionToken"])
            return other.get_caller_identity()["Arn"]
    """
    iam = plane.client("iam")
    mine = plane.role({"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"})

    def operator(name: str, principal: str) -> str:
        trust = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        return str(iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"])

    trusting = operator("cluster-operator", mine)
    wary = operator("wary-operator", plane.role())
    function = plane.function(source, role=mine)

    assumed, _ = plane.invoke(function, trusting)
    untrusted, _ = plane.invoke(function, wary)
    unallowed, _ = plane.invoke(plane.function(source), trusting)

    assert assumed == "arn:aws:sts::000000000000:assumed-role/cluster-operator/release"
    assert "AccessDenied" in untrusted["errorMessage"]
    assert "AccessDenied" in unallowed["errorMessage"]


def test_a_layer_is_loaded_before_a_function_that_has_it_is_called(tmp_path: Path) -> None:
    with running_plane(tmp_path) as plane:
        content = archive("value = 1", "python/in_the_layer.py")
        layer = plane.client("lambda").publish_layer_version(LayerName="one", Content={"ZipFile": content})
        loaded = eventually(lambda: psutil.Process(plane.process.pid).children())

        function = plane.function("import os\ndef handler(event, context): return os.getppid()")
        plane.client("lambda").update_function_configuration(FunctionName=function, Layers=[layer["LayerVersionArn"]])

        assert plane.invoke(function) == (loaded[0].pid, None)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_the_plane_even_in_the_middle_of_an_invocation(tmp_path: Path, number: signal.Signals) -> None:
    with running_plane(tmp_path) as plane:
        sleeping = plane.function("import time\ndef handler(event, context): time.sleep(300)", Timeout=300)
        idle = plane.function(COUNTING)
        plane.invoke(idle, {})
        plane.client("lambda").invoke(FunctionName=sleeping, InvocationType="Event", Payload="{}")
        parent = psutil.Process(plane.process.pid)

        def processes() -> list[psutil.Process]:
            """Both workers, and what they are copies of."""
            found = parent.children(recursive=True)
            return found if len(found) == 3 else []

        workers = eventually(processes)
        plane.process.send_signal(number)
        plane.process.wait(5)

        _, alive = psutil.wait_procs(workers, timeout=5)
        assert not alive
