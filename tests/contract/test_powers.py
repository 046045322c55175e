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
    # size
    "eks:UpdateNodegroupConfig": {"ScaleNodeGroup"},
    "elasticache:IncreaseReplicaCount": {"AddCacheReplica"},
    "elasticache:ModifyReplicationGroup": {"ResizeCache"},
    # the cluster: what its operator may do there, evictions and the number of pods included
    "sts:AssumeRole": {
        *("PlanRelease", "DeployColour", "CheckRollout", "ScaleDown", "SettleScaling"),
        *("ExportCluster",),
        *("ScaleService", "ReplacePod"),
    },
    # executions
    "states:StartExecution": {
        *("ImagePushed", "AlarmFired", "Remediate"),
        *("SnapshotEveryHour", "ObjectivesEveryFiveMinutes", "DrillSchedule"),
    },
    "states:StopExecution": {"Remediate"},
    # Step Functions itself writes its rule, with the role of a state machine that waits for another's end
    "events:DescribeRule": {"Remediate"},
    "events:PutRule": {"Remediate"},
    "events:PutTargets": {"Remediate"},
    # secrets
    "secretsmanager:GetSecretValue": {"PostToSlack"},
}
# Where one resource of a kind and another are not the same.
ABOUT = {
    "eks:UpdateNodegroupConfig": {("ScaleNodeGroup", "/${NodeGroup}/*")},
    "states:StartExecution": {
        *(("ImagePushed", "${Release}"), ("AlarmFired", "${Remediate}"), ("Remediate", "${Release}")),
        *(("SnapshotEveryHour", "${Snapshot}"), ("ObjectivesEveryFiveMinutes", "${Objectives}")),
        ("DrillSchedule", "${Drill}"),
    },
    "states:StopExecution": {("Remediate", ":execution:${Service}-${Environment}-release:remedy-*")},
    "events:PutRule": {("Remediate", ":rule/StepFunctionsGetEventsForStepFunctionsExecutionRule")},
    "events:PutTargets": {("Remediate", ":rule/StepFunctionsGetEventsForStepFunctionsExecutionRule")},
    "secretsmanager:GetSecretValue": {("PostToSlack", "${SlackSecretArn}")},
    # so nobody writes the kill switch
    "ssm:PutParameter": {
        (role, ":parameter/${Service}/${Environment}/endpoints/*")
        for role in ("CutOver", "SwapBack", "RepairInterruptedRestore")
    },
}
# But for those that are named above.
NOBODY = (
    *("iam:*", "organizations:*", "kms:ScheduleKeyDeletion", "kms:DisableKey", "kms:PutKeyPolicy", "kms:ReEncrypt*"),
    *("lambda:Update*", "lambda:Add*", "lambda:Create*", "lambda:Publish*", "lambda:Delete*"),
    *("states:Update*", "states:Create*", "states:Delete*", "states:SendTask*", "states:StopExecution"),
    *("states:RedriveExecution", "states:StartSyncExecution"),
    *("events:*", "scheduler:*", "cloudtrail:*", "cloudwatch:DeleteAlarms", "cloudwatch:DisableAlarmActions"),
    *("cloudwatch:SetAlarmState", "cloudwatch:EnableAlarmActions", "cloudwatch:Put*"),
    *("s3:DeleteObjectVersion", "s3:Bypass*", "s3:PutObject?*", "s3:PutBucket*", "s3:DeleteBucket*"),
    *("dynamodb:DeleteItem", "dynamodb:DeleteTable", "dynamodb:Update[!I]*", "dynamodb:Scan", "dynamodb:PartiQL*"),
    *("secretsmanager:*", "ssm:GetParameterHistory", "ssm:DeleteParameter*", "ssm:SendCommand", "ssm:StartSession"),
    *("elasticache:DecreaseReplicaCount", "elasticache:TestFailover", "rds:RebootDBInstance", "rds:FailoverDB*"),
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


@pytest.mark.parametrize("action", ABOUT)
def test_only_about_what_they_have_to(action):
    expected = ABOUT[action]
    found = {(role, resource) for role, allowed, resource in ALLOWED if allowed == action}
    assert len(found) == len(expected)
    assert all(any(role == one and resource.endswith(end) for one, end in expected) for role, resource in found), found


@pytest.mark.parametrize("pattern", NOBODY)
def test_nobody_may(pattern):
    fitting = [entry for entry in ALLOWED if fnmatchcase(entry[1].lower(), pattern.lower())]
    assert [entry for entry in fitting if entry[1] not in ONLY] == []


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


def test_the_database_is_logged_in_to_as_a_reader_or_for_the_heartbeat_and_by_two_to_end_what_runs_there():
    logging_in = [
        (role, resource.rpartition("/")[2]) for role, action, resource in ALLOWED if action == "rds-db:connect"
    ]
    assert {user for _, user in logging_in} == {"ops_reader", "ops_heartbeat", "ops_remedy"}
    ending = {"EndQueries", "EndSessions"}
    assert {role for role, user in logging_in if user == "ops_remedy"} == ending
    assert {user for role, user in logging_in if role in ending} == {"ops_remedy"}


def test_functions_are_invoked_by_workflows_and_schedules_and_by_one_repair():
    invoking = {role for role, action, _ in ALLOWED if action == "lambda:InvokeFunction"}
    starting = {"Release", "Snapshot", "Restore", "Drill", "Objectives", "Remediate"}
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
