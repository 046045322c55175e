"""The webhook against a real web server on loopback."""

from collections.abc import Iterator
from typing import Any

import pytest

from opskit.adapters.webhook import ATTEMPTS, Webhook
from opskit.errors import NotificationError
from tests.preflight.receiver import PATH, Receiver, receiver

from .conftest import aws_client


@pytest.fixture
def slack() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)


def test_it_posts_json_to_the_address_of_the_secret(slack: Receiver) -> None:
    arn = aws_client("secretsmanager").create_secret(Name="slack", SecretString=f"{slack.url}\n")["ARN"]
    Webhook.of_secret(arn, aws_client("secretsmanager")).post({"text": "ü <b>"})
    assert (slack.posted, slack.paths) == ([{"text": "ü <b>"}], [PATH])


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_passes_is_tried_again(slack: Receiver, status: int) -> None:
    slack.answers[:] = [(status, {"Retry-After": "0"})] * (ATTEMPTS - 1)
    Webhook(slack.url).post({"text": "x"})
    assert (len(slack.paths), slack.posted) == (ATTEMPTS, [{"text": "x"}])


@pytest.mark.parametrize(("status", "tries"), [(404, 1), (400, 1), (302, 1), (503, ATTEMPTS)])
def test_what_does_not_pass_is_raised_without_the_secret(slack: Receiver, status: int, tries: int) -> None:
    slack.answers[:] = [(status, {"Location": slack.url})] * ATTEMPTS
    with pytest.raises(NotificationError, match=rf"127\.0\.0\.1 answered {status}: no") as raised:
        Webhook(slack.url).post({"text": "x"})
    assert len(slack.paths) == tries
    assert "a-secret" not in str(raised.value)


def test_nobody_there_is_raised_without_the_secret() -> None:
    with receiver() as gone:
        url = gone.url
    with pytest.raises(NotificationError, match=r"127\.0\.0\.1 did not answer: NewConnectionError") as raised:
        Webhook(url).post({"text": "x"})
    assert "a-secret" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("url", ["http://hooks.slack.com/services/x", "", "hooks.slack.com", "ftp://127.0.0.1/x"])
def test_an_address_that_is_not_https_is_refused(url: str) -> None:
    with pytest.raises(NotificationError, match="not https"):
        Webhook(url)


def test_a_secret_that_is_not_there_raises() -> None:
    client: Any = aws_client("secretsmanager")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        Webhook.of_secret("arn:aws:secretsmanager:us-east-1:123456789012:secret:none", client)
