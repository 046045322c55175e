"""What is published on the operations topic."""

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sandbox.operator import Operator


@contextmanager
def told(operator: Operator, kind: str) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """A function that lists the notifications of `kind` since the beginning, oldest first."""
    clients, config, name = operator.clients, operator.config, f"told-{uuid.uuid4().hex[:8]}"
    prefix = f"{config.region}:{config.account}"
    topic, queue = f"arn:aws:sns:{prefix}:{config.name}-operations", f"arn:aws:sqs:{prefix}:{name}"
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    url = clients["sqs"].create_queue(QueueName=name, Attributes={"Policy": policy})["QueueUrl"]
    subscribed = clients["sns"].subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, ReturnSubscriptionArn=True)
    seen: list[dict[str, Any]] = []

    def look() -> list[dict[str, Any]]:
        seen.extend(dict(message) for message in operator.messages(url) if message.get("kind") == kind)
        return seen

    try:
        yield look
    finally:
        clients["sns"].unsubscribe(SubscriptionArn=subscribed["SubscriptionArn"])
        clients["sqs"].delete_queue(QueueUrl=url)
