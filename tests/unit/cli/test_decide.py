from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from opskit.ledger import Ledger
from tests.unit.cli.conftest import Machine, Ops
from tests.unit.cli.given import REGION, fail

DIGEST = "sha256:" + "a" * 64
IMAGE = f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop@{DIGEST}"


def asking(queue: str) -> dict[str, Any]:
    """A state machine that waits on a task token, and tells the queue which."""
    return {
        "RequestApproval": {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
            "Parameters": {"QueueUrl": queue, "MessageBody.$": "$$.Task.Token"},
            "Catch": [{"ErrorEquals": ["ApprovalRejectedError"], "ResultPath": "$", "Next": "Rejected"}],
            "Next": "Done",
        },
        "Done": {"Type": "Pass", "Result": {"outcome": "SUCCEEDED", "reason": "went on"}, "End": True},
        "Rejected": fail("ApprovalRejectedError", "rejected"),
    }


Ask = Callable[..., str]


@pytest.fixture
def ask(ops: Ops, machine: Machine, ledger: Ledger) -> Ask:
    """Start a release that asks for approval; returns its task token. `name`, and seconds until it expires."""
    queue = boto3.client("sqs", region_name=REGION).create_queue(QueueName="asks")["QueueUrl"]
    machine(asking(queue), "JSONPath")  # moto has the context object in JSONPath only

    def start(name: str = "mine", *, seconds: float = 3600) -> str:
        ops("release", "--image", "1", "--approval", "--no-wait", "--name", name)
        sqs = boto3.client("sqs", region_name=REGION)
        messages: list[Any] = []
        while not messages:
            messages = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages", [])
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=messages[0]["ReceiptHandle"])
        token = messages[0]["Body"]
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        ledger.request_approval(name, token, subject=IMAGE, digest=DIGEST, expires_at=until)
        return token

    return start


def test_approve_wakes_the_release_and_records_who_and_what(ops: Ops, ask: Ask, ledger: Ledger) -> None:
    ask()
    ran = ops("approve", "--reason", "looks good")
    assert ran.code == 0
    assert DIGEST in ran.out
    approval = ledger.approval("mine")
    assert approval is not None
    assert (approval.decision, approval.reason) == ("approved", "looks good")
    assert approval.decided_by is not None
    assert approval.decided_by.startswith("arn:aws:")
    assert ops("watch", "mine").code == 0


def test_reject_ends_the_release_with_the_reason(ops: Ops, ask: Ask) -> None:
    ask()
    ran = ops("reject", "mine", "--reason", "not on a Friday", "--json")
    assert ran.code == 0
    assert (ran.document["decision"], ran.document["digest"]) == ("rejected", DIGEST)
    watched = ops("watch", "mine")
    assert watched.code == 1
    # The reason goes along as the cause, which moto does not keep.
    assert "ApprovalRejectedError" in watched.out


@pytest.mark.parametrize("options", [(), ("--reason", ""), ("--reason", " ")])
def test_a_rejection_needs_a_reason(ops: Ops, ask: Ask, ledger: Ledger, options: tuple[str, ...]) -> None:
    ask()
    assert ops("reject", "mine", *options).code == 2
    approval = ledger.approval("mine")
    assert approval is not None
    assert approval.decision is None


def test_a_decision_counts_once(ops: Ops, ask: Ask) -> None:
    ask()
    assert ops("approve").code == 0
    ran = ops("reject", "mine", "--reason", "changed my mind")
    assert ran.code == 3
    assert "was approved by arn:aws:" in ran.err


def test_the_same_decision_again_changes_nothing(ops: Ops, ask: Ask) -> None:
    ask()
    ops("approve")
    ops("watch", "mine")
    again = ops("approve", "mine")
    assert again.code == 0
    assert DIGEST in again.out


def test_an_expired_question_takes_no_answer(ops: Ops, ask: Ask) -> None:
    ask(seconds=-1)
    ran = ops("approve", "mine")
    assert ran.code == 3
    assert "expired" in ran.err
    assert ops("approve").code == 4


def test_another_digest_than_the_one_asked_about_is_refused(ops: Ops, ask: Ask, ledger: Ledger) -> None:
    ask()
    assert ops("approve", "--digest", "sha256:" + "b" * 64).code == 3
    approval = ledger.approval("mine")
    assert approval is not None
    assert approval.decision is None


def test_two_questions_need_a_name(ops: Ops, ask: Ask) -> None:
    ask("one")
    ask("two")
    ran = ops("approve")
    assert ran.code == 2
    assert "one" in ran.err
    assert "two" in ran.err
    assert ops("approve", "two").code == 0


def test_nothing_to_decide_is_not_found(ops: Ops, ask: Ask) -> None:
    for args in (("approve",), ("approve", "no-such"), ("reject", "--reason", "no")):
        assert ops(*args).code == 4


def test_a_release_that_waits_says_who_can_make_it_go_on(ops: Ops, ask: Ask) -> None:
    ask()
    ran = ops("watch", "mine", "--timeout", "1")
    assert "ops approve mine" in ran.out


def test_a_restore_is_approved_by_its_plan(ops: Ops, machine: Machine, ledger: Ledger) -> None:
    queue = boto3.client("sqs", region_name=REGION).create_queue(QueueName="asks")["QueueUrl"]
    machine(asking(queue), "JSONPath", workflow="restore")
    ops("restore", "--no-wait", "--name", "mine")
    sqs = boto3.client("sqs", region_name=REGION)
    messages: list[Any] = []
    while not messages:
        messages = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages", [])
    until = datetime.now(UTC) + timedelta(hours=1)
    subject, token = "database: old (old:5432) -> new (new:5432)", messages[0]["Body"]
    ledger.request_approval("mine", token, subject=subject, digest=DIGEST, expires_at=until, workflow="restore")
    assert ops("approve", "--digest", "sha256:" + "b" * 64).code == 3
    ran = ops("approve", "--json")
    assert ran.code == 0
    assert (ran.document["workflow"], ran.document["subject"], ran.document["digest"]) == ("restore", subject, DIGEST)
    assert f"mine asks to cut over {subject} ({DIGEST})" in ran.err
    assert ops("watch", "mine").code == 0
