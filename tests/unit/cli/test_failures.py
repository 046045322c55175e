import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.stub import Stubber

from cli.exits import MEANINGS, ExitCode, Failure
from cli.failures import explain
from cli.session import Choices, Session
from opskit import errors
from tests.unit.cli.conftest import Ops
from tests.unit.cli.given import REGION


def answered(code: str, message: str) -> ClientError:
    """The error as botocore makes it from a service's answer."""
    client: Any = boto3.client("stepfunctions", region_name=REGION)
    with Stubber(client) as stub:
        stub.add_client_error("start_execution", code, message)
        with pytest.raises(ClientError) as caught:
            client.start_execution(stateMachineArn=f"arn:aws:states:{REGION}:1:stateMachine:m")
    return caught.value


@pytest.mark.parametrize(
    ("code", "message", "exit_code", "words"),
    [
        (
            "AccessDeniedException",
            "User: arn:aws:iam::1:user/ann is not authorized to perform: states:StartExecution on resource: x",
            4,
            "access denied: states:StartExecution",
        ),
        ("AccessDenied", "no", 4, "access denied: StartExecution"),
        ("ExpiredTokenException", "The security token included in the request is expired", 4, "log in again"),
        ("UnrecognizedClientException", "The security token is invalid", 4, "check --profile"),
        ("ThrottlingException", "Rate exceeded", 1, "throttled"),
        (
            "StateMachineDoesNotExist",
            f"State Machine Does Not Exist: 'arn:aws:states:{REGION}:123456789012:stateMachine:shop-test-drill'",
            4,
            "there is no state machine shop-test-drill in region eu-west-1",
        ),
        ("StateMachineDoesNotExist", "x", 4, "there is no state machine in region eu-west-1"),
        ("NoSuchBucket", "x", 4, "there is no bucket"),
        ("ResourceNotFoundException", "x", 4, "there is no table shop-test-ledger"),
        ("ExecutionDoesNotExist", "x", 4, "no such execution"),
        ("ExecutionLimitExceeded", "too many", 1, "StartExecution failed: ExecutionLimitExceeded: too many"),
    ],
)
def test_what_a_service_answers_is_put_in_words(code: str, message: str, exit_code: int, words: str) -> None:
    failure = explain(answered(code, message), Session(Choices()))
    assert failure is not None
    assert failure.code == exit_code
    assert words in failure.message


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.PlatformContractError("listener_arn is missing"), 4),
        (errors.InvalidInputError("bad"), 2),
        (errors.LockHeldError("held by x"), 3),
        (errors.ClusterError("503"), 1),
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:1"), 4),
    ],
)
def test_named_errors_have_their_exit_codes(error: Exception, code: int) -> None:
    failure = explain(error, None)
    assert failure is not None
    assert failure.code == code


def test_a_defect_is_not_explained_away() -> None:
    assert explain(KeyError("x"), None) is None


def test_a_failure_is_its_own_explanation() -> None:
    failure = Failure(ExitCode.REFUSED, "X", "no")
    assert explain(failure, None) is failure


def test_an_endpoint_that_nobody_serves_is_unreachable(ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    ran = ops("status", "--json")
    assert (ran.code, ran.document["error"]) == (4, "EndpointConnectionError")
    assert "ops sandbox status" in ran.err


def test_missing_credentials_are_told(ops: Ops, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    ran = ops("history")
    assert ran.code == 4
    assert "no AWS credentials" in ran.err


def test_an_unknown_profile_is_told(ops: Ops) -> None:
    ran = ops("history", "--profile", "nobody")
    assert ran.code == 4
    assert "nobody" in ran.err


def test_a_sandbox_that_is_not_there_is_told(ops: Ops, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPS_SANDBOX_DIR", str(tmp_path))
    assert ops("status", "--sandbox").code == 4
    monkeypatch.setenv("OPS_SANDBOX", "1")
    ran = ops("status", "--json")
    assert (ran.code, ran.document["error"]) == (4, "SandboxNotRunning")
    assert "ops sandbox up" in ran.err


def test_sandbox_and_profile_exclude_each_other(ops: Ops) -> None:
    assert ops("status", "--sandbox", "--profile", "prod").code == 2


def test_help_lists_every_exit_code(ops: Ops) -> None:
    words = ops("--help").out
    for code, meaning in MEANINGS.items():
        assert f"{int(code):>3}  {meaning}" in words


def test_help_needs_neither_boto3_nor_rich() -> None:
    program = (
        "import sys\nfrom cli.main import app\n"
        "try: app(['--help'])\nexcept SystemExit: pass\n"
        "sys.exit(bool({'boto3', 'botocore', 'rich.console', 'sandbox.supervisor'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0


def test_version_is_printed(ops: Ops) -> None:
    assert ops("--version").out.strip()


def in_ascii(program: str) -> str:
    """What `program` prints on a terminal that knows no other letters."""
    surroundings = os.environ | {"PYTHONIOENCODING": "ascii"}
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=surroundings, check=True
    ).stdout


def test_letters_that_the_terminal_has_not_are_no_defect() -> None:
    assert in_ascii("import cli.main as m; m.app = lambda: print(chr(0x436)); m.main()") == "\\u0436\n"


def test_json_is_json_on_any_terminal() -> None:
    told = in_ascii("from cli.output import Output; Output(as_json=True).result(chr(0x1F680), print)")
    assert json.loads(told) == "\N{ROCKET}"
