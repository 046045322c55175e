"""What the workflows publish comes to Slack: through the topic, the function and its secret, by real HTTP."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from opskit.adapters.notifier import Notifier
from sandbox.operator import Operator
from sandbox.provision.people import topic_arn
from tests.preflight.receiver import PATH, Receiver


@pytest.fixture
def posts(operator: Operator, slack: Receiver) -> Iterator[Receiver]:
    yield slack
    slack.answers.clear()


def seen(operator: Operator, slack: Receiver, words: str) -> list[dict[str, Any]]:
    """The messages that hold these words, once there is one."""
    return operator.until(
        lambda: [one for one in slack.posted if words in json.dumps(one, ensure_ascii=False)],
        bool,
        f"a message with {words!r}",
        seconds=60,
    )


def test_what_a_workflow_did_is_told_with_who_why_and_where(operator: Operator, posts: Receiver) -> None:
    who = f"ana-{uuid.uuid4().hex[:6]}"
    done = operator.run(image="1.2.0", bake_seconds=0, requested_by=who, reason="to see <!channel> & more")
    assert done.status == "SUCCEEDED", done.cause
    operator.until(
        lambda: {one["blocks"][0]["text"]["text"] for one in seen(operator, posts, who)},
        lambda titles: titles == {"ℹ️ detection-api dev: release started", "✅ detection-api dev: release succeeded"},  # noqa: RUF001
        "the beginning and the end to be told, once each",
        seconds=60,
    )
    found = seen(operator, posts, who)
    assert len(found) == 2
    for message in found:
        text = json.dumps(message, ensure_ascii=False)
        assert "to see &lt;!channel&gt; &amp; more" in text
        page = "https://us-east-1.console.aws.amazon.com/states/home?region=us-east-1#/v2/executions/details/"
        assert f"<{page}{done.arn}|" in text
    assert PATH in posts.paths


def test_what_slack_puts_off_comes_when_it_says(operator: Operator, posts: Receiver) -> None:
    posts.answers[:] = [(429, {"Retry-After": "1"}), (503, {})]
    words = uuid.uuid4().hex
    Notifier(topic_arn(operator.config), operator.clients["sns"]).publish("A test", {"kind": "TEST", "reason": words})
    (message,) = seen(operator, posts, words)
    assert posts.answers == []
    assert message["text"] == f"ℹ️ A test: {words}"  # noqa: RUF001 - as Slack shows it


def test_an_alarm_is_told_too(operator: Operator, posts: Receiver) -> None:
    name = operator.fire_alarm()
    (first, *_) = seen(operator, posts, f"🔴 Alarm {name}: ALARM")
    operator.calm_alarms()
    assert "Targets answered" in json.dumps(first)
    assert seen(operator, posts, f"✅ Alarm {name}: OK")
