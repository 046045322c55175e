"""What the template says of drills: how they start, and what their functions may do."""

import json

import pytest

from opskit.schema import validate
from tests.contract.stack import ROOT, resources, template

FUNCTIONS = {
    name: properties
    for name, properties in resources("AWS::Serverless::Function").items()
    if properties.get("CodeUri") == "functions/drill/"
}
CREATES = {"rds:RestoreDBInstanceFromDBSnapshot", "rds:RestoreDBInstanceToPointInTime"} | {
    "elasticache:CreateReplicationGroup"
}


def statements(name):
    for policy in FUNCTIONS[name]["Policies"]:
        for statement in policy["Statement"]:
            listed = [statement[key] for key in ("Action", "Resource")]
            actions, found = (value if isinstance(value, list) else [value] for value in listed)
            yield set(actions), [one["!Sub"] if "!Sub" in one else str(one) for one in found], statement


def test_the_schedule_starts_a_drill_once_a_week_and_says_for_which_moment():
    schedule = resources("AWS::Scheduler::Schedule")["DrillSchedule"]
    target = schedule["Target"]
    given = target["Input"].replace("<aws.scheduler.scheduled-time>", "2026-11-22T03:00:00Z")
    assert validate("drill", json.loads(given))["scheduled_at"] == "2026-11-22T03:00:00Z"
    assert schedule["State"] == {"!Ref": "Schedules"}
    assert schedule["ScheduleExpression"] == {"!Ref": "DrillTimes"}
    assert template()["Parameters"]["DrillTimes"]["Default"].startswith("cron(")
    assert target["DeadLetterConfig"]["Arn"] == {"!GetAtt": "UndeliveredEvents.Arn"}
    assert target["RetryPolicy"]["MaximumEventAgeInSeconds"] <= 3600


def test_the_reaper_needs_no_drill_to_come():
    events = FUNCTIONS["ReapSurvivors"]["Events"]
    assert events["Hourly"]["Properties"]["ScheduleExpression"] == "rate(1 hour)"
    assert events["Hourly"]["Properties"]["State"] == {"!Ref": "Schedules"}
    machines = json.loads((ROOT / "statemachines/drill.asl.json").read_text())
    assert "ReapSurvivors" not in json.dumps(machines)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_function_modifies_or_reboots_or_starts_anything(name):
    for actions, _, _ in statements(name):
        for action in actions:
            service, _, operation = action.partition(":")
            if service in ("rds", "elasticache"):
                assert operation.startswith(("Describe", "List", "Restore", "Delete", "AddTags", "Connect")) or (
                    action in CREATES
                ), f"{name}: {action}"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_deleted_is_called_and_tagged_as_a_drill_s_of_this_environment(name):
    for actions, found, statement in statements(name):
        if any(action.split(":")[1].startswith("Delete") and not action.startswith("ec2:") for action in actions):
            assert all(":drill-*" in arn for arn in found), f"{name}: {found}"
            condition = statement["Condition"]
            assert condition["Null"]["aws:ResourceTag/ops:drill-id"] is False
            assert set(condition["StringEquals"]) == {
                "aws:ResourceTag/ops:drill-service",
                "aws:ResourceTag/ops:drill-environment",
            }


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_made_has_the_drill_s_tag_and_only_a_drill_s_copy_gets_it(name):
    for actions, found, statement in statements(name):
        tagging = any("AddTagsToResource" in action for action in actions)
        targets = [arn for arn in found if ":db:" in arn or ":replicationgroup:" in arn]
        if tagging:
            assert all(":drill-*" in arn for arn in found), f"{name}: {found}"
        if tagging or (actions & CREATES and targets):
            assert statement["Condition"]["Null"]["aws:RequestTag/ops:drill-id"] is False, f"{name}: {found}"


def test_who_makes_or_deletes_is_known():
    makers = {name for name in FUNCTIONS for actions, _, _ in statements(name) if actions & CREATES}
    assert makers == {"RestoreDrillDatabase", "RestoreDrillCache"}
    deleters = {
        name
        for name in FUNCTIONS
        for actions, _, _ in statements(name)
        if actions & {"rds:DeleteDBInstance", "elasticache:DeleteReplicationGroup"}
    }
    assert deleters == {"TearDownDrill", "ReapSurvivors"}
