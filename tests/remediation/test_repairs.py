"""Real causes make alarms fire, these start their runbooks, and what was wrong is right again."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest
from lightkube.resources.policy_v1 import PodDisruptionBudget
from lightkube.types import PatchType

from opskit.clock import moment_of
from opskit.traffic import Colour
from sandbox.kubernetes.client import administrator
from sandbox.load import Load, Plan
from sandbox.operator import Operator
from sandbox.provision.roles import database_user
from tests.remediation.nodes import Nodes, nodes
from tests.remediation.repairs import PATIENCE, announced, asked, begun, closed, evidence, now, repaired
from tests.remediation.timeline import Timeline

__all__ = ["nodes"]

pytestmark = pytest.mark.timeout(1200)  # where a machine does other things

LEAK = "a-leak"
CONNECTIONS = "SELECT application_name FROM pg_stat_activity WHERE usename = 'detection_api'"


def idle_seconds(operator: Operator) -> float:
    """For how long the leaked sessions have done nothing, the youngest of them."""
    statement = (
        "SELECT extract(epoch FROM clock_timestamp() - max(state_change))::float8 FROM pg_stat_activity"
        " WHERE application_name = :name"
    )
    ((seconds,),) = operator.sql(statement, name=LEAK)
    return float(seconds or 0)


def lost_connections(operator: Operator) -> int:
    """How often the service has found its database gone."""
    logs = (operator.config.dir / "logs" / "pods").glob("*.log")
    return sum(log.read_text(encoding="utf-8", errors="replace").count("database lost") for log in logs)


def test_leaked_connections_end_and_the_services_own_stay(operator: Operator, timelines: list[Timeline]) -> None:
    operator.wait_for_alarm("database-connections", "OK", PATIENCE)
    lost = lost_connections(operator)
    with operator.open_sessions(80, application=LEAK) as idle:
        # Longer than the bound of 600 s, of which a rehearsal has a tenth; the pool's are idle for as long.
        operator.until(lambda: idle_seconds(operator), lambda age: age > 62, "them to be idle for long", seconds=120)
        caused_at = now()
        with operator.open_sessions(76, in_transaction=True, application=LEAK) as held:
            record = repaired(operator, "database-connections", caused_at)
            timelines.append(Timeline.of(record, caused_at))
            told = announced(record)
            assert {one["application"] for one in told["chosen"]} == {LEAK}
            assert len(told["chosen"]) == 100, "at most so many at once"
            # The longest in a transaction first, then the longest idle; nothing of the service's own.
            states = [one["state"] for one in told["chosen"]]
            assert states == ["idle in transaction"] * 76 + ["idle"] * 24
            assert held.alive() == 0
            assert idle.alive() == 80 - 24
    assert operator.alarm("database-connections")["StateValue"] == "OK"
    left = [row[0] for row in operator.sql(CONNECTIONS)]
    assert database_user(operator.config) in left, "the pool names itself so"
    assert lost_connections(operator) == lost
    assert evidence(operator, record)["acted"]["capture"]["sessions"]["detection_api"]["idle in transaction"] == 76


def test_a_runaway_query_is_cancelled_and_who_ran_it_is_on_record(
    operator: Operator, timelines: list[Timeline]
) -> None:
    operator.wait_for_alarm("database-cpu", "OK", PATIENCE)
    caused_at = now()
    running = operator.run_query()
    record = repaired(operator, "database-cpu", caused_at)
    timelines.append(Timeline.of(record, caused_at))
    assert running.running() == 0
    assert all("cancel" in error for error in running.errors), running.errors
    (busiest, *_) = evidence(operator, record)["acted"]["capture"]["busiest"]
    assert (busiest["application"], busiest["role"]) == ("a-report", "detection_api")
    assert "generate_series" in busiest["statement"]


def test_a_cache_that_evicts_gets_larger_nodes_once_a_person_agrees(
    operator: Operator, timelines: list[Timeline]
) -> None:
    operator.wait_for_alarm("cache-evictions", "OK", PATIENCE)
    group = operator.replication_group()
    before = node_type(operator, group)
    caused_at = now()
    try:
        with operator.flood_cache():
            begins = begun(operator, "cache-evictions", caused_at)
            question = asked(operator, begins)
            assert node_type(operator, group) == before, "not before somebody agrees"
            operator.approve(question)
            record = closed(operator, begins)
            timelines.append(Timeline.of(record, caused_at))
        assert (before, node_type(operator, group)) == ("cache.t4g.medium", "cache.m7g.large")
        assert evidence(operator, record)["approval"]["approved_by"] == "a person"
    finally:
        resize(operator, group, before)


def node_type(operator: Operator, group: str) -> str:
    """The node type of a replication group."""
    (found,) = operator.clients["elasticache"].describe_replication_groups(ReplicationGroupId=group)[
        "ReplicationGroups"
    ]
    return str(found["CacheNodeType"])


def resize(operator: Operator, group: str, to: str) -> None:
    """Give it back the nodes that it had."""
    client = operator.clients["elasticache"]

    def found() -> dict[str, object]:
        return dict(client.describe_replication_groups(ReplicationGroupId=group)["ReplicationGroups"][0])

    operator.until(found, lambda one: one["Status"] == "available", "the cache to be available", seconds=PATIENCE)
    if node_type(operator, group) != to:
        client.modify_replication_group(ReplicationGroupId=group, CacheNodeType=to, ApplyImmediately=True)
        operator.until(
            found, lambda one: (one["Status"], one["CacheNodeType"]) == ("available", to), to, seconds=PATIENCE
        )


def test_a_cache_that_computes_too_much_gets_a_replica(operator: Operator, timelines: list[Timeline]) -> None:
    """Its CPU is fed: a Redis that is kept busy would take the machine's processors from everything else.

    Much of it, for what is measured of the idle servers counts as well.
    """
    group = operator.replication_group()
    before = members(operator, group)
    caused_at = now()
    with operator.feeding("cache-cpu", 1000):
        begins = begun(operator, "cache-cpu", caused_at)
        operator.until(
            lambda: members(operator, group), lambda there: len(there) == len(before) + 1, "a replica", seconds=PATIENCE
        )
    record = closed(operator, begins)
    timelines.append(Timeline.of(record, caused_at))
    assert record.facts["action"] == "add_cache_replica"


def members(operator: Operator, group: str) -> list[str]:
    """The nodes of a replication group."""
    (found,) = operator.clients["elasticache"].describe_replication_groups(ReplicationGroupId=group)[
        "ReplicationGroups"
    ]
    return list(found["MemberClusters"])


def test_a_pod_that_hangs_makes_room_for_another(operator: Operator, timelines: list[Timeline]) -> None:
    colour = operator.weights().whole or Colour.BLUE
    alarm = f"alb-unhealthy-hosts-{colour}"
    operator.wait_for_alarm(alarm, "OK", PATIENCE)
    pods = {str(pod["metadata"]["name"]) for pod in operator.pods(colour)}
    # One that has just come is left alone for 120 s, of which a rehearsal has a tenth.
    operator.until(lambda: youngest(operator, colour), lambda age: age > 13, "the pods to be old enough", seconds=60)
    caused_at = now()
    fewest = []
    with operator.freeze_pod(colour) as frozen:
        begins = begun(operator, alarm, caused_at)

        def watched() -> bool:
            fewest.append(operator.targets(colour).healthy)
            found = operator.ledger.operation_of("remediate", begins.execution_name)
            return found is not None and found.outcome is not None

        operator.until(watched, bool, "the repair to end", seconds=PATIENCE)
        record = closed(operator, begins)
    timelines.append(Timeline.of(record, caused_at))
    assert announced(record)["pod"] == frozen
    assert min(fewest) >= len(pods) - 1, "the others served all the time"
    left = operator.until(
        lambda: {str(pod["metadata"]["name"]) for pod in operator.pods(colour)},
        lambda names: frozen not in names and len(names) == len(pods),
        "another in its place",
        seconds=PATIENCE,
    )
    assert pods - left == {frozen}, "one at a time"


def youngest(operator: Operator, colour: Colour) -> float:
    """The age of a colour's youngest pod, in seconds."""
    return min(
        (now() - moment_of(pod["metadata"]["creationTimestamp"])).total_seconds() for pod in operator.pods(colour)
    )


def test_nothing_is_evicted_below_the_disruption_budget(operator: Operator) -> None:
    colour = operator.weights().whole or Colour.BLUE
    alarm = f"alb-unhealthy-hosts-{colour}"
    operator.wait_for_alarm(alarm, "OK", PATIENCE)
    operator.until(lambda: youngest(operator, colour), lambda age: age > 13, "the pods to be old enough", seconds=60)
    before = {pod["metadata"]["name"] for pod in operator.pods(colour)}
    with nothing_to_spare(operator, colour), operator.freeze_pod(colour):
        since = now()
        record = repaired(operator, alarm, since)
        assert record.outcome == "ESCALATED", record.outcome_reason
        assert "budget" in (record.outcome_reason or "")
        assert {pod["metadata"]["name"] for pod in operator.pods(colour)} == before


@contextmanager
def nothing_to_spare(operator: Operator, colour: Colour) -> Iterator[None]:
    """A disruption budget that lets no pod go that is ready; a frozen one still counts as ready."""
    client, name = administrator(operator.config), f"{operator.config.service}-{colour}"

    def allow(pods: int) -> None:
        body = {"spec": {"maxUnavailable": pods}}
        client.patch(PodDisruptionBudget, name, body, namespace=operator.config.service, patch_type=PatchType.MERGE)

    allow(0)
    try:
        yield
    finally:
        allow(1)


def test_a_release_that_grew_slow_after_it_had_finished_is_rolled_back(
    operator: Operator, timelines: list[Timeline]
) -> None:
    good, fading = "2.1.0", "2.1.1-fading"
    operator.push(good)
    done = operator.run(image=good, bake_seconds=0, seconds=PATIENCE)
    assert done.status == "SUCCEEDED", done.cause
    operator.push(fading, "fading", fading_seconds=100, fading_delay_seconds=1.8)
    began: datetime = now()
    done = operator.run(image=fading, bake_seconds=0, seconds=PATIENCE)
    assert done.status == "SUCCEEDED", done.cause
    finished_at, live = now(), operator.ledger.live()
    assert live is not None
    with Load(Plan(url=operator.config.service_url, rate=8, seconds=PATIENCE, slow_share=0)):
        record = repaired(operator, "alb-response-time", began)
        timelines.append(Timeline.of(record, finished_at))
    assert record.facts["action"] == "roll_back_release"
    after = operator.ledger.live()
    assert after is not None
    assert after.colour == live.colour.other
    assert after.release != live.release
    assert operator.weights().whole == after.colour


def test_nodes_that_are_full_get_more_until_their_maximum(
    operator: Operator, nodes: Nodes, timelines: list[Timeline]
) -> None:
    nodes.resize(nodes.maximum - 1)
    caused_at = now()
    with operator.feeding("eks-cpu", 95):
        begins = begun(operator, "eks-cpu", caused_at)
        operator.until(lambda: nodes.desired, lambda n: n == nodes.maximum, "a node more", seconds=PATIENCE)
    with operator.feeding("eks-cpu", 20):
        record = closed(operator, begins)
    timelines.append(Timeline.of(record, caused_at))
    # Another alarm about the same nodes, which are as many as may be.
    since = now()
    with operator.feeding("eks-memory", 95):
        full = repaired(operator, "eks-memory", since)
    assert full.outcome == "ESCALATED"
    assert "its maximum" in (full.outcome_reason or "")
    assert nodes.desired == nodes.maximum
