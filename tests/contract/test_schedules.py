"""What starts by itself: its events do not get lost, are not acted on when stale, and are inputs that are valid."""

import json

import pytest

from opskit.schema import validate
from tests.contract.stack import resources

OWNERS = resources("AWS::Serverless::StateMachine") | resources("AWS::Serverless::Function")
SCHEDULES = {
    f"{owner}.{name}": event["Properties"]
    for owner, properties in OWNERS.items()
    for name, event in properties.get("Events", {}).items()
    if event["Type"] == "ScheduleV2"
}
INPUTS = {
    properties["DefinitionUri"].rpartition("/")[2].removesuffix(".asl.json"): event["Properties"]["Input"]
    for properties in resources("AWS::Serverless::StateMachine").values()
    for event in properties.get("Events", {}).values()
    if event["Type"] == "ScheduleV2" and "Input" in event["Properties"]
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_an_event_that_cannot_be_delivered_is_kept_and_a_stale_one_is_not_delivered(name):
    schedule = SCHEDULES[name]
    assert schedule["DeadLetterConfig"]["Arn"] == {"!GetAtt": "UndeliveredEvents.Arn"}
    assert 0 < schedule["RetryPolicy"]["MaximumEventAgeInSeconds"] <= 3600


@pytest.mark.parametrize("name", SCHEDULES)
def test_nothing_a_schedule_sends_could_be_taken_for_an_event(name):
    # Without an input its target gets "a default notification", which has a `detail` as events have, but a text:
    # https://docs.aws.amazon.com/scheduler/latest/APIReference/API_Target.html
    assert "detail" not in json.loads(SCHEDULES[name]["Input"])


@pytest.mark.parametrize("workflow", INPUTS)
def test_what_a_schedule_sends_is_a_valid_input(workflow):
    # The moment as EventBridge Scheduler writes it:
    # https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
    sent = INPUTS[workflow].replace("<aws.scheduler.scheduled-time>", "2026-11-23T09:00:00Z")
    assert validate(workflow, json.loads(sent))


def test_snapshots_are_taken_every_hour_and_no_event_outlives_its_own():
    schedule = SCHEDULES["Snapshot.EveryHour"]
    assert schedule["State"] == {"!Ref": "Schedules"}
    assert schedule["FlexibleTimeWindow"] == {"Mode": "OFF"}
    assert schedule["RetryPolicy"]["MaximumEventAgeInSeconds"] == 900
