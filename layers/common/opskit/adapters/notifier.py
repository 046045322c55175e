"""Notifications, through one SNS topic: the facts for programs, and a text for people that follows from them."""

import json
from typing import TYPE_CHECKING, Any

from opskit import clients
from opskit.decisions.notice import notice_of, text_of

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sns.type_defs import MessageAttributeValueTypeDef

SUBJECT_LENGTH = 99
ATTRIBUTES = ("kind", "outcome")


class Notifier:
    """The operations topic."""

    def __init__(self, topic_arn: str, client: "SNSClient | None" = None) -> None:
        self._topic_arn = topic_arn
        self._client: SNSClient = client or clients.client("sns")

    def publish(self, subject: str, message: dict[str, Any]) -> str:
        """Send `message` (JSON-ready) and return SNS's message id.

        Queues, functions and URLs get `message` as it is, mailboxes the text of `opskit.decisions.notice`, which says
        which facts it is made of (`MessageStructure`, see below).

        `subject` becomes what SNS takes for an e-mail's: printable ASCII, less than 100 characters, not blank
        (https://docs.aws.amazon.com/sns/latest/api/API_Publish.html). `kind` and `outcome` of the message,
        where they are non-empty text, are also message attributes, for subscribers to filter by. Raises
        botocore's errors.
        """
        attributes: dict[str, MessageAttributeValueTypeDef] = {
            name: {"DataType": "String", "StringValue": str(message[name])}
            for name in ATTRIBUTES
            if isinstance(message.get(name), str) and message[name]
        }
        by_protocol = {
            "default": json.dumps(message, indent=2, ensure_ascii=False),
            "email": text_of(notice_of(subject, message)),
        }
        return self._client.publish(
            TopicArn=self._topic_arn,
            Subject=plain_subject(subject),
            Message=json.dumps(by_protocol, ensure_ascii=False),
            MessageStructure="json",
            MessageAttributes=attributes,
        )["MessageId"]


def plain_subject(subject: str) -> str:
    """`subject` as printable ASCII on one line, other characters as `?`, cut to 99 characters with `...`."""
    line = " ".join(subject.split())
    ascii_only = "".join(character if " " <= character <= "~" else "?" for character in line)
    if len(ascii_only) > SUBJECT_LENGTH:
        ascii_only = ascii_only[: SUBJECT_LENGTH - 3] + "..."
    return ascii_only or "(no subject)"
