import json
from typing import Any

import boto3
import pytest

from cli.commands.release import parse_steps
from opskit.ledger import Ledger
from tests.unit.cli.conftest import Machine, Ops
from tests.unit.cli.given import FOREVER, REGION, fail, succeed, task

PASS = {"verdict": {"outcome": "PASS", "reason": "3 of 3 targets are healthy"}}


def executions(arn: str) -> list[dict[str, Any]]:
    client = boto3.client("stepfunctions", region_name=REGION)
    found = client.list_executions(stateMachineArn=arn)["executions"]
    return [client.describe_execution(executionArn=e["executionArn"]) for e in found]


def asked(arn: str) -> dict[str, Any]:
    (execution,) = executions(arn)
    return json.loads(execution["input"])


def test_a_release_is_followed_state_by_state_to_success(ops: Ops, machine: Machine) -> None:
    machine({"CheckRollout": task(PASS, "Done"), "Done": succeed(outcome="SUCCEEDED", reason="green is live")})
    ran = ops("release", "--image", "1.2.3")
    assert ran.code == 0
    assert "CheckRollout" in ran.out
    assert "3 of 3 targets are healthy" in ran.out
    assert "SUCCEEDED" in ran.out.splitlines()[-1]
    assert ran.out.rstrip().endswith("green is live")
    assert ran.err == ""


def test_what_was_asked_for_reaches_the_state_machine_and_nothing_else(ops: Ops, machine: Machine) -> None:
    arn = machine({"Done": succeed(outcome="SUCCEEDED", reason="")})
    ran = ops(
        "release", "--image", "shop:1.2.3", "--strategy", "canary", "--steps", "10:60,50,100:0", "--bake", "30",
        "--approval", "--approval-seconds", "60", "--override-alarms", "this is the repair", "--adopt-live",
        "--on-inconclusive", "proceed", "--inconclusive-wait", "20", "--minimum-requests", "50", "--keep-warm",
        "--reason", "ticket 7",
    )  # fmt: skip
    assert ran.code == 0
    request = asked(arn)
    assert request.pop("requested_by").startswith("arn:aws:")
    assert request == {
        "operation": "release",
        "environment": "test",
        "image": "shop:1.2.3",
        "strategy": "canary",
        "steps": [{"weight": 10, "bake_seconds": 60}, {"weight": 50}, {"weight": 100, "bake_seconds": 0}],
        "bake_seconds": 30,
        "approval": True,
        "approval_seconds": 60,
        "override_alarms": "this is the repair",
        "adopt_live": True,
        "on_inconclusive": "proceed",
        "inconclusive_wait_seconds": 20,
        "minimum_requests": 50,
        "keep_warm": True,
        "reason": "ticket 7",
    }


def test_what_was_not_asked_for_is_left_to_the_stack(ops: Ops, machine: Machine) -> None:
    arn = machine({"Done": succeed(outcome="SUCCEEDED", reason="")})
    ops("release", "--image", "1.2.3")
    assert asked(arn).keys() == {"operation", "environment", "image", "requested_by"}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("InvalidInputError", 2),
        ("UnknownImageError", 2),
        ("LockHeldError", 3),
        ("ReleaseRefusedError", 3),
        ("RolledBackError", 1),
        ("ApprovalRejectedError", 1),
    ],
)
def test_the_exit_code_tells_why_it_failed(ops: Ops, machine: Machine, error: str, code: int) -> None:
    machine({"Stop": fail(error, "the reason in words")})
    ran = ops("release", "--image", "1.2.3")
    assert ran.code == code
    last = ran.out.splitlines()[-1]
    assert error in last
    assert "the reason in words" in last


def test_json_is_one_document_on_stdout_and_progress_on_stderr(ops: Ops, machine: Machine) -> None:
    machine({"CheckRollout": task(PASS, "Done"), "Done": succeed(outcome="NOTHING_TO_DO", reason="live already")})
    ran = ops("release", "--image", "1.2.3", "--name", "mine", "--json")
    assert ran.code == 0
    assert "CheckRollout" in ran.err
    told = ran.document
    assert (told["execution"], told["status"], told["outcome"], told["reason"]) == (
        "mine", "SUCCEEDED", "NOTHING_TO_DO", "live already",
    )  # fmt: skip
    assert told["output"] == {"outcome": "NOTHING_TO_DO", "reason": "live already"}


def test_json_of_a_failure_carries_error_and_cause(ops: Ops, machine: Machine) -> None:
    machine({"Stop": fail("LockHeldError", "held by release-1")})
    ran = ops("release", "--image", "1.2.3", "--json")
    assert ran.code == 3
    assert (ran.document["status"], ran.document["error"], ran.document["reason"]) == (
        "FAILED", "LockHeldError", "held by release-1",
    )  # fmt: skip


def test_a_dry_run_prints_the_plan(ops: Ops, machine: Machine) -> None:
    plan = {
        "decision": "PROCEED", "from_colour": "blue", "from_image": "r/shop:1", "to_colour": "green",
        "image": "r/shop@sha256:" + "b" * 64, "replicas": 3, "required_healthy": 3,
        "steps": [{"weight": 100, "bake_seconds": 60}], "warnings": ["alarms overridden: high-5xx"],
    }  # fmt: skip
    arn = machine({"Planned": succeed(outcome="PLANNED", reason="green next", plan=plan)})
    ran = ops("release", "--image", "1.2.3", "--dry-run")
    assert ran.code == 0
    assert asked(arn)["dry_run"] is True
    for words in ("green shop@sha256:bbbbbbbbbbbb", "blue shop:1", "100% for 60s", "alarms overridden: high-5xx"):
        assert words in ran.out


def test_a_dry_run_of_what_would_be_refused_exits_as_refused(ops: Ops, machine: Machine) -> None:
    plan = {"decision": "REFUSE", "reason": "traffic is split", "replicas": 0, "required_healthy": 0, "steps": []}
    machine({"Planned": succeed(outcome="PLANNED", reason="traffic is split", plan=plan)})
    ran = ops("release", "--image", "1.2.3", "--dry-run")
    assert ran.code == 3
    assert "would be refused: traffic is split" in ran.out
    assert "replicas" not in ran.out
    assert ops("release", "--image", "1.2.3", "--dry-run", "--json").code == 3


def test_no_wait_starts_and_returns(ops: Ops, machine: Machine) -> None:
    arn = machine({"Long": FOREVER})
    ran = ops("release", "--image", "1.2.3", "--no-wait", "--name", "mine")
    assert ran.code == 0
    assert "ops watch mine" in ran.out
    assert [e["status"] for e in executions(arn)] == ["RUNNING"]


def test_a_wait_that_times_out_leaves_the_release_running_and_says_how_to_go_on(ops: Ops, machine: Machine) -> None:
    arn = machine({"Long": FOREVER})
    ran = ops("release", "--image", "1.2.3", "--name", "mine", "--timeout", "1")
    assert ran.code == 5
    assert "ops watch mine" in ran.out
    assert "ops abort mine" in ran.out
    assert [e["status"] for e in executions(arn)] == ["RUNNING"]


def test_the_same_name_and_request_start_once_and_report_the_same_end(ops: Ops, machine: Machine) -> None:
    arn = machine({"Done": succeed(outcome="SUCCEEDED", reason="green is live")})
    first = ops("release", "--image", "1.2.3", "--name", "build-7", "--json")
    again = ops("release", "--image", "1.2.3", "--name", "build-7", "--json")
    assert (first.code, again.code) == (0, 0)
    assert again.document["execution_arn"] == first.document["execution_arn"]
    assert len(executions(arn)) == 1


def test_the_same_name_with_another_request_is_refused(ops: Ops, machine: Machine) -> None:
    machine({"Done": succeed(outcome="SUCCEEDED", reason="")})
    ops("release", "--image", "1.2.3", "--name", "build-7")
    ran = ops("release", "--image", "1.2.4", "--name", "build-7")
    assert ran.code == 2
    assert "build-7" in ran.err
    assert "another request" in ran.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--image", ""), "image"),
        (("--image", "1", "--bake", "-1"), "bake_seconds"),
        (("--image", "1", "--minimum-requests", "0"), "minimum_requests"),
        (("--image", "1", "--override-alarms", ""), "override_alarms"),
        (("--image", "1", "--strategy", "canary"), "steps"),
        (("--image", "1", "--steps", "10:1,100:1"), "canary"),
        (("--image", "1", "--strategy", "canary", "--steps", "50:1,10:1,100:1"), "rise"),
        (("--image", "1", "--strategy", "canary", "--steps", "10:1"), "100"),
        (("--image", "1", "--strategy", "canary", "--steps", "200:1"), "weight"),
    ],
)
def test_bad_input_is_refused_before_anything_starts(
    ops: Ops, machine: Machine, options: tuple[str, ...], words: str
) -> None:
    arn = machine({"Done": succeed()})
    ran = ops("release", *options)
    assert ran.code == 2
    assert words in ran.err
    assert executions(arn) == []


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--image", "1", "--strategy", "red-black"),
        ("--image", "1", "--steps", "ten"),
        ("--image", "1", "--steps", "10:1,,100:1"),
        ("--image", "1", "--steps", "10;100"),
        ("--image", "1", "--strategy", "canary", "--steps", "\u0661\u0660:1,100:1"),
        ("--image", "1", "--reason", "bytes that are no UTF-8: \udcff"),
        ("--image", "1", "--name", "no spaces"),
        ("--image", "1", "--name", "x" * 81),
        ("--image", "1", "--timeout", "0"),
        ("--image", "1", "--environment", "Prod!"),
    ],
)
def test_wrong_usage_is_exit_code_2(ops: Ops, options: tuple[str, ...]) -> None:
    assert ops("release", *options).code == 2


def test_steps_are_percent_and_seconds() -> None:
    assert parse_steps("10:60, 50:60,100") == [
        {"weight": 10, "bake_seconds": 60},
        {"weight": 50, "bake_seconds": 60},
        {"weight": 100},
    ]


def test_an_environment_without_state_machine_is_unknown(ops: Ops, ledger: Ledger) -> None:
    ran = ops("release", "--image", "1.2.3", "--environment", "nowhere")
    assert ran.code == 4
    assert "unknown environment nowhere" in ran.err
    assert "shop-nowhere-release" in ran.err
    assert REGION in ran.err


def test_watch_shows_the_course_of_an_ended_execution_and_exits_as_it_ended(ops: Ops, machine: Machine) -> None:
    machine({"CheckRollout": task(PASS, "Stop"), "Stop": fail("RolledBackError", "p95 doubled")})
    ops("release", "--image", "1.2.3", "--name", "mine")
    ran = ops("watch", "mine")
    assert ran.code == 1
    assert "CheckRollout" in ran.out
    assert "p95 doubled" in ran.out


def test_watch_without_a_name_finds_the_running_one(ops: Ops, machine: Machine) -> None:
    machine({"Long": FOREVER})
    ops("release", "--image", "1.2.3", "--no-wait", "--name", "mine")
    ran = ops("watch", "--timeout", "1", "--json")
    assert (ran.code, ran.document["execution"]) == (5, "mine")


def test_watch_of_nothing_is_not_found(ops: Ops, machine: Machine) -> None:
    machine({"Done": succeed()})
    assert ops("watch").code == 4
    ran = ops("watch", "no-such")
    assert ran.code == 4
    assert "there is no execution no-such" in ran.err
