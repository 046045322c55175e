"""Asking a person, and looking whether the alarm is OK."""

import pytest

from functions.remediate import check_remedy, request_remedy
from opskit.clock import timestamp
from opskit.errors import LockLostError
from opskit.ledger import Lock
from tests.unit.functions.conftest import START
from tests.unit.functions.remediate.conftest import SETTINGS, SUFFIX


def test_a_person_is_asked_about_this_action_and_no_other(admission, plan, run, told):
    event = {"settings": SETTINGS, "admission": admission, "plan": plan, "task_token": "t"}
    request_remedy.handler.__wrapped__(event, run)
    asked = run.ledger.approval("r1")
    assert (asked.workflow, asked.digest, asked.subject) == ("remediate", plan["digest"], plan["words"])
    assert (asked.expires_at - START).total_seconds() == 900
    (message,) = told
    assert (message["kind"], message["would_be_done"]) == ("APPROVAL_NEEDED", plan["words"])
    assert message["approve"] == "ops approve r1 --environment dev"


@pytest.fixture
def check(admission, reservation, run):
    event = {
        "settings": SETTINGS,
        "admission": admission,
        "reservation": reservation,
        "acted_at": timestamp(START),
    }
    return lambda: check_remedy.handler.__wrapped__(event, run)


def test_the_alarm_says_whether_it_helped(check, alarms, clock, run):
    clock.advance(10)
    assert check()["outcome"] == "WAIT"
    alarms.calm(SUFFIX, clock.now())
    clock.advance(5)
    done = check()
    assert (done["outcome"], done["at"]) == ("PASS", timestamp(clock.now()))
    assert done["facts"]["waited_seconds"] == 15


def test_an_alarm_that_stays_is_waited_for_until_its_time_is_out(check, clock):
    clock.advance(599)
    assert check()["outcome"] == "WAIT"
    clock.advance(1)
    assert check()["outcome"] == "FAIL"


def test_an_alarm_that_cannot_be_read_is_looked_at_again_and_is_no_good_news(check, alarms, clock):
    alarms.broken = True
    assert check()["outcome"] == "WAIT"
    clock.advance(601)
    done = check()
    assert done["outcome"] == "INCONCLUSIVE"
    assert "does not answer" in done["reason"]


def test_an_alarm_without_data_is_no_good_news_either(check, alarms, clock):
    alarms.states[SUFFIX] = ("INSUFFICIENT_DATA", START)
    clock.advance(601)
    assert check()["outcome"] == "INCONCLUSIVE"


def test_the_lease_is_renewed_while_it_is_waited(check, clock, run):
    clock.advance(50)
    check()
    assert (run.ledger.holder("remedy:database").lease_until - clock.now()).total_seconds() == 60


def test_who_has_lost_the_lock_does_not_go_on(check, reservation, run):
    run.ledger.release(Lock.from_dict(reservation["lock"]))
    with pytest.raises(LockLostError):
        check()
