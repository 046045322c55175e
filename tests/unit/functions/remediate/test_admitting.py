"""The first step: what an event is about is read anew, once, and everything is accounted for."""

from datetime import timedelta

import pytest

from opskit.errors import InvalidInputError, MeasurementError, RunbooksError
from tests.unit.functions.conftest import START
from tests.unit.functions.remediate.conftest import FIRED, RESOURCE, SUFFIX, as_execution, event_of


def test_an_alarm_that_fires_is_admitted_with_its_runbook(admit, run):
    done = admit(run)
    assert (done["verdict"], done["alarm"]["suffix"], done["alarm"]["state"]) == ("ADMITTED", SUFFIX, "ALARM")
    assert done["runbook"]["actions"][0]["name"] == "end_sessions"
    assert (done["settle_seconds"], done["defer_seconds"]) == (60, 60)
    assert done["give_up_at"] == "2026-11-23T12:46:00.000000Z"


def test_it_is_on_record_before_anything_else(admit, run, alarms):
    alarms.broken = True
    with pytest.raises(MeasurementError):
        admit(run)
    record = run.ledger.operation_of("remediate", "r1")
    assert record is not None
    assert (record.outcome, record.facts["alarm"], record.facts["event_id"]) == (None, SUFFIX, "e1")


def test_what_the_event_says_of_itself_is_not_believed(admit, run):
    done = admit(run, event_of(detail={"alarmName": "detection-api-dev-eks-cpu", "state": {"value": "OK"}}))
    assert (done["verdict"], done["alarm"]["suffix"]) == ("ADMITTED", SUFFIX)


def test_the_same_transition_is_treated_by_one_execution_and_again_by_a_retry_of_it(admit, run):
    assert admit(run)["verdict"] == "ADMITTED"
    second = admit(as_execution(run, "r2"))
    assert second["verdict"] == "DUPLICATE"
    assert "r1" in second["reason"]
    assert admit(run)["verdict"] == "ADMITTED"


def test_a_person_s_request_is_never_a_duplicate(admit, run):
    admit(run)
    done = admit(as_execution(run, "r2"), {"alarm": SUFFIX, "requested_by": "ann"})
    assert done["verdict"] == "ADMITTED"
    assert run.ledger.operation_of("remediate", "r2").requested_by == "ann"


def test_an_alarm_that_is_ok_by_now_is_stale(admit, run, alarms):
    alarms.calm(SUFFIX, START)
    assert admit(run)["verdict"] == "STALE"


def test_an_old_event_is_stale_and_nothing_is_read_for_it(admit, run, alarms):
    assert admit(run, event_of(at=START - timedelta(seconds=301)))["verdict"] == "STALE"
    assert alarms.asked == 0


def test_a_dry_run_tells_of_an_alarm_that_does_not_fire_and_waits_for_nothing(admit, run, alarms):
    alarms.calm(SUFFIX, START)
    done = admit(run, {"alarm": SUFFIX, "dry_run": True})
    assert (done["verdict"], done["settle_seconds"]) == ("ADMITTED", 0)


@pytest.mark.parametrize(("suffix", "elsewhere"), [("alb-5xx", True), ("undreamt-of", False)])
def test_an_alarm_without_a_runbook_is_told_of_and_not_read(admit, run, alarms, suffix, elsewhere):
    done = admit(run, event_of(suffix))
    assert (done["verdict"], done["told_elsewhere"], done["runbook"]) == ("UNKNOWN", elsewhere, None)
    assert alarms.asked == 0


def test_an_alarm_of_that_name_elsewhere_is_not_ours(admit, run, alarms):
    elsewhere = event_of(resources=[f"arn:aws:cloudwatch:eu-west-1:000000000000:alarm:detection-api-dev-{SUFFIX}"])
    assert admit(run, elsewhere)["verdict"] == "UNKNOWN"
    assert admit(as_execution(run, "r2"))["verdict"] == "ADMITTED", "it was not noted as ours"


def test_an_alarm_that_comes_and_goes_is_left_to_people(admit, run, alarms):
    verdicts = []
    for number in range(4):
        alarms.fire(SUFFIX, FIRED - timedelta(minutes=4 - number))
        verdicts.append(admit(as_execution(run, f"r{number}"))["verdict"])
    assert verdicts == ["ADMITTED", "ADMITTED", "ADMITTED", "ESCALATED"]


def test_times_are_multiplied_in_rehearsals_and_stay_whole(run, world):
    from functions.remediate import admit_alarm

    event = {"settings": {"runbook_time_factor": 0.01}, "input": event_of()}
    done = admit_alarm.handler.__wrapped__(event, run)
    assert (done["settle_seconds"], done["defer_seconds"]) == (1, 1)


@pytest.mark.parametrize("given", [{}, {"alarm": SUFFIX, "resource": RESOURCE}, {"alarm": SUFFIX, "environment": "x"}])
def test_an_input_that_does_not_fit_is_refused(admit, run, given):
    with pytest.raises(InvalidInputError):
        admit(run, given or {"nothing": 1})


def test_an_environment_without_runbooks_says_which_file_is_missing(run, world, monkeypatch):
    from functions.remediate import admit_alarm

    monkeypatch.setattr(admit_alarm, "validate", lambda _, data: data)
    elsewhere = type(run)(
        **{
            **{name: getattr(run, name) for name in ("execution", "load_platform", "clock", "workflow")},
            "settings": type(run.settings)(run.settings.service, "qa", "ledger", "evidence", run.settings.topic_arn),
        }
    )
    with pytest.raises(RunbooksError, match=r"qa\.toml"):
        admit_alarm.handler.__wrapped__({"settings": {"runbook_time_factor": 1}, "input": event_of()}, elsewhere)
