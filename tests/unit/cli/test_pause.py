"""`ops pause` and `ops resume`: the kill switch, and the runbooks that only people may start."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from opskit.ledger import Ledger
from opskit.runbooks import load_runbooks
from tests.unit.cli.conftest import Machine, Ops
from tests.unit.cli.given import NAME, REGION, succeed

SWITCH = "/shop/test/remediation/switch"


@pytest.fixture(autouse=True)
def of_dev(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment `test` with the runbooks of dev, for it has none of its own."""
    monkeypatch.setattr("cli.session.Session.runbooks", load_runbooks("dev"))


@pytest.fixture
def switch(ledger: Ledger) -> Any:
    """The parameter as the stack creates it; returns how to set it."""
    ssm = boto3.client("ssm", region_name=REGION)

    def put(value: str) -> None:
        ssm.put_parameter(Name=SWITCH, Value=value, Type="String", Overwrite=True)

    put('{"paused": false}')
    return put


def held() -> dict[str, Any]:
    value = boto3.client("ssm", region_name=REGION).get_parameter(Name=SWITCH)["Parameter"]["Value"]
    found: dict[str, Any] = json.loads(value)
    return found


def alarm(suffix: str, state: str) -> None:
    client = boto3.client("cloudwatch", region_name=REGION)
    name = suffix if suffix.startswith("other") else f"{NAME}-{suffix}"
    client.put_metric_alarm(
        AlarmName=name, MetricName="m", Namespace="n", Period=60, EvaluationPeriods=1, Statistic="Sum", Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    client.set_alarm_state(AlarmName=name, StateValue=state, StateReason="because")


def test_a_pause_says_who_why_and_that_it_lasts(ops: Ops, switch: Any) -> None:
    ran = ops("pause", "--reason", "the database is being moved")
    assert ran.code == 0
    assert "paused until `ops resume`" in ran.out
    found = held()
    assert (found["paused"], found["until"], found["reason"]) == (True, None, "the database is being moved")
    assert found["by"].startswith("arn:aws:")


def test_a_pause_may_end_by_itself(ops: Ops, switch: Any) -> None:
    before = datetime.now(UTC)
    ran = ops("pause", "--reason", "x", "--for", "2h", "--json")
    after = datetime.now(UTC)
    assert ran.code == 0
    until = datetime.fromisoformat(held()["until"])
    slack = timedelta(milliseconds=1)
    assert before + timedelta(hours=2) - slack <= until <= after + timedelta(hours=2)
    assert ran.document["until"] == held()["until"]
    assert ops("pause", "--reason", "x", "--until", "2999-01-01T02:00:00+02:00").code == 0
    assert datetime.fromisoformat(held()["until"]) == datetime(2999, 1, 1, tzinfo=UTC)


def test_a_second_pause_replaces_the_first_and_says_so(ops: Ops, switch: Any) -> None:
    ops("pause", "--reason", "first")
    ran = ops("pause", "--reason", "second", "--for", "1h")
    assert "this replaces an earlier pause" in ran.out
    assert "first" in ran.out
    assert held()["reason"] == "second"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "--reason"),
        (("--reason", " "), "is empty"),
        (("--reason", "x", "--for", "2h", "--until", "2999-01-01T00:00:00Z"), "exclude each other"),
        (("--reason", "x", "--for", "soon"), "is not a time: 90s, 15m, 2h or 3d"),
        (("--reason", "x", "--for", "0m"), "is not a time"),
        (("--reason", "x", "--for", "-2h"), "is not a time"),
        (("--reason", "x", "--until", "2020-01-01T00:00:00Z"), "is in the past"),
        (("--reason", "x", "--until", "2999-01-01T00:00:00"), "no time zone"),
        (("--reason", "x", "--until", "-2h"), "is in the past"),
    ],
)
def test_a_pause_that_makes_no_sense_changes_nothing(
    ops: Ops, switch: Any, options: tuple[str, ...], words: str
) -> None:
    ran = ops("pause", *options)
    assert ran.code == 2
    assert words in " ".join(ran.err.split())
    assert held() == {"paused": False}


@pytest.mark.parametrize("command", [("pause", "--reason", "x"), ("resume",)])
def test_a_switch_that_is_not_there_is_not_made(ops: Ops, ledger: Ledger, command: tuple[str, ...]) -> None:
    ran = ops(*command)
    assert ran.code == 4
    assert f"there is no parameter {SWITCH}, so nothing repairs" in ran.err
    assert not boto3.client("ssm", region_name=REGION).describe_parameters()["Parameters"]
    assert "unknown environment nowhere" in ops(*command, "-e", "nowhere").err


def test_resume_lifts_a_pause_and_shows_what_fires_and_how_to_start_it(ops: Ops, switch: Any) -> None:
    ops("pause", "--reason", "the database is being moved")
    alarm("eks-cpu", "ALARM")
    alarm("alb-5xx", "ALARM")
    alarm("eks-memory", "OK")
    alarm("other-prod-eks-cpu", "ALARM")
    ran = ops("resume", "--reason", "it is done")
    assert ran.code == 0
    assert "the database is being moved" in ran.out
    assert "ops remediate --alarm eks-cpu" in ran.out
    (without,) = [line for line in ran.out.splitlines() if "alb-5xx" in line]
    assert "no runbook" in without
    assert "eks-memory" not in ran.out
    assert "other" not in ran.out
    assert (held()["paused"], held()["reason"]) == (False, "it is done")


def test_resume_where_nothing_is_paused_or_fires(ops: Ops, switch: Any) -> None:
    ran = ops("resume")
    assert ran.code == 0
    assert "were not paused" in ran.out
    assert "no alarm is firing" in ran.out
    assert held() == {"paused": False}


def test_resume_mends_a_switch_that_cannot_be_understood(ops: Ops, switch: Any) -> None:
    switch("paused: no")
    assert "paused: no" in ops("resume").out
    assert held()["paused"] is False


def test_resume_says_when_alarms_could_not_be_read(ops: Ops, switch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ops("pause", "--reason", "x")
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", "http://127.0.0.1:1")
    ran = ops("resume")
    assert ran.code == 4
    assert "on again" in ran.out
    assert "could not be read: endpoint unreachable" in ran.out
    assert held()["paused"] is False


def test_resume_of_one_runbook_lifts_its_block_and_not_the_pause(ops: Ops, switch: Any, ledger: Ledger) -> None:
    for number in (1, 2, 3):
        ledger.struck("eks-cpu", f"try-{number}", 3)
    ops("pause", "--reason", "looking")
    ran = ops("resume", "--alarm", "shop-test-eks-cpu", "--reason", "maximum raised")
    assert ran.code == 0
    assert "eks-cpu may be repaired again; try-3 was its last repair without effect" in ran.out
    assert "all repairs are still paused" in ran.out
    assert held()["paused"] is True
    state = ledger.remedy_state("eks-cpu")
    assert (state.strikes, state.blocked_by) == (0, None)
    assert "was not blocked" in ops("resume", "--alarm", "eks-cpu").out


def test_resume_of_an_unknown_runbook_changes_nothing(ops: Ops, switch: Any) -> None:
    ran = ops("resume", "--alarm", "eks-disk")
    assert ran.code == 2
    assert "eks-memory" in ran.err


def test_status_shows_the_pause_and_the_blocked_runbooks(
    ops: Ops, machine: Machine, switch: Any, platform: Any, ledger: Ledger
) -> None:
    machine({"Done": succeed()})
    assert "repairs        on" in ops("status").out
    for number in (1, 2, 3):
        ledger.struck("eks-cpu", f"try-{number}", 3)
    ops("pause", "--reason", "the database is being moved", "--for", "2h")
    ran = ops("status")
    assert ran.code == 0
    (paused,) = [line for line in ran.out.splitlines() if line.startswith("repairs")]
    assert "PAUSED until" in paused
    assert "the database is being moved" in paused
    (blocked,) = [line for line in ran.out.splitlines() if line.startswith("blocked")]
    assert "ops resume --alarm eks-cpu" in blocked
    told = ops("status", "--json").document["repairs"]
    assert told["switch"]["paused"] is True
    assert told["blocked"] == [{"alarm": "eks-cpu", "strikes": 3, "blocked_by": "try-3"}]


def test_status_takes_a_pause_that_is_over_for_none(ops: Ops, machine: Machine, switch: Any, platform: Any) -> None:
    machine({"Done": succeed()})
    switch('{"paused": true, "until": "2020-01-01T00:00:00Z", "reason": "old"}')
    assert ops("status", "--json").document["repairs"]["switch"]["paused"] is False
    assert "repairs        on" in ops("status").out
