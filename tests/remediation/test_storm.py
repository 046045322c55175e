"""Two hundred alarm events within a minute, over all runbooks: nothing acts twice, and everything is accounted for."""

import itertools
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any

import pytest

from opskit.clock import moment_of
from opskit.ledger import OperationRecord
from sandbox.operator import Operator
from tests.remediation.alarms import altered
from tests.remediation.calm import FED, left_open, records
from tests.remediation.nodes import Nodes, nodes
from tests.remediation.repairs import acted, now

__all__ = ["nodes"]

pytestmark = pytest.mark.timeout(3600)  # where a machine does other things

EVENTS = 200
CAP, WINDOW = 12, timedelta(seconds=360)
# Two more are allowed within the hour; of the runbooks more than two would act.
TAKEN = CAP - 2
# A machine that does other things takes its time; nothing here depends on how much.
PATIENCE = 1500.0

# Fired by their thresholds, so that every runbook has something to do; also for the colour that nobody uses.
MOVED: dict[str, dict[str, Any]] = {
    "database-cpu": {"Threshold": -1.0},
    "database-connections": {"Threshold": -1.0},
    "cache-evictions": {"Threshold": -1.0},
    "alb-response-time": {"Threshold": 0.0, "TreatMissingData": "breaching"},
    "alb-unhealthy-hosts-blue": {"Threshold": 0.0, "TreatMissingData": "breaching"},
    "alb-unhealthy-hosts-green": {"Threshold": 0.0, "TreatMissingData": "breaching"},
}
EVERY = (*FED, *MOVED)

Put = Callable[[], object]


@contextmanager
def everything_fires(operator: Operator) -> Iterator[None]:
    """All nine alarms that have runbooks."""
    with ExitStack() as stack:
        for name in FED:
            stack.enter_context(operator.feeding(name, 1000))
        for name, changed in MOVED.items():
            stack.enter_context(altered(operator, name, **changed))
        for name in EVERY:
            operator.wait_for_alarm(name, seconds=120)
        yield


def storm(operator: Operator) -> tuple[list[Put], int]:
    """What is put on the bus, in any order; and how many of it the rule lets in."""
    own, numbers = operator.config, itertools.count()

    def event(alarm: str, **given: Any) -> Put:
        name = given.pop("event_id", None) or f"storm-{next(numbers)}"
        return lambda: operator.put_alarm_event(alarm, event_id=name, **given)

    alarms = itertools.cycle(EVERY)
    twice = [event(next(alarms), event_id=f"storm-twice-{n // 3}") for n in range(45)]
    again = [event(next(alarms)) for _ in range(40)]
    stale = [event(next(alarms), at=now() - timedelta(minutes=5 + n)) for n in range(35)]
    lies = [
        event(next(alarms), alarmName=f"{own.name}-alb-5xx", resource="arn:aws:rds:::db:billing", action="end_sessions")
        for _ in range(25)
    ]
    unknown = [event(f"nobody-knows-{n % 7}") for n in range(30)]
    let_in = [*twice, *again, *stale, *lies, *unknown]
    arn = operator.alarm_arn(next(alarms))
    elsewhere = [arn.replace(own.account, "999999999999"), arn.replace(own.name, "billing-prod")]
    forged = [event(next(alarms), resources=[one]) for one in itertools.islice(itertools.cycle(elsewhere), 25)]
    everything = [*let_in, *forged]
    assert len(everything) == EVENTS
    random.Random(5).shuffle(everything)  # noqa: S311 - the same order each time
    return everything, len(let_in)


def of_storm(operator: Operator, since: Any) -> list[OperationRecord]:
    """The records of its events."""
    return [
        one
        for one in records(operator)
        if one.started_at >= since and str(one.facts.get("event_id") or "").startswith("storm-")
    ]


def undelivered(operator: Operator) -> list[dict[str, Any]]:
    """Take what lies in the dead-letter queue of events."""
    sqs, found = operator.clients["sqs"], list[dict[str, Any]]()
    url = sqs.get_queue_url(QueueName=f"{operator.config.name}-undelivered-events")["QueueUrl"]
    while got := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        for message in got:
            found.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


def test_a_storm_of_alarms(operator: Operator, nodes: Nodes) -> None:
    undelivered(operator)
    for number in range(TAKEN):
        operator.ledger.reserve(
            f"other-{number}", "arn:x", f"other-{number}", CAP, now(), window_seconds=WINDOW.total_seconds()
        )
    since, mark, dead = now(), operator.api_mark(), []
    with everything_fires(operator):
        events, let_in = storm(operator)
        with ThreadPoolExecutor(8) as pool:
            for put in [pool.submit(one) for one in events]:
                put.result()

        def accounted() -> int:
            dead.extend(undelivered(operator))
            return len(of_storm(operator, since)) + len(dead)

        operator.until(accounted, lambda n: n >= let_in, "a record of every event", seconds=PATIENCE)
        operator.until(
            lambda: sum(one.outcome is None for one in of_storm(operator, since)),
            lambda n: n <= len(EVERY),
            "all but those of the alarms themselves to be closed",
            seconds=PATIENCE,
        )
    with operator.feeding("eks-cpu", 10), operator.feeding("eks-memory", 10):
        operator.until(lambda: operator.running("remediate"), lambda arns: not arns, "all to end", seconds=PATIENCE)
    operator.call("remediate-settle-interrupted", {})
    operator.until(lambda: left_open(operator), lambda found: not found, "all to be closed", seconds=120)

    # Every event has a record of its own, or lies in the dead-letter queue; forged ones were not even let in.
    dead.extend(undelivered(operator))
    found = of_storm(operator, since)
    assert len(found) + len(dead) == let_in
    assert not dead, dead
    outcomes = Counter(str(one.outcome) for one in found)
    assert outcomes["UNKNOWN"] == 30
    assert outcomes["STALE"] >= 35
    assert not outcomes["FAILED"], [one.outcome_reason for one in found if one.outcome == "FAILED"]
    assert not outcomes["INTERRUPTED"], [one.outcome_reason for one in found if one.outcome == "INTERRUPTED"]

    # Nothing acts twice, and the cap holds over all of them.
    everyone = [one for one in records(operator) if one.started_at >= since]
    actions = [one for one in everyone if acted(one)]
    assert max(Counter(str(one.facts["alarm"]) for one in actions).values(), default=0) <= 1
    moments = [moment_of(str(one.facts["acted_at"])) for one in actions if one.facts.get("acted_at")]
    earlier = [since] * TAKEN
    for end in moments:
        assert sum(end - WINDOW < moment <= end for moment in (*earlier, *moments)) <= CAP
    assert 1 <= len(actions) <= len(EVERY)
    assert any("cap" in str(one.outcome_reason) for one in everyone if one.outcome == "ESCALATED"), outcomes
    calls = Counter(call["action"] for call in operator.api_calls(after=mark))
    raised = sum(one.facts["action"] == "scale_node_group" for one in actions)
    assert nodes.added == raised
    assert calls["elasticache:IncreaseReplicaCount"] == sum(
        one.facts["action"] == "add_cache_replica" for one in actions
    )
    assert calls["elasticache:ModifyReplicationGroup"] == 0, "nobody had agreed"
