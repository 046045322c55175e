"""Who stands outside: the pipeline that may log in, and somebody who reads the operations topic."""

import json

from botocore.exceptions import ClientError

from sandbox.config import Config
from sandbox.provision.clients import Clients, tags

GITHUB = "https://token.actions.githubusercontent.com"
# IAM wants a thumbprint and does not use it for GitHub, whose certificate is of a public authority:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc_verify-thumbprint.html
_THUMBPRINT = "6938fd4d98bab03faadb97b34396831e3780aea1"


def topic_arn(config: Config) -> str:
    """The operations topic, which the automation stack creates, and the platform's alarms name."""
    return f"arn:aws:sns:{config.region}:{config.account}:{config.name}-operations"


def trust_pipeline(clients: Clients) -> None:
    """Let IAM know GitHub's identity provider, as on AWS before the first workflow logs in."""
    try:
        clients["iam"].create_open_id_connect_provider(
            Url=GITHUB, ClientIDList=["sts.amazonaws.com"], ThumbprintList=[_THUMBPRINT], Tags=tags(clients.config)
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "EntityAlreadyExists":
            raise


def subscribe(clients: Clients) -> str:
    """Subscribe a queue to the operations topic in the place of people's mailboxes; returns its URL.

    Messages leave it after a minute: nobody reads them unless somebody looks.
    """
    config = clients.config
    name, topic = f"{config.name}-on-call", topic_arn(config)
    queue_arn = f"arn:aws:sqs:{config.region}:{config.account}:{name}"
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    attributes = {"Policy": policy, "MessageRetentionPeriod": "60"}
    url = clients["sqs"].create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    clients["sns"].subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn)
    return str(url)
