"""`ops remediate`: what it asks of the state machine, what it refuses, and how it ends."""

from typing import Any

import pytest

from cli.alarms import suffix_of
from cli.session import Choices, Session
from opskit.ledger import Ledger
from opskit.runbooks import load_runbooks
from tests.unit.cli.conftest import Machine, Ops
from tests.unit.cli.given import FOREVER, fail, repair, succeed, task
from tests.unit.cli.test_recovery_commands import executions

KNOWN = sorted(load_runbooks("dev").by_alarm)


@pytest.fixture
def of_dev(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment `test` with the runbooks of dev, for it has none of its own."""
    monkeypatch.setattr("cli.session.Session.runbooks", load_runbooks("dev"))


pytestmark = pytest.mark.usefixtures("of_dev")
DONE = {"Done": succeed(outcome="RESOLVED", reason="the alarm is OK")}


@pytest.mark.parametrize(
    "name",
    [
        "database-connections",
        "shop-test-database-connections",
        "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:shop-test-database-connections",
    ],
)
def test_an_alarm_may_be_named_in_three_ways(ops: Ops, machine: Machine, name: str) -> None:
    arn = machine(DONE, workflow="remediate")
    ran = ops("remediate", "--alarm", name, "--reason", "it was missed")
    assert ran.code == 0
    (execution,) = executions(arn)
    assert '"alarm": "database-connections"' in execution["input"]
    assert '"reason": "it was missed"' in execution["input"]
    assert '"environment": "test"' in execution["input"]
    assert execution["name"].startswith("remediate-")
    assert "runbook of database-connections on shop-test" in ran.out
    assert ran.out.rstrip().endswith("the alarm is OK")


def test_an_alarm_of_another_environment_is_none_of_this_one() -> None:
    session = Session(Choices(service="shop", environment="test"), {})
    assert suffix_of(session, "shop-prod-eks-cpu") == "shop-prod-eks-cpu"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("database-conections", "did you mean database-connections?"),
        ("shop-prod-eks-cpu", "is no alarm that test has a runbook for"),
        ("alb-5xx", "alb-5xx has no runbook"),
        ("", "is empty"),
    ],
)
def test_an_alarm_without_a_runbook_starts_nothing(ops: Ops, machine: Machine, name: str, words: str) -> None:
    arn = machine({"Long": FOREVER}, workflow="remediate")
    ran = ops("remediate", "--alarm", name)
    assert ran.code == 2
    assert words in " ".join(ran.err.split())
    if name:
        assert all(alarm in ran.err for alarm in KNOWN)
    assert executions(arn) == []


def test_without_an_alarm_nothing_starts(ops: Ops, machine: Machine) -> None:
    machine({"Long": FOREVER}, workflow="remediate")
    ran = ops("remediate")
    assert ran.code == 2
    assert "--alarm" in ran.err


@pytest.mark.parametrize(
    ("outcome", "code"),
    [("RESOLVED", 0), ("RECOVERED", 0), ("STALE", 0), ("SUPPRESSED", 3), ("UNKNOWN", 3)],
)
def test_the_exit_code_tells_whether_the_alarm_was_seen_to(ops: Ops, machine: Machine, outcome: str, code: int) -> None:
    machine({"Done": succeed(outcome=outcome, reason="in words")}, workflow="remediate")
    ran = ops("remediate", "--alarm", "eks-cpu")
    assert ran.code == code
    assert f"{outcome} after" in ran.out
    assert "in words" in ran.out


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("RemediationEscalated", 3),
        ("RemediationIneffective", 1),
        ("RemediationInconclusive", 6),
        ("RemediationRefused", 1),
        ("RemediationFailed", 1),
    ],
)
def test_the_exit_code_tells_how_it_failed(ops: Ops, machine: Machine, error: str, code: int) -> None:
    machine({"Stop": fail(error, "the reason in words")}, workflow="remediate")
    ran = ops("remediate", "--alarm", "eks-cpu")
    assert ran.code == code
    assert f"({error}): the reason in words" in ran.out.splitlines()[-1]


def test_a_repair_is_followed_state_by_state(ops: Ops, machine: Machine) -> None:
    states = {
        "PlanRemedy": task({"verdict": "ACT", "reason": "no guardrail says anything against it"}, "EndSessions"),
        "EndSessions": task({"done": True, "what": "70 of 160 sessions of app were ended"}, "CheckRemedy"),
        "CheckRemedy": task({"outcome": "PASS", "reason": "the alarm is OK since noon"}, "Done"),
    }
    machine(states | DONE, workflow="remediate")
    ran = ops("remediate", "--alarm", "database-connections")
    assert ran.code == 0
    for words in ("no guardrail says anything", "EndSessions", "70 of 160 sessions of app were ended", "OK since noon"):
        assert words in ran.out


def test_how_long_it_took_is_told_at_the_end(ops: Ops, machine: Machine, ledger: Ledger) -> None:
    machine(DONE, workflow="remediate")
    repair(ledger, "mine")
    ran = ops("remediate", "--alarm", "database-connections", "--name", "mine")
    assert ran.code == 0
    told = " ".join(ran.out.split())
    assert "alarm to action 1m02s" in told
    assert "action to OK 1m40s" in told
    assert ops("watch", "mine", "--json").document["recorded"]["facts"]["alarm"] == "database-connections"


def check(guard: str, verdict: str) -> dict[str, str]:
    return {"guard": guard, "verdict": verdict, "reason": f"{guard} says so"}


def plan(*checks: dict[str, str], action: str | None = "end_sessions") -> dict[str, Any]:
    told = {"outcome": "PLANNED", "reason": "would", "action": action, "words": "end at most 60"}
    return told | {"resource": "arn:aws:rds:x", "checks": [*checks, check("dry run", "PLANNED")]}


@pytest.mark.parametrize(
    ("planned", "code"),
    [
        (plan(check("switch", "ACT")), 0),
        (plan(check("alarm", "DONE"), check("switch", "SUPPRESS")), 0),
        (plan(check("release", "WAIT"), check("cap", "ESCALATE")), 0),
        (plan(check("switch", "SUPPRESS"), check("release", "WAIT")), 3),
        (plan(check("strikes", "ESCALATE")), 3),
        (plan(check("switch", "ACT"), action=None), 3),
    ],
)
def test_a_dry_run_shows_every_guardrail_and_exits_as_the_real_one_would(
    ops: Ops, machine: Machine, planned: dict[str, Any], code: int
) -> None:
    machine({"Planned": succeed(**planned)}, workflow="remediate")
    ran = ops("remediate", "--alarm", "database-connections", "--dry-run")
    assert ran.code == code
    assert "(dry run)" in ran.out
    for one in planned["checks"]:
        assert one["reason"] in ran.out
    assert ops("remediate", "--alarm", "eks-cpu", "--dry-run", "--json").document["output"] == planned


def test_no_wait_starts_and_returns(ops: Ops, machine: Machine) -> None:
    arn = machine({"Long": FOREVER}, workflow="remediate")
    ran = ops("remediate", "--alarm", "eks-cpu", "--no-wait", "--json")
    assert ran.code == 0
    assert (ran.document["workflow"], ran.document["operation"]) == ("remediate", "remediate")
    assert [one["status"] for one in executions(arn)] == ["RUNNING"]


def test_an_environment_without_runbooks_says_which_file_is_missing(
    ops: Ops, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_: Session) -> Any:
        return load_runbooks("test")

    monkeypatch.setattr("cli.session.Session.runbooks", property(missing))
    machine({"Long": FOREVER}, workflow="remediate")
    ran = ops("remediate", "--alarm", "eks-cpu")
    assert ran.code == 1
    assert "create opskit/runbooks/test.toml" in ran.err
