"""Each guardrail in the running system, and an attempt to get past it."""

import time
from datetime import timedelta
from typing import Any

import pytest

from opskit.clock import moment_of, timestamp
from opskit.ledger import OperationRecord
from sandbox.operator import Operator
from tests.remediation.alarms import altered, flap, put
from tests.remediation.calm import switch
from tests.remediation.functions import runbooks_of, start_anew
from tests.remediation.nodes import ALARM, Nodes, nodes, unheard
from tests.remediation.repairs import (
    PATIENCE,
    about,
    acted,
    ask,
    begun,
    check,
    closed,
    now,
    repaired,
    start,
    untouched,
)

__all__ = ["nodes"]

pytestmark = pytest.mark.timeout(1200)  # where a machine does other things

CAP = 12
WINDOW = 360.0


def told(operator: Operator, event: dict[str, Any]) -> OperationRecord:
    """The closed record of an execution that was started with an event, as EventBridge would start it."""
    given = {
        "id": "an-event",
        "source": event["source"],
        "detail-type": event["detail_type"],
        "time": timestamp(moment_of_epoch(event["time"])),
        "resources": event["resources"],
        "detail": event["detail"],
    }
    execution = operator.wait(operator.start(workflow="remediate", **given), PATIENCE)
    found = operator.ledger.operation_of("remediate", execution.name)
    assert found is not None
    return closed(operator, found)


def moment_of_epoch(seconds: float) -> Any:
    return now() - timedelta(seconds=time.time() - seconds)


def test_a_stale_event_and_one_from_the_future_are_not_acted_on(operator: Operator, nodes: Nodes) -> None:
    with unheard(operator), nodes.full():
        # Its text says that it is new; only the event's own time counts.
        late = operator.alarm_event(ALARM, at=now() - timedelta(minutes=10))
        late["detail"]["state"]["timestamp"] = timestamp(now())
        untouched(told(operator, late), "STALE", "s old")
        untouched(told(operator, operator.alarm_event(ALARM, at=now() + timedelta(hours=1))), "STALE", "to come")
    assert nodes.added == 0


def test_an_event_of_an_alarm_that_does_not_fire_is_stale(operator: Operator, nodes: Nodes) -> None:
    with operator.feeding(ALARM, 10):
        operator.wait_for_alarm(ALARM, "OK")
        untouched(told(operator, operator.alarm_event(ALARM)), "STALE", "is OK")
    assert nodes.added == 0


def test_duplicates_with_the_same_or_another_id_act_once(operator: Operator, nodes: Nodes) -> None:
    since = now()
    with nodes.full():
        for number in range(6):
            operator.put_alarm_event(ALARM, event_id=f"copy-{number % 3}")
        first = begun(operator, ALARM, since)
        operator.until(lambda: nodes.added, bool, "the nodes to be raised", seconds=PATIENCE)
        operator.until(
            lambda: [one.outcome for one in about(operator, ALARM, since)],
            lambda outcomes: len(outcomes) == 7 and outcomes.count("DUPLICATE") == 6,
            "seven records",
            seconds=PATIENCE,
        )
    with operator.feeding(ALARM, 10):
        assert closed(operator, first).outcome == "RESOLVED"
    assert nodes.added == 1
    assert sum(acted(one) for one in about(operator, ALARM, since)) == 1


def test_an_alarm_that_flaps_is_left_to_people_also_by_request(operator: Operator, nodes: Nodes) -> None:
    since = now()
    switch(operator, paused=True, reason="only the last transition is of interest")
    with operator.feeding(ALARM, 50), altered(operator, ALARM, Threshold=80.0):

        def heard(number: int) -> None:
            (newest, *_) = operator.until(
                lambda: about(operator, ALARM, since), lambda found: len(found) == number, "a record", seconds=PATIENCE
            )
            operator.until(
                lambda: operator.execution(newest.execution_id).states,
                lambda states: "Admitted" in states,
                "it to be noted",
                seconds=PATIENCE,
            )

        flap(operator, ALARM, 4, heard)
        operator.until(
            lambda: [one.outcome for one in about(operator, ALARM, since)],
            lambda outcomes: "ESCALATED" in outcomes and len(outcomes) == 4 and None not in outcomes,
            "four records",
            seconds=PATIENCE,
        )
        switch(operator, paused=False)
        (flapping,) = [one for one in about(operator, ALARM, since) if one.outcome == "ESCALATED"]
        untouched(flapping, "ESCALATED", "fired 4 times", "flapping")
        untouched(ask(operator, ALARM), "ESCALATED", "flapping")
    assert nodes.added == 0


def test_an_unknown_alarm_sets_nothing_off_but_a_record(operator: Operator, nodes: Nodes) -> None:
    known = operator.alarm(ALARM)
    fields = {name: known[name] for name in ("Namespace", "MetricName", "Dimensions", "Statistic", "Period")}
    rest = {"EvaluationPeriods": 1, "Threshold": 1.0, "ComparisonOperator": "GreaterThanThreshold"}
    since = now()
    name = f"{operator.config.name}-nobody-knows"
    try:
        with operator.feeding(ALARM, 50):
            put(operator, {"AlarmName": name, **fields, **rest})
            untouched(repaired(operator, "nobody-knows", since), "UNKNOWN", "no runbook")
    finally:
        operator.clients["cloudwatch"].delete_alarms(AlarmNames=[name])
    untouched(ask(operator, "nobody-knows"), "UNKNOWN")
    untouched(ask(operator, "alb-5xx"), "UNKNOWN", "has no repair")
    assert nodes.added == 0


def test_an_event_cannot_name_another_account_service_or_alarm(operator: Operator, nodes: Nodes) -> None:
    own = operator.alarm_arn(ALARM)
    with unheard(operator), nodes.full():
        foreign = own.replace(operator.config.account, "999999999999")
        untouched(told(operator, operator.alarm_event(ALARM) | {"resources": [foreign]}), "UNKNOWN", foreign)
        other = own.replace(operator.config.name, "billing-prod")
        untouched(told(operator, operator.alarm_event(ALARM) | {"resources": [other]}), "UNKNOWN", "not an alarm of")
        two = operator.alarm_event(ALARM) | {"resources": [own, operator.alarm_arn("cache-cpu")]}
        untouched(told(operator, two), "REFUSED", "resources")
    assert nodes.added == 0
    # The rule itself lets neither in.
    since = now()
    for arn in (foreign, other):
        operator.put_alarm_event(ALARM, resources=[arn], event_id="forged")
    operator.put_alarm_event("nobody-knows")
    begun(operator, "nobody-knows", since)
    assert not [one for one in about(operator, ALARM, since) if one.facts["event_id"] == "forged"]


def test_what_an_event_says_is_not_believed(operator: Operator, nodes: Nodes) -> None:
    """Its text names another alarm, another resource and other numbers; the alarm's ARN decides."""
    with unheard(operator), nodes.full():
        lie = operator.alarm_event(
            ALARM,
            alarmName=operator.alarm_name("database-connections"),
            resource=operator.database()["DBInstanceArn"],
            configuration={"metrics": [{"metricStat": {"metric": {"dimensions": {"ClusterName": "billing"}}}}]},
            bounds={"step": 9},
            action="end_sessions",
            desiredSize=9,
        )
        with operator.feeding(ALARM, 95):
            given = {"id": "a-lie", "source": lie["source"], "detail-type": lie["detail_type"]}
            given |= {"time": timestamp(now()), "resources": lie["resources"], "detail": lie["detail"]}
            arn = operator.start(workflow="remediate", **given)
            operator.until(lambda: nodes.added, bool, "the nodes to be raised", seconds=PATIENCE)
    with operator.feeding(ALARM, 10):
        operator.wait(arn, PATIENCE)
    record = operator.ledger.operation_of("remediate", arn.rpartition(":")[2])
    assert record is not None
    assert (record.outcome, record.facts["action"]) == ("RESOLVED", "scale_node_group")
    assert record.facts["resource"] == operator.platform.alarm_resource(operator.alarm_name(ALARM))
    assert nodes.added == 1


def test_an_alarm_that_was_pointed_at_something_else_is_not_acted_on(operator: Operator, nodes: Nodes) -> None:
    with (
        unheard(operator),
        altered(operator, ALARM, Dimensions=[{"Name": "ClusterName", "Value": "billing"}]),
        nodes.full(),
    ):
        untouched(ask(operator, ALARM), "ESCALATED", "subject", "billing")
    assert nodes.added == 0


def test_a_resource_that_is_not_on_the_list_is_not_touched(operator: Operator, nodes: Nodes) -> None:
    ssm, name = (
        operator.clients["ssm"],
        f"/{operator.config.service}/{operator.config.environment}/platform/alarm_resources",
    )
    before = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    rest = [item for item in before.split(",") if not item.strip().startswith(operator.alarm_name(ALARM) + "=")]
    assert len(rest) == len(before.split(",")) - 1
    ssm.put_parameter(Name=name, Value=",".join(rest), Overwrite=True)
    try:
        start_anew(operator, "plan-remedy")  # a function knows the list for a minute
        with unheard(operator), nodes.full():
            untouched(ask(operator, ALARM), "ESCALATED", "do not say what")
    finally:
        ssm.put_parameter(Name=name, Value=before, Overwrite=True)
        start_anew(operator, "plan-remedy")
    assert nodes.added == 0


def test_between_two_actions_lies_the_cooldown(operator: Operator, nodes: Nodes) -> None:
    first, again = now(), None
    with nodes.full():
        begins = begun(operator, ALARM, first)
        operator.until(lambda: nodes.added, lambda n: n == 1, "the first action", seconds=PATIENCE)
    with operator.feeding(ALARM, 10):
        one = closed(operator, begins)
    assert one.outcome == "RESOLVED", one.outcome_reason
    again = now()
    with nodes.full():
        waiting = begun(operator, ALARM, again)
        arn = waiting.execution_id
        operator.wait_for_state(arn, "Defer", PATIENCE)
        assert nodes.added == 1
        operator.until(lambda: nodes.added, lambda n: n == 2, "the second action", seconds=PATIENCE)
    with operator.feeding(ALARM, 10):
        two = closed(operator, waiting)
    between = moment_of(two.facts["acted_at"]) - moment_of(one.facts["acted_at"])
    assert between >= timedelta(seconds=90), "a tenth of the runbook's 900 s"


def test_the_hourly_cap_holds_over_all_runbooks(operator: Operator, nodes: Nodes) -> None:
    for number in range(CAP):
        taken = operator.ledger.reserve("cache-cpu", "arn:x", f"other-{number}", CAP, now(), window_seconds=WINDOW)
        assert taken.reserved
    with unheard(operator), nodes.full():
        untouched(ask(operator, ALARM), "ESCALATED", f"{CAP} of {CAP} actions")
    assert nodes.added == 0


def test_an_action_that_does_not_help_is_a_strike_and_after_three_only_people_act(
    operator: Operator, nodes: Nodes
) -> None:
    for number in range(2):
        operator.ledger.struck(ALARM, f"earlier-{number}", 3)
    with unheard(operator), nodes.full():
        third = ask(operator, ALARM)
        assert third.outcome == "INEFFECTIVE", third.outcome_reason
        assert acted(third)
        assert "ops resume --alarm eks-cpu" in (third.outcome_reason or "")
        assert nodes.added == 1
        untouched(ask(operator, ALARM), "ESCALATED", "3 actions in a row did not help")
        operator.ledger.unblock(ALARM, "a person", "looked at it")
        planned = ask(operator, ALARM, dry_run=True)
        assert check(planned, "strikes")["verdict"] == "ACT"
    assert nodes.added == 1


@pytest.mark.parametrize("value", ['{"paused": true, "reason": "a move", "by": "ann"}', "{", '{"paused": "no"}', None])
def test_the_kill_switch_holds_also_where_it_is_broken_or_gone(
    operator: Operator, nodes: Nodes, value: str | None
) -> None:
    ssm, name = operator.clients["ssm"], f"/{operator.config.service}/{operator.config.environment}/remediation/switch"
    if value is None:
        ssm.delete_parameter(Name=name)
    else:
        ssm.put_parameter(Name=name, Value=value, Type="String", Overwrite=True)
    try:
        with unheard(operator), nodes.full():
            untouched(ask(operator, ALARM), "SUPPRESSED", "switch")
    finally:
        ssm.put_parameter(Name=name, Value='{"paused": false}', Type="String", Overwrite=True)
    assert nodes.added == 0


def test_a_pause_that_is_over_does_not_hold(operator: Operator, nodes: Nodes) -> None:
    switch(operator, paused=True, reason="a move", until=now() - timedelta(seconds=1))
    with unheard(operator), nodes.full():
        planned = ask(operator, ALARM, dry_run=True)
    assert check(planned, "switch")["verdict"] == "ACT"


def test_a_dry_run_tells_and_changes_nothing(operator: Operator, nodes: Nodes) -> None:
    with unheard(operator), nodes.full():
        record = ask(operator, ALARM, dry_run=True)
        untouched(record, "PLANNED", "raise the node group", "a dry run was asked for")
        assert len(record.facts["checks"]) == 13
        assert operator.ledger.actions(WINDOW) == []
        assert operator.ledger.holder("remedy:cluster") is None
    assert nodes.added == 0


def test_productions_runbooks_only_tell_whoever_asks(operator: Operator, nodes: Nodes) -> None:
    """They ship with `mode = "dry_run"`; the alarm itself and a person's wish to have it done change nothing."""
    since = now()
    with runbooks_of(operator, "prod", "admit-alarm", "plan-remedy", "reserve-remedy"), nodes.full():
        untouched(repaired(operator, ALARM, since), "PLANNED", "would raise the node group", "mode is dry_run")
        record = ask(operator, ALARM, dry_run=False)
        untouched(record, "PLANNED", "would raise the node group", "mode is dry_run")
        # Not that anything else would have kept it from acting.
        verdicts = {one["guard"]: one["verdict"] for one in record.facts["checks"]}
        assert verdicts.pop("dry run") == "PLANNED"
        assert set(verdicts.values()) == {"ACT"}, verdicts
        assert operator.ledger.actions(WINDOW) == []
        assert operator.ledger.holder("remedy:cluster") is None
    assert nodes.added == 0


def test_while_a_release_is_in_progress_it_waits(operator: Operator, nodes: Nodes) -> None:
    ledger = operator.ledger
    held = ledger.acquire("arn:aws:states:us-east-1:000000000000:execution:a:release", "a release", 600)
    since = now()
    try:
        with nodes.full():
            waiting = begun(operator, ALARM, since)
            arn = waiting.execution_id
            operator.wait_for_state(arn, "Defer", PATIENCE)
            assert nodes.added == 0
            ledger.release(held)
            operator.until(lambda: nodes.added, bool, "the nodes to be raised", seconds=PATIENCE)
    finally:
        ledger.release(held)
    with operator.feeding(ALARM, 10):
        assert closed(operator, waiting).outcome == "RESOLVED"
    assert nodes.added == 1


def test_of_two_alarms_about_one_resource_one_is_acted_on(operator: Operator, nodes: Nodes) -> None:
    since = now()
    with operator.feeding("eks-memory", 95), nodes.full():
        operator.wait_for_alarm("eks-memory")
        both = [begun(operator, name, since) for name in (ALARM, "eks-memory")]
        operator.until(lambda: nodes.added, bool, "the nodes to be raised", seconds=PATIENCE)
    with operator.feeding(ALARM, 10), operator.feeding("eks-memory", 10):
        outcomes = sorted(str(closed(operator, one).outcome) for one in both)
    assert outcomes == ["RECOVERED", "RESOLVED"]
    assert nodes.added == 1


def test_an_alarm_whose_cause_has_an_alarm_of_its_own_waits_for_that(operator: Operator) -> None:
    """Slow answers and a full database: the pods are not raised, they would only ask it more."""
    switched = {"Threshold": -1.0}
    with (
        unheard(operator),
        altered(operator, "database-connections", **switched),
        altered(operator, "alb-response-time", TreatMissingData="breaching", Threshold=0.0),
    ):
        operator.wait_for_alarm("database-connections")
        operator.wait_for_alarm("alb-response-time")
        arn = start(operator, "alb-response-time")
        operator.wait_for_state(arn, "Defer", PATIENCE)
        record = ask(operator, "alb-response-time", dry_run=True)
        cause = check(record, "cause")
        assert cause["verdict"] == "WAIT"
        assert operator.alarm_name("database-connections") in cause["reason"]
    operator.wait_for_alarm("alb-response-time", "OK", PATIENCE)
    operator.wait(arn, PATIENCE)
    found = operator.ledger.operation_of("remediate", arn.rpartition(":")[2])
    assert found is not None
    untouched(found, "RECOVERED")


def test_an_alarm_that_cannot_be_read_is_not_acted_on(operator: Operator, nodes: Nodes) -> None:
    with unheard(operator), altered(operator, ALARM):
        operator.clients["cloudwatch"].delete_alarms(AlarmNames=[operator.alarm_name(ALARM)])
        untouched(ask(operator, ALARM), "INCONCLUSIVE", "no alarm named")
    assert nodes.added == 0


def test_an_alarm_that_cannot_be_read_after_the_action_is_inconclusive_and_a_strike(
    operator: Operator, nodes: Nodes
) -> None:
    with unheard(operator), altered(operator, ALARM):
        with nodes.full():
            arn = start(operator, ALARM)
            operator.wait_for_state(arn, "WaitForAlarm", PATIENCE)
        operator.clients["cloudwatch"].delete_alarms(AlarmNames=[operator.alarm_name(ALARM)])
        operator.wait(arn, PATIENCE)
    found = operator.ledger.operation_of("remediate", arn.rpartition(":")[2])
    assert found is not None
    assert (found.outcome, acted(found)) == ("INCONCLUSIVE", True), found.outcome_reason
    assert operator.ledger.remedy_state(ALARM).strikes == 1
    assert nodes.added == 1
