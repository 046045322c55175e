"""Slack: off unless a secret is named, no secret in a parameter, and nothing lost on the way."""

from tests.contract.stack import resources, template

PARTS = {name: one for name, one in template()["Resources"].items() if one.get("Condition") == "PostsToSlack"}
QUEUE = {"!GetAtt": "UndeliveredNotifications.Arn"}


def test_it_is_off_by_default_and_whole_when_on() -> None:
    assert template()["Parameters"]["SlackSecretArn"]["Default"] == "none"
    assert template()["Conditions"]["PostsToSlack"] == {"!Not": [{"!Equals": [{"!Ref": "SlackSecretArn"}, "none"]}]}
    slack = {name for name in template()["Resources"] if "Slack" in name or "UndeliveredNotifications" in name}
    assert set(PARTS) == slack


def test_only_the_name_of_the_secret_is_a_parameter() -> None:
    assert ":secretsmanager:" in template()["Parameters"]["SlackSecretArn"]["AllowedPattern"]
    (policy,) = PARTS["PostToSlack"]["Properties"]["Policies"]
    reading = next(one for one in policy["Statement"] if one["Action"] == "secretsmanager:GetSecretValue")
    assert reading["Resource"] == {"!Ref": "SlackSecretArn"}


def test_what_was_not_delivered_is_kept_at_every_hop_and_alarms() -> None:
    (event,) = PARTS["PostToSlack"]["Properties"]["Events"].values()
    assert event["Properties"]["RedrivePolicy"]["deadLetterTargetArn"] == QUEUE
    invoked = PARTS["PostToSlack"]["Properties"]["EventInvokeConfig"]
    assert invoked["DestinationConfig"]["OnFailure"]["Destination"] == QUEUE
    (statement,) = PARTS["UndeliveredNotificationsPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "sns.amazonaws.com"}
    assert resources("AWS::CloudWatch::Alarm")["UndeliveredNotificationsAlarm"]["AlarmActions"] == [
        {"!Ref": "Operations"}
    ]
