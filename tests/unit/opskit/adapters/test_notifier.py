import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opskit.adapters.notifier import Notifier, plain_subject

from .conftest import aws_client

Inbox = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def topic() -> str:
    return aws_client("sns").create_topic(Name="detection-api-dev-operations")["TopicArn"]


@pytest.fixture
def inbox(topic: str) -> Inbox:
    sqs = aws_client("sqs")
    url = sqs.create_queue(QueueName="inbox")["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    aws_client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
    return lambda: sqs.receive_message(QueueUrl=url)["Messages"]


def test_subscribers_get_the_message_and_can_filter_it(topic: str, inbox: Inbox) -> None:
    message = {"kind": "release", "outcome": "ROLLED_BACK", "reason": "p95 ≥ 3 of blue's", "weights": {"blue": 100}}
    identity = Notifier(topic, aws_client("sns")).publish("Release rolled back", message)

    (received,) = inbox()
    envelope = json.loads(received["Body"])
    assert envelope["MessageId"] == identity
    assert envelope["Subject"] == "Release rolled back"
    assert json.loads(envelope["Message"]) == message
    assert envelope["MessageAttributes"] == {
        "kind": {"Type": "String", "Value": "release"},
        "outcome": {"Type": "String", "Value": "ROLLED_BACK"},
    }


@pytest.mark.parametrize("message", [{}, {"kind": "", "outcome": None}, {"kind": {"a": 1}}])
def test_a_message_without_kind_and_outcome_goes_out_too(topic: str, inbox: Inbox, message: dict[str, Any]) -> None:
    Notifier(topic, aws_client("sns")).publish("Subject", message)
    (received,) = inbox()
    assert "MessageAttributes" not in json.loads(received["Body"])


@pytest.mark.parametrize(
    ("subject", "sent"),
    [
        ("Released 1.2.3", "Released 1.2.3"),
        ("  two\nlines\t", "two lines"),
        ("blue → green", "blue ? green"),
        ("", "(no subject)"),
        ("x" * 100, "x" * 96 + "..."),
        ("x" * 99, "x" * 99),
    ],
)
def test_a_subject_is_made_fit_for_sns(subject: str, sent: str) -> None:
    assert plain_subject(subject) == sent


@given(st.text(max_size=300))
def test_any_subject_is_made_fit_for_sns(subject: str) -> None:
    made = plain_subject(subject)
    assert 0 < len(made) < 100
    assert all(" " <= character <= "~" for character in made)
    assert made[0] != " "


def test_mailboxes_get_words_and_everybody_else_the_facts(topic: str) -> None:
    sent: list[dict[str, Any]] = []

    class Client:
        def publish(self, **given: Any) -> dict[str, str]:
            sent.append(given)
            return {"MessageId": "1"}

    message = {"kind": "ROLLED_BACK", "requested_by": "ana", "reason": "p95 ≥ 3 of blue's"}
    Notifier(topic, Client()).publish("Release rolled back", message)  # type: ignore[arg-type]  # all of it that is used
    assert sent[0]["MessageStructure"] == "json"
    by_protocol = json.loads(sent[0]["Message"])
    assert set(by_protocol) == {"default", "email"}
    assert json.loads(by_protocol["default"]) == message
    assert "Who:    ana\nResult: p95 ≥ 3 of blue's" in by_protocol["email"]
