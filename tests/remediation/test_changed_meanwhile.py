"""What a repair is about changes before it acts: it is judged again, and acts on nothing that is no longer so."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sandbox.operator import Operator
from tests.recovery.restores import go_home, move
from tests.remediation.alarms import altered, definition, put
from tests.remediation.functions import held, throttled
from tests.remediation.nodes import ALARM, Nodes, nodes, unheard
from tests.remediation.repairs import PATIENCE, ask, asked, check, closed, recorded, start, untouched

__all__ = ["nodes"]

pytestmark = pytest.mark.timeout(1200)  # where a machine does other things

CONNECTIONS, EVICTIONS = "database-connections", "cache-evictions"


def test_an_alarm_without_data_is_not_acted_on_until_it_has_some_again(operator: Operator, nodes: Nodes) -> None:
    with unheard(operator):
        with altered(operator, ALARM):
            with held(operator, "plan-remedy"):
                with nodes.full():
                    arn = start(operator, ALARM)
                    throttled(operator, arn, "PlanRemedy")
                # Of the nodes as well; nobody measures it.
                put(operator, definition(operator, ALARM), MetricName="nobody_measures_it", TreatMissingData="missing")
                operator.wait_for_alarm(ALARM, "INSUFFICIENT_DATA", PATIENCE)
            operator.wait_for_state(arn, "Defer", PATIENCE)
            assert check(ask(operator, ALARM, dry_run=True), "measured")["verdict"] == "WAIT"
            assert nodes.added == 0
        with nodes.full():
            operator.until(lambda: nodes.added, bool, "the nodes to be raised", seconds=PATIENCE)
    with operator.feeding(ALARM, 10):
        assert closed(operator, recorded(operator, arn)).outcome == "RESOLVED"
    assert nodes.added == 1


def test_a_database_that_a_restore_has_replaced_is_left_alone(operator: Operator) -> None:
    """The alarm still watches the old one, whose sessions are nobody's concern."""
    old = operator.database()["DBInstanceArn"]
    try:
        done = operator.run(
            workflow="restore", mode="replace", components=["database"], approval=False, seconds=PATIENCE
        )
        assert done.status == "SUCCEEDED", done.cause
        new = operator.database()["DBInstanceArn"]
        with unheard(operator), altered(operator, CONNECTIONS, Threshold=-1.0):
            operator.wait_for_alarm(CONNECTIONS, seconds=PATIENCE)
            words = f"live: the alarm is about {old}, and the service uses {new}"
            untouched(ask(operator, CONNECTIONS), "ESCALATED", words)
            undone = operator.run(workflow="restore", undo=done.name, approval=False, seconds=PATIENCE)
            assert undone.status == "SUCCEEDED", undone.cause
            assert check(ask(operator, CONNECTIONS, dry_run=True), "live")["verdict"] == "ACT"
    finally:
        go_home(operator)


def test_a_cache_that_is_replaced_while_a_person_thinks_is_left_alone(operator: Operator) -> None:
    """What was agreed to is about the one that was live then."""
    mark, old = operator.api_mark(), operator.replication_group()
    with (
        another_cache(operator, old) as endpoint,
        unheard(operator),
        altered(operator, EVICTIONS, Threshold=-1.0),
    ):
        operator.wait_for_alarm(EVICTIONS, seconds=PATIENCE)
        arn = start(operator, EVICTIONS)
        question = asked(operator, recorded(operator, arn))
        with moved(operator, "cache", endpoint):
            operator.approve(question)
            record = closed(operator, recorded(operator, arn))
        untouched(record, "ESCALATED", "live: the alarm is about", f":replicationgroup:{old}, and", f":{old}-2")
    assert operator.api_calls("elasticache:Modify*", "elasticache:Increase*", after=mark) == []
    assert operator.ledger.holder("remedy:cache") is None
    assert operator.ledger.actions(360) == []


@contextmanager
def another_cache(operator: Operator, like: str) -> Iterator[str]:
    """A second replication group in the live one's network, for the length of a block; where it is."""
    client, name = operator.clients["elasticache"], f"{like}-2"
    (group,) = client.describe_replication_groups(ReplicationGroupId=like)["ReplicationGroups"]
    (node,) = client.describe_cache_clusters(CacheClusterId=group["MemberClusters"][0])["CacheClusters"]

    def status() -> str | None:
        found = client.describe_replication_groups()["ReplicationGroups"]
        return next((str(one["Status"]) for one in found if one["ReplicationGroupId"] == name), None)

    client.create_replication_group(
        ReplicationGroupId=name,
        ReplicationGroupDescription="in place of the other",
        NumCacheClusters=1,
        CacheNodeType=group["CacheNodeType"],
        Engine="redis",
        CacheParameterGroupName=node["CacheParameterGroup"]["CacheParameterGroupName"],
        CacheSubnetGroupName=node["CacheSubnetGroupName"],
        SecurityGroupIds=[one["SecurityGroupId"] for one in node["SecurityGroups"]],
    )
    try:
        operator.until(status, lambda found: found == "available", name, seconds=PATIENCE)
        (made,) = client.describe_replication_groups(ReplicationGroupId=name)["ReplicationGroups"]
        primary = made["NodeGroups"][0]["PrimaryEndpoint"]
        yield f"{primary['Address']}:{primary['Port']}"
    finally:
        client.delete_replication_group(ReplicationGroupId=name)
        operator.until(status, lambda found: found is None, f"{name} to be gone", seconds=PATIENCE)


@contextmanager
def moved(operator: Operator, kind: str, endpoint: str) -> Iterator[None]:
    """The service uses another one for the length of a block."""
    usual = operator.endpoint(kind)
    move(operator, kind, endpoint)
    try:
        yield
    finally:
        move(operator, kind, usual)
