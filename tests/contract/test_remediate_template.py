"""What the template says of remediation: how it starts, how it is stopped, and what its functions may do."""

import json

import pytest

from opskit.adapters.switch import switch_parameter
from opskit.decisions.remedy import ACTIONS
from opskit.runbooks import load_runbooks
from tests.contract.stack import resources, states, template

GRAPH = states("remediate")
FUNCTIONS = {
    name: properties
    for name, properties in resources("AWS::Serverless::Function").items()
    if properties.get("CodeUri") == "functions/remediate/"
}
# What an action may change; whatever else is in none of the policies.
# What ElastiCache does in its caller's name when it places nodes.
PLACING = {"ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface"}
CHANGES = {
    "ScaleNodeGroup": {"eks:UpdateNodegroupConfig"},
    "AddCacheReplica": {"elasticache:IncreaseReplicaCount", *PLACING},
    "ResizeCache": {"elasticache:ModifyReplicationGroup", *PLACING},
}
LOOKING = ("Describe", "Get", "List", "Query", "BatchGet")
# The ledger, evidence, messages, tokens for the cluster and the database: the house's own.
OWN = {"dynamodb", "sns", "sts", "kms", "rds-db"}


def camel(name):
    return "".join(word.capitalize() for word in name.split("_"))


def actions_of(name):
    for policy in FUNCTIONS[name]["Policies"]:
        for statement in policy["Statement"]:
            listed = statement["Action"]
            yield from [listed] if isinstance(listed, str) else listed


def test_an_alarm_s_event_is_not_acted_on_when_it_is_old_and_not_lost_either():
    rule = resources("AWS::Events::Rule")["AlarmFired"]
    (target,) = rule["Targets"]
    assert target["Arn"] == {"!Ref": "Remediate"}
    assert 0 < target["RetryPolicy"]["MaximumEventAgeInSeconds"] <= 300
    assert target["RetryPolicy"]["MaximumRetryAttempts"] <= 5
    assert target["DeadLetterConfig"]["Arn"] == {"!GetAtt": "UndeliveredEvents.Arn"}
    alarm = resources("AWS::CloudWatch::Alarm")["UndeliveredEventsAlarm"]
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": {"!GetAtt": "UndeliveredEvents.QueueName"}}]


def test_alarms_start_runbooks_unless_somebody_says_otherwise():
    assert resources("AWS::Events::Rule")["AlarmFired"]["State"] == {"!Ref": "Remediation"}
    assert template()["Parameters"]["Remediation"]["Default"] == "ENABLED"
    assert template()["Parameters"]["RunbookTimeFactor"]["Default"] == 1


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_the_automation_s_own_alarms_are_known_to_have_no_repair(environment):
    named = [alarm["AlarmName"]["!Sub"] for alarm in resources("AWS::CloudWatch::Alarm").values()]
    own = {name.removeprefix("${Service}-${Environment}-") for name in named}
    assert own <= set(load_runbooks(environment).notify_only)


def test_the_kill_switch_is_where_it_is_read():
    (switch,) = resources("AWS::SSM::Parameter").values()
    assert switch["Name"] == {"!Sub": switch_parameter("${Service}", "${Environment}")}
    assert json.loads(switch["Value"]) == {"paused": False}


@pytest.mark.parametrize("name", ["PlanRemedy", "ReserveRemedy"])
def test_who_decides_may_read_the_kill_switch_and_nobody_may_write_it(name):
    assert "ssm:GetParameter" in set(actions_of(name))
    assert not [one for function in FUNCTIONS for one in actions_of(function) if one == "ssm:PutParameter"]


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_of_the_runbooks_has_a_state_that_is_reached_by_its_name(action):
    choices = {rule["Condition"]: rule["Next"] for rule in GRAPH["FollowReservation"]["Choices"]}
    assert choices[f"{{% $reservation.action = '{action}' %}}"] == camel(action)
    assert GRAPH[camel(action)]["Next"] == "FollowAction"


@pytest.mark.parametrize("action", ACTIONS)
def test_nothing_acts_before_it_is_reserved(action):
    before = {name for name, state in GRAPH.items() if camel(action) in json.dumps(_following(state))}
    assert before == {"FollowReservation"}


def test_whatever_fails_is_closed():
    for name, state in GRAPH.items():
        if state["Type"] == "Task":
            (caught,) = state["Catch"]
            assert caught["Next"] == ("CloseFailed" if name == "CloseRemediation" else "CloseRemediation")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_changes_what_its_action_is_about_and_nothing_else(name):
    changing = {
        action
        for action in actions_of(name)
        if action.split(":")[0] not in OWN and not action.split(":")[1].startswith(LOOKING)
    }
    assert changing - {"s3:PutObject"} == CHANGES.get(name, set())


def test_the_rollback_is_the_release_workflow_s_own_and_a_retry_finds_it_again():
    state = GRAPH["RollBackRelease"]
    assert state["Arguments"]["StateMachineArn"] == "${Release}"
    assert state["Arguments"]["Input"]["operation"] == "rollback"
    assert "$execution.name" in state["Arguments"]["Name"]
    machine = resources("AWS::Serverless::StateMachine")["Remediate"]
    allowed = {s["Sid"]: s for policy in machine["Policies"] for s in policy["Statement"]}
    assert allowed["RollBackReleases"]["Resource"] == {"!Ref": "Release"}


def test_the_releases_that_it_may_stop_are_its_own_rollbacks():
    machine = resources("AWS::Serverless::StateMachine")["Remediate"]
    allowed = {s["Sid"]: s for policy in machine["Policies"] for s in policy["Statement"]}
    assert allowed["FollowRollback"]["Resource"]["!Sub"].endswith("-release:remedy-*")
    assert GRAPH["RollBackRelease"]["Arguments"]["Name"].startswith("{% $substring('remedy-' & $execution.name, 0,")


def _following(state):
    return [state.get("Next"), state.get("Default"), *(rule["Next"] for rule in state.get("Choices", ()))]
