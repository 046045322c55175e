"""What SNS hands over is posted to the address in the secret, and what Slack refuses is raised."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from functions.notifications import post_to_slack
from opskit import clients
from opskit.errors import NotificationError
from opskit.step import Run
from tests.preflight.receiver import Receiver, receiver


@pytest.fixture
def slack(run: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiver() as running:
        made = clients.client("secretsmanager").create_secret(Name="slack", SecretString=running.url)
        monkeypatch.setenv("SLACK_SECRET_ARN", made["ARN"])
        yield running


def event(subject: str | None, message: Any) -> dict[str, Any]:
    sns: dict[str, Any] = {"MessageId": "m", "Subject": subject, "Message": message}
    return {"Records": [{"EventSource": "aws:sns", "Sns": sns}]}


def call(given: dict[str, Any], run: Run) -> dict[str, Any]:
    answer: dict[str, Any] = post_to_slack.handler.__wrapped__(given, run)  # type: ignore[attr-defined]
    return answer


def test_a_fact_is_one_message(slack: Receiver, run: Run) -> None:
    fact = {"kind": "drill", "outcome": "FAIL", "reason": "2 of 14 checks did not pass"}
    assert call(event("shop dev: drill fail", json.dumps(fact)), run) == {"posted": 1}
    (message,) = slack.posted
    assert message["text"] == "🔴 shop dev: drill fail: 2 of 14 checks did not pass"


@pytest.mark.parametrize("subject", [None, "By hand"])
def test_a_text_of_anybody_is_posted_too(slack: Receiver, run: Run, subject: str | None) -> None:
    call(event(subject, "maintenance at 8"), run)
    assert slack.posted[0]["text"].endswith("maintenance at 8")


def test_what_slack_refuses_is_raised_so_that_it_is_kept(slack: Receiver, run: Run) -> None:
    slack.answers[:] = [(404, {})]
    with pytest.raises(NotificationError, match="answered 404"):
        call(event("x", "{}"), run)
    assert slack.posted == []
