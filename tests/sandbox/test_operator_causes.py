"""Alarms fire for real causes, and fall silent when these are treated; a sandbox without the automation stack."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from lightkube.core.exceptions import ApiError
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import PodEviction

from opskit.traffic import Colour
from sandbox.kubernetes.client import administrator
from sandbox.operator import Operator
from sandbox.provision import setup
from sandbox.supervisor import Options, sandbox

BLUE = Colour.BLUE


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    options = Options(setup=partial(setup, deploy=False, engines=True))
    with sandbox(tmp_path_factory.mktemp("causes") / "box", options, progress=lambda _: None) as config:
        yield Operator(config)


def service_sessions(operator: Operator) -> int:
    (row,) = operator.sql(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'detection_api' AND application_name = 'detection-api'"
    )
    return int(row[0])


def test_every_alarm_is_there_and_has_its_resource(operator: Operator) -> None:
    alarms = operator.clients["cloudwatch"].describe_alarms(AlarmNamePrefix=operator.config.name)["MetricAlarms"]
    assert len(alarms) == 11
    for alarm in alarms:
        assert operator.platform.alarm_resource(alarm["AlarmName"])
    assert operator.platform.alarm_resource(operator.alarm_name("database-cpu")) == operator.database()["DBInstanceArn"]
    group = operator.clients["elasticache"].describe_replication_groups(
        ReplicationGroupId=operator.replication_group()
    )["ReplicationGroups"][0]
    assert operator.platform.alarm_resource(operator.alarm_name("cache-cpu")) == group["ARN"]
    watched = [query["MetricStat"]["Metric"] for query in operator.alarm("cache-cpu")["Metrics"][1:]]
    assert [metric["Dimensions"][0]["Value"] for metric in watched] == group["MemberClusters"]
    nodes = operator.clients["eks"].describe_nodegroup(
        clusterName=operator.platform.cluster_name, nodegroupName=operator.platform.node_group
    )["nodegroup"]
    assert nodes["scalingConfig"] == {"minSize": 2, "maxSize": 4, "desiredSize": 2}


def test_too_many_connections(operator: Operator) -> None:
    operator.wait_for_alarm("database-connections", "OK")
    own = service_sessions(operator)
    with operator.open_sessions(155, in_transaction=True) as held:
        operator.wait_for_alarm("database-connections")
        states = operator.sql(
            "SELECT DISTINCT state, usename, backend_type FROM pg_stat_activity WHERE application_name = 'a-leak'"
        )
        assert states == [["idle in transaction", "detection_api", "client backend"]]
        assert held.alive() == 155
        assert service_sessions(operator) >= min(own, 1)
        operator.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'a-leak'")
        assert held.alive() == 0
        operator.wait_for_alarm("database-connections", "OK")


def test_queries_that_run_away(operator: Operator) -> None:
    operator.wait_for_alarm("database-cpu", "OK")
    running = operator.run_query()
    try:
        operator.wait_for_alarm("database-cpu")
        assert running.running() == 3
    finally:
        operator.end_query()
    operator.wait_for_alarm("database-cpu", "OK")
    operator.until(running.running, lambda left: left == 0, "the queries to end", seconds=10)
    assert len(running.errors) == 3


def test_a_cache_that_is_too_small(operator: Operator) -> None:
    operator.wait_for_alarm("cache-evictions", "OK")
    with operator.flood_cache():
        operator.wait_for_alarm("cache-evictions")
        operator.clients["elasticache"].modify_replication_group(
            ReplicationGroupId=operator.replication_group(), CacheNodeType="cache.m6g.large", ApplyImmediately=True
        )
        operator.wait_for_alarm("cache-evictions", "OK", 90)
    assert not list(operator.cache().scan_iter("flood-*"))


def evict(operator: Operator, name: str) -> None:
    eviction = PodEviction(metadata=ObjectMeta(name=name, namespace=operator.config.service))
    administrator(operator.config).create(eviction, name, namespace=operator.config.service)


def test_a_pod_that_hangs_is_unhealthy_until_it_is_replaced(operator: Operator) -> None:
    operator.wait_for_alarm("alb-unhealthy-hosts-blue", "OK")
    names = {pod["metadata"]["name"] for pod in operator.pods(BLUE)}
    with operator.freeze_pod(BLUE) as frozen:
        operator.wait_for_alarm("alb-unhealthy-hosts-blue")
        assert frozen in {pod["metadata"]["name"] for pod in operator.pods(BLUE)}
        assert operator.targets(BLUE).unhealthy == 1
        evict(operator, frozen)
        # The budget keeps the other until there is one in the place of this one.
        (other,) = names - {frozen}
        with pytest.raises(ApiError) as caught:
            evict(operator, other)
        assert caught.value.status.code == 429
        operator.wait_for_alarm("alb-unhealthy-hosts-blue", "OK")
        operator.until(
            lambda: operator.targets(BLUE).healthy, lambda healthy: healthy == 2, "two healthy targets", seconds=30
        )
    operator.until(
        lambda: {pod["metadata"]["name"] for pod in operator.pods(BLUE)},
        lambda left: frozen not in left and len(left) == 2,
        f"{frozen} to be gone",
        seconds=30,
    )


def test_what_is_not_measured_is_fed(operator: Operator) -> None:
    began = time.time()
    for alarm in ("eks-cpu", "eks-memory", "cache-cpu"):
        with operator.feeding(alarm):
            operator.wait_for_alarm(alarm)
        operator.feed_metric(alarm, 0)
    with operator.feeding("eks-cpu", 10):
        operator.wait_for_alarm("eks-cpu", "OK")
    # While the others were fed it may have been without data, and have said so.
    states = [state for _, state in operator.alarm_history("eks-cpu", began)]
    assert "ALARM" in states
    assert states[-1] == "OK"


def test_events_of_alarms_can_be_forged_repeated_and_late(operator: Operator) -> None:
    sqs, bus = operator.clients["sqs"], operator.clients["events"]
    url = sqs.create_queue(QueueName="told")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    bus.put_rule(Name="told", EventPattern=json.dumps({"source": ["aws.cloudwatch"], "detail": {"forged": [True]}}))
    bus.put_targets(Rule="told", Targets=[{"Id": "queue", "Arn": arn}])
    past = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
    first = operator.put_alarm_event("database-cpu", at=past, event_id="one", forged=True)
    assert operator.put_alarm_event("database-cpu", at=past, event_id="one", forged=True) == first == "one"
    operator.put_alarm_event("database-cpu", resources=["arn:aws:rds:::db:another"], forged=True)

    def received() -> list[dict[str, Any]]:
        got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0).get("Messages", [])
        return [json.loads(message["Body"]) for message in got]

    events = operator.until(received, lambda found: len(found) == 3, "three events", seconds=10)
    assert [event["id"] for event in events].count("one") == 2
    assert {event["time"] for event in events if event["id"] == "one"} == {past.strftime("%Y-%m-%dT%H:%M:%SZ")}
    assert [event["resources"] for event in events if event["id"] != "one"] == [["arn:aws:rds:::db:another"]]
    # Nothing but its metric changes an alarm.
    assert operator.alarm("database-cpu")["StateValue"] != "ALARM"
