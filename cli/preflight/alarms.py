"""The environment's alarms: where they go, and whether those that stop a release are quiet."""

from typing import Any

from botocore.exceptions import ClientError

from cli.preflight.check import Sources
from cli.preflight.finding import Finding
from cli.preflight.rules import alarms as rules


def destinations(sources: Sources) -> Finding:
    """Every alarm whose name begins with that of the environment."""
    alarms = _alarms(sources, AlarmNamePrefix=f"{sources.session.name}-")
    return rules.judge_destinations(alarms, {topic: _listeners(sources, topic) for topic in rules.topics_of(alarms)})


def release_alarms(sources: Sources) -> Finding:
    """Those that the contract names."""
    wanted = sources.platform.release_alarms
    # An empty list would mean all alarms.
    found = _alarms(sources, AlarmNames=list(wanted)) if wanted else []
    return rules.judge_release_alarms({alarm["AlarmName"]: alarm["StateValue"] for alarm in found}, wanted)


def _alarms(sources: Sources, **which: Any) -> list[dict[str, Any]]:
    pages = sources.session.client("cloudwatch").get_paginator("describe_alarms")
    kinds = ("MetricAlarms", "CompositeAlarms")
    listed: Any = pages.paginate(AlarmTypes=["MetricAlarm", "CompositeAlarm"], **which)
    return [alarm for page in listed for kind in kinds for alarm in page.get(kind, ())]


def _listeners(sources: Sources, topic: str) -> int | None:
    sns = sources.session.client("sns")
    try:
        pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
        return rules.confirmed([one for page in pages for one in page["Subscriptions"]])
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("NotFound", "NotFoundException"):
            raise
        return None
