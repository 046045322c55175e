"""What a function's role is good for in the wrong hands: who may do what cannot be taken back, and what nobody may.

A stolen role may do what is in its policies, so these are the whole of it. Whoever gives a role one of these actions
adds it here.
"""

from fnmatch import fnmatchcase

import pytest

from scripts.policy_use.allowed import roles
from tests.contract.stack import resources

ALLOWED = [
    (role.name.removesuffix("Role"), action, resource)
    for role in roles().values()
    for statement in role.statements.values()
    for action in statement.actions
    for resource in statement.resources
]

ONLY = {
    # traffic
    "elasticloadbalancing:ModifyListener": {"ShiftTraffic", "RestoreTraffic", "RepairInterrupted"},
    "ssm:PutParameter": {"CutOver", "SwapBack", "RepairInterruptedRestore"},
    # data
    "rds:DeleteDBInstance": {"DiscardFailed", "TearDownDrill", "ReapSurvivors"},
    "rds:ModifyDBInstance": {"RetainReplaced"},
    "rds:DeleteDBSnapshot": {"PruneSnapshots", "ReapSurvivors"},
    "elasticache:DeleteReplicationGroup": {"DiscardFailed", "TearDownDrill", "ReapSurvivors"},
    "elasticache:DeleteSnapshot": {"PruneSnapshots", "ReapSurvivors"},
    "s3:DeleteObject": {"TakeSnapshots"},
    # cluster
    "sts:AssumeRole": {
        *("PlanRelease", "DeployColour", "CheckRollout", "ScaleDown", "SettleScaling"),
        *("ExportCluster",),
    },
}
NOBODY = (
    *("iam:*", "organizations:*", "kms:ScheduleKeyDeletion", "kms:DisableKey", "kms:PutKeyPolicy", "kms:ReEncrypt*"),
    *("lambda:Update*", "lambda:Add*", "lambda:Create*", "lambda:Publish*", "lambda:Delete*"),
    *("states:Update*", "states:Create*", "states:Delete*", "states:SendTask*", "states:StopExecution"),
    *("events:*", "scheduler:*", "cloudtrail:*", "cloudwatch:DeleteAlarms", "cloudwatch:DisableAlarmActions"),
    *("s3:DeleteObjectVersion", "s3:Bypass*", "s3:PutObject?*", "s3:PutBucket*", "s3:DeleteBucket*"),
    *("dynamodb:DeleteItem", "dynamodb:DeleteTable", "dynamodb:Update[!I]*", "dynamodb:Scan", "dynamodb:PartiQL*"),
    *("secretsmanager:*", "ssm:GetParameterHistory", "ssm:DeleteParameter*", "ssm:SendCommand", "ssm:StartSession"),
    *("ecr:Put*", "ecr:Delete*", "ecr:BatchDelete*", "ecr:InitiateLayerUpload", "ecr:GetAuthorizationToken"),
    *(
        "rds:ModifyDBSnapshotAttribute",
        "rds:*Public*",
        "rds:StartExportTask",
        "sns:Subscribe",
        "sns:SetTopicAttributes",
    ),
    *("eks:Create*", "eks:Update*", "eks:Associate*", "logs:DeleteLogGroup", "logs:DeleteLogStream"),
)


@pytest.mark.parametrize("action", ONLY)
def test_only_the_steps_that_have_to_may(action):
    assert {role for role, allowed, _ in ALLOWED if allowed == action} == ONLY[action]


@pytest.mark.parametrize("pattern", NOBODY)
def test_nobody_may(pattern):
    assert [entry for entry in ALLOWED if fnmatchcase(entry[1].lower(), pattern.lower())] == []


def test_evidence_can_be_added_and_nothing_else():
    found = {action for _, action, resource in ALLOWED if resource.startswith("${EvidenceBucket")}
    assert found <= {"s3:PutObject", "s3:GetObject"}
    assert {resource for _, _, resource in ALLOWED if resource.startswith("${EvidenceBucket")} == {
        "${EvidenceBucket.Arn}/evidence/*"
    }


def test_only_the_images_of_the_registry_are_looked_at():
    assert {(role, action) for role, action, _ in ALLOWED if action.startswith("ecr:")} == {
        ("ValidateRequest", "ecr:DescribeImages")
    }


def test_the_database_is_logged_in_to_as_a_reader_or_for_the_heartbeat():
    users = {resource.rpartition("/")[2] for _, action, resource in ALLOWED if action == "rds-db:connect"}
    assert users == {"ops_reader", "ops_heartbeat"}


def test_functions_are_invoked_by_workflows_and_schedules_and_by_one_repair():
    invoking = {role for role, action, _ in ALLOWED if action == "lambda:InvokeFunction"}
    starting = {"Release", "Snapshot", "Restore", "Drill", "Objectives"}
    scheduled = {role for role in invoking if role.endswith(("Overlooked", "Hourly", "EveryMinute"))}
    assert invoking == starting | scheduled | {"RepairInterrupted"}
    assert [
        resource
        for role, action, resource in ALLOWED
        if (role, action) == ("RepairInterrupted", "lambda:InvokeFunction")
    ] == ["${ScaleDown.Arn}"]


@pytest.mark.parametrize("name", resources("AWS::Serverless::StateMachine"))
def test_a_state_machines_log_has_errors_and_no_data(name):
    logging = resources("AWS::Serverless::StateMachine")[name]["Logging"]
    assert (logging["Level"], logging["IncludeExecutionData"]) == ("ERROR", False)
