"""A sandbox in which nothing fires, nothing is being repaired, and nothing is remembered."""

from datetime import UTC, datetime

from opskit.adapters.switch import Switch, SwitchState
from opskit.ledger import OperationRecord
from sandbox.operator import Operator

# By prefix of their sort keys: transitions, strikes and cooldowns, the hourly cap, locks of resources.
MEMORY = ("ALARM#", "REMEDY#", "REMEDIES", "LOCK#remedy:")
RECORDS = 500
FED = ("eks-cpu", "eks-memory", "cache-cpu")
PATIENCE = 240.0


def settle(operator: Operator) -> None:
    """End what runs, wait until no alarm fires and no record is open, and forget."""
    switch(operator, paused=True, reason="between two tests")
    operator.calm_engines()
    operator.end_query()
    for name in FED:
        if operator.alarm(name)["StateValue"] == "ALARM":
            operator.feed_metric(name, 0)
    stop(operator)
    operator.until(lambda: firing(operator), lambda names: not names, "the alarms to fall silent", seconds=PATIENCE)
    stop(operator)
    operator.until(lambda: left_open(operator), lambda found: not found, "the records to be closed", seconds=PATIENCE)
    operator.until(operator.ledger.holder, lambda holder: holder is None, "the lock to be free", seconds=PATIENCE)
    forget(operator)
    switch(operator, paused=False)


def stop(operator: Operator) -> None:
    """Stop every execution that remediates."""
    for arn in operator.running("remediate"):
        operator.clients["stepfunctions"].stop_execution(executionArn=arn, cause="the test is over")


def firing(operator: Operator) -> set[str]:
    """The alarms that fire; those that are fed only get good news."""
    found = operator.clients["cloudwatch"].describe_alarms(
        AlarmNamePrefix=f"{operator.config.name}-", StateValue="ALARM"
    )
    names = {alarm["AlarmName"].removeprefix(f"{operator.config.name}-") for alarm in found["MetricAlarms"]}
    for name in names & set(FED):
        operator.feed_metric(name, 0)
    # The automation's own alarms, such as that on events that could not be delivered, have no repair.
    return {name for name in names if operator.platform.alarm_resource(operator.alarm_name(name))}


def records(operator: Operator) -> list[OperationRecord]:
    """What is on record of remediations, newest first."""
    return operator.ledger.operations("remediate", RECORDS)


def left_open(operator: Operator) -> list[str]:
    """The executions whose records are open."""
    return [record.execution_name for record in records(operator) if record.outcome is None]


def forget(operator: Operator) -> None:
    """Delete what the remediation remembers of alarms and actions; its records stay."""
    client, table = operator.clients["dynamodb"], f"{operator.config.name}-ledger"
    partition = f"{operator.config.service}#{operator.config.environment}"
    for prefix in MEMORY:
        items = client.query(
            TableName=table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
            ExpressionAttributeValues={":pk": {"S": partition}, ":prefix": {"S": prefix}},
        )["Items"]
        for item in items:
            client.delete_item(TableName=table, Key={"pk": item["pk"], "sk": item["sk"]})


def switch(operator: Operator, *, paused: bool, reason: str = "", until: datetime | None = None) -> None:
    """Write the kill switch, as `ops pause` and `ops resume` do."""
    state = SwitchState(paused=paused, until=until, reason=reason, by="a test", at=datetime.now(UTC))
    Switch(operator.config.service, operator.config.environment, operator.clients["ssm"]).write(state)
