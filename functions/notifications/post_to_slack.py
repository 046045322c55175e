"""Post what the operations topic carries to Slack, a message for each fact. Needs no workflow."""

import os
from typing import Any

from opskit.adapters.webhook import Webhook
from opskit.decisions.slack import notice_of_record, payload_of
from opskit.step import Run, step


@step(standalone=True)
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return how many messages were `posted`. SNS invokes with one record at a time.

    The secret is read every time, so that one that was changed holds at once. Raises what stands in the way: Lambda
    tries twice more, and then keeps the message in the queue of those that were not delivered. After an answer that
    got lost, a message may thus come twice.
    """
    webhook = Webhook.of_secret(os.environ["SLACK_SECRET_ARN"])
    for record in event["Records"]:
        published = record["Sns"]
        webhook.post(payload_of(notice_of_record(published.get("Subject"), published["Message"])))
        run.logger.info("posted", extra={"message_id": published.get("MessageId")})
    return {"posted": len(event["Records"])}
