from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from opskit.adapters.switch import SwitchState
from opskit.clock import timestamp
from opskit.decisions.alarm_subject import Measured
from opskit.decisions.guardrails import Situation, Stand, checks, cooldown_seconds, guard, verify_seconds
from opskit.ledger import RemedyState

from .remediation import DATABASE, ME, NOW, OTHER, RUNBOOK, RUNBOOKS, SLOW, ago, alarm, holder, reading, situation


def action(execution: str, seconds_ago: float) -> dict[str, Any]:
    return {"at": timestamp(ago(seconds_ago)), "execution": execution, "alarm": "eks-cpu", "resource": "arn"}


def test_with_nothing_against_it_a_runbook_acts_and_every_guardrail_was_asked() -> None:
    found = guard(situation(), RUNBOOK, RUNBOOKS)
    assert found.verdict is Stand.ACT
    assert [check.guard for check in found.checks] == [
        *("alarm", "switch", "resource", "subject", "live", "strikes", "measured", "release", "cause", "busy"),
        *("cooldown", "cap", "dry run"),
    ]
    assert all(check.passed and check.reason for check in found.checks)
    assert found.as_dict()["checks"][0] == {
        "guard": "alarm",
        "verdict": "ACT",
        "reason": "the alarm is ALARM since 2026-11-23T11:58:30.000000Z",
    }


PAUSED = SwitchState(paused=True, reason="the database is being moved", by="ann")
COPY = DATABASE.replace("shop-prod", "shop-prod-restored")
OTHERS_METRIC = Measured("AWS/RDS", "DatabaseConnections", {"DBInstanceIdentifier": "billing"})


@pytest.mark.parametrize(
    ("changed", "verdict", "guardrail", "words"),
    [
        ({"switch": PAUSED}, Stand.SUPPRESS, "switch", "paused by ann until it is resumed: the database is being"),
        (
            {"switch": SwitchState(paused=True, reason="cannot be read", unreadable=True)},
            Stand.SUPPRESS,
            "switch",
            "cannot be read",
        ),
        ({"alarm": reading("OK")}, Stand.DONE, "alarm", "is OK since"),
        ({"alarm": reading("INSUFFICIENT_DATA")}, Stand.WAIT, "measured", "has no data"),
        ({"resource_arn": None}, Stand.ESCALATE, "resource", "do not say what shop-prod-database-connections is about"),
        (
            {"alarm": reading("ALARM", OTHERS_METRIC)},
            Stand.ESCALATE,
            "subject",
            "DBInstanceIdentifier=billing, which is not arn:aws:rds:us-east-1:123456789012:db:shop-prod",
        ),
        ({"live_arn": COPY}, Stand.ESCALATE, "live", f"about {DATABASE}, and the service uses {COPY}"),
        ({"live_arn": None}, Stand.ESCALATE, "live", f"no database; the alarm is about {DATABASE}"),
        ({"remedy": RemedyState(strikes=3)}, Stand.ESCALATE, "strikes", "`ops resume --alarm database-connections`"),
        ({"remedy": RemedyState(strikes=0, blocked_by="third")}, Stand.ESCALATE, "strikes", "the last of third"),
        ({"service_lock": holder()}, Stand.WAIT, "release", "other for release of 1.3"),
        ({"resource_lock": holder()}, Stand.WAIT, "busy", "the database is being repaired by"),
        ({"remedy": RemedyState(last_acted_at=ago(899))}, Stand.WAIT, "cooldown", "again from 2026-11-23T12:00:01"),
        ({"actions": [action(OTHER, 10)] * 3}, Stand.ESCALATE, "cap", "3 of 3 actions within an hour are taken"),
        ({"dry_run": True}, Stand.PLANNED, "dry run", "a dry run was asked for"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_guardrail_holds_by_itself(changed: dict[str, Any], verdict: Stand, guardrail: str, words: str) -> None:
    found = guard(situation(**changed), RUNBOOK, RUNBOOKS)
    assert found.verdict is verdict
    assert words in found.reason
    assert guardrail in [check.guard for check in found.checks if not check.passed]
    if verdict not in (Stand.PLANNED,):
        assert found.reason.startswith(f"{guardrail}: ")


@pytest.mark.parametrize(
    "changed",
    [
        {"switch": SwitchState(paused=True, until=NOW)},
        {"switch": SwitchState(paused=False, until=ago(-60))},
        {"remedy": RemedyState(strikes=2)},
        {"service_lock": holder(expired=True)},
        {"service_lock": holder(ME)},
        {"resource_lock": holder(ME)},
        {"resource_lock": holder(expired=True)},
        {"remedy": RemedyState(last_acted_at=ago(900))},
        {"remedy": RemedyState(last_acted_at=ago(5), last_execution=ME)},
        {"actions": [action(OTHER, 10)] * 2},
        {"actions": [action(OTHER, 10), action(OTHER, 5), action(ME, 1)]},
    ],
)
def test_a_guardrail_lets_through_what_it_is_not_for(changed: dict[str, Any]) -> None:
    assert guard(situation(**changed), RUNBOOK, RUNBOOKS).verdict is Stand.ACT


def test_a_cooldown_is_never_shorter_than_what_the_alarm_still_sees() -> None:
    hasty = replace(RUNBOOK, cooldown_seconds=1)
    assert cooldown_seconds(hasty, RUNBOOKS, reading(lookback=300)) == 360
    assert cooldown_seconds(RUNBOOK, RUNBOOKS, reading(lookback=300)) == 900
    acted = RemedyState(last_acted_at=ago(359))
    assert guard(situation(remedy=acted), hasty, RUNBOOKS).verdict is Stand.WAIT
    acted = RemedyState(last_acted_at=ago(360))
    assert guard(situation(remedy=acted), hasty, RUNBOOKS).verdict is Stand.ACT


def test_no_action_is_judged_before_its_alarm_can_have_seen_it() -> None:
    assert verify_seconds(RUNBOOK, reading(lookback=300)) == 600
    assert verify_seconds(replace(RUNBOOK, verify_seconds=60), reading(lookback=300)) == 600
    assert verify_seconds(RUNBOOK, reading(lookback=10)) == 600


BALANCER = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/shop-prod/50dc6c495c0c9188"


def slow(**changed: Any) -> Situation:
    measured = Measured("AWS/ApplicationELB", "TargetResponseTime", {"LoadBalancer": "app/shop-prod/50dc6c495c0c9188"})
    given = {"alarm": reading("ALARM", measured), "resource_arn": BALANCER, "live_arn": None}
    return situation(**(given | changed))


def test_of_two_alarms_with_one_cause_the_cause_is_treated() -> None:
    found = guard(slow(causes=[alarm()]), SLOW, RUNBOOKS)
    assert found.verdict is Stand.WAIT
    assert found.reason.startswith("cause: treated first: shop-prod-database-connections (since 2026-11-23T11:58:30")
    assert guard(situation(), RUNBOOK, RUNBOOKS).verdict is Stand.ACT, "and the cause itself does not wait"
    for state in ("OK", "INSUFFICIENT_DATA"):
        assert guard(slow(causes=[alarm(state)]), SLOW, RUNBOOKS).verdict is Stand.ACT


def test_what_is_not_replaced_by_restores_needs_no_live_one() -> None:
    assert guard(slow(), SLOW, RUNBOOKS).verdict is Stand.ACT


def test_a_wait_has_an_end() -> None:
    busy = situation(service_lock=holder(), give_up_at=NOW)
    found = guard(busy, RUNBOOK, RUNBOOKS)
    assert found.verdict is Stand.ESCALATE
    assert found.reason.startswith("waited until 2026-11-23T12:00:00.000000Z; release: the service's lock is held")
    early = replace(busy, give_up_at=NOW + timedelta(microseconds=1))
    assert guard(early, RUNBOOK, RUNBOOKS).verdict is Stand.WAIT
    assert guard(replace(busy, give_up_at=None), RUNBOOK, RUNBOOKS).verdict is Stand.WAIT


def test_the_end_of_a_wait_lets_nothing_through_and_takes_nothing_back() -> None:
    late = {"give_up_at": ago(1)}
    assert guard(situation(**late), RUNBOOK, RUNBOOKS).verdict is Stand.ACT
    assert guard(situation(alarm=reading("OK"), **late), RUNBOOK, RUNBOOKS).verdict is Stand.DONE
    assert guard(situation(switch=PAUSED, **late), RUNBOOK, RUNBOOKS).verdict is Stand.SUPPRESS


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({"alarm": reading("OK"), "switch": PAUSED}, Stand.DONE),
        ({"switch": PAUSED, "remedy": RemedyState(strikes=9)}, Stand.SUPPRESS),
        ({"switch": PAUSED, "service_lock": holder()}, Stand.SUPPRESS),
        ({"resource_arn": None, "service_lock": holder()}, Stand.ESCALATE),
        ({"remedy": RemedyState(blocked_by="x"), "resource_lock": holder()}, Stand.ESCALATE),
        ({"resource_lock": holder(), "actions": [action(OTHER, 9)] * 5}, Stand.WAIT),
    ],
)
def test_of_several_guardrails_the_first_decides(changed: dict[str, Any], verdict: Stand) -> None:
    assert guard(situation(**changed), RUNBOOK, RUNBOOKS).verdict is verdict


def test_a_dry_run_never_waits_nor_acts_and_says_what_it_would_have_met() -> None:
    planning = replace(RUNBOOKS, mode="dry_run")
    assert guard(situation(), RUNBOOK, planning).reason == "the runbooks' mode is dry_run"
    for changed in ({"service_lock": holder()}, {"switch": PAUSED}, {"alarm": reading("OK")}, {"resource_arn": None}):
        for one, runbooks in ((situation(**changed), planning), (situation(dry_run=True, **changed), RUNBOOKS)):
            found = guard(one, RUNBOOK, runbooks)
            assert found.verdict is Stand.PLANNED
            assert "it would not act now" in found.reason
    assert "(release: WAIT)" in guard(situation(service_lock=holder()), RUNBOOK, planning).reason


def test_no_mode_but_act_acts() -> None:
    assert guard(situation(), RUNBOOK, replace(RUNBOOKS, mode="ACT!")).verdict is Stand.PLANNED


def test_no_guardrail_is_lost_when_others_fail() -> None:
    worst = situation(
        switch=PAUSED,
        resource_arn=None,
        live_arn=None,
        remedy=RemedyState(ago(1), 9, "x"),
        service_lock=holder(),
        resource_lock=holder(),
        actions=[action(OTHER, 1)] * 9,
        causes=[alarm()],
        dry_run=True,
        alarm=reading("INSUFFICIENT_DATA"),
    )
    found = checks(worst, SLOW, RUNBOOKS)
    assert [check.guard for check in found if check.passed] == ["alarm", "live"]
    assert len(found) == 13
