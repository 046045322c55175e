"""Whether an alarm would reach somebody."""

from collections.abc import Mapping, Sequence
from typing import Any

from cli.preflight.finding import Finding, failed, passed, unknown

SUBSCRIBE = "aws sns subscribe --topic-arn … --protocol email --notification-endpoint …, and confirm it"


def confirmed(subscriptions: Sequence[Mapping[str, Any]]) -> int:
    """How many of ListSubscriptionsByTopic's subscriptions get messages.

    One that waits for its confirmation has no ARN yet: https://docs.aws.amazon.com/sns/latest/api/API_Subscription.html
    """
    return sum(str(one.get("SubscriptionArn", "")).startswith("arn:") for one in subscriptions)


def topics_of(alarms: Sequence[Mapping[str, Any]]) -> list[str]:
    """The SNS topics among the actions of alarms."""
    return sorted({action for alarm in alarms for action in alarm.get("AlarmActions", ()) if _is_topic(action)})


def judge_destinations(alarms: Sequence[Mapping[str, Any]], listeners: Mapping[str, int | None]) -> Finding:
    """Each alarm has enabled actions, one of which reaches somebody.

    `alarms` are MetricAlarms and CompositeAlarms; `listeners` has the confirmed subscriptions of each topic, None for
    one that does not exist. An action that is no topic (a function, an Auto Scaling policy) is somewhere to go.
    """
    if not alarms:
        return unknown("there are no alarms", "deploy the stack and apply Terraform: both create some")
    mute = {name: why for name, why in ((alarm["AlarmName"], _mute(alarm, listeners)) for alarm in alarms) if why}
    facts = {"alarms": len(alarms), "mute": mute, "subscriptions": dict(listeners)}
    if mute:
        reasons: dict[str, list[str]] = {}
        for name, why in mute.items():
            reasons.setdefault(why, []).append(name)
        told = "; ".join(f"{why}: {', '.join(names)}" for why, names in reasons.items())
        return failed(f"{len(mute)} of {len(alarms)} alarms reach nobody: {told}", SUBSCRIBE, **facts)
    people = sum(count or 0 for count in listeners.values())
    return passed(f"{len(alarms)} alarms, to {len(listeners)} topics with {people} confirmed subscriptions", **facts)


def judge_release_alarms(states: Mapping[str, str], wanted: Sequence[str]) -> Finding:
    """The alarms that stop a release: all there, none firing. `states` by name."""
    if not wanted:
        advice = "name some in release_alarms of the contract: Terraform does"
        return passed("the contract names no alarm that stops a release", advice)
    missing = [name for name in wanted if name not in states]
    firing = [name for name in wanted if states.get(name) == "ALARM"]
    facts = {"states": {name: states.get(name) for name in wanted}}
    if missing:
        return failed(f"the contract names alarms that are not there: {', '.join(missing)}", "apply Terraform", **facts)
    if firing:
        advice = "see why (docs/runbooks); a release would be refused, unless --override-alarms says why not"
        return failed(f"firing: {', '.join(firing)}", advice, **facts)
    return passed(f"quiet: {', '.join(wanted)}", **facts)


def _mute(alarm: Mapping[str, Any], listeners: Mapping[str, int | None]) -> str | None:
    actions = alarm.get("AlarmActions", ())
    if not actions:
        return "no action"
    if not alarm.get("ActionsEnabled", True):
        return "actions are disabled"
    if any(not _is_topic(action) or listeners.get(action) for action in actions):
        return None
    gone = [action for action in actions if listeners.get(action) is None]
    return f"no such topic: {', '.join(gone)}" if gone else f"no confirmed subscription to {', '.join(actions)}"


def _is_topic(action: str) -> bool:
    return action.split(":")[2:3] == ["sns"]
