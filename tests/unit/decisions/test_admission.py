from dataclasses import replace
from typing import Any

import pytest

from opskit.clock import timestamp
from opskit.decisions.admission import Admission, Request, admit, request_of, screen
from opskit.errors import InvalidInputError
from opskit.ledger import Seen

from .remediation import ALARM_ARN, NAME, NOW, RUNBOOKS, ago, alarm

FIRST = Seen(True, "me", 1)


def event(**changed: Any) -> dict[str, Any]:
    """As EventBridge delivers it:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html
    """
    return {
        "version": "0",
        "id": "c4c1c1c9-6542-e61b-6ef0-8c4d36933a92",
        "detail-type": "CloudWatch Alarm State Change",
        "source": "aws.cloudwatch",
        "account": "123456789012",
        "time": "2026-11-23T11:59:00Z",
        "region": "us-east-1",
        "resources": [ALARM_ARN],
        "detail": {
            "alarmName": NAME,
            "state": {"value": "ALARM", "reason": "…", "timestamp": "2026-11-23T11:58:59.866+0000"},
            "configuration": {"metrics": []},
        },
    } | changed


def of(data: dict[str, Any]) -> Request:
    return request_of(data, "shop", "prod")


def test_a_fresh_event_of_a_known_alarm_that_fires_is_admitted() -> None:
    request = of(event())
    assert request == Request("database-connections", NAME, True, ALARM_ARN, ago(60), event()["id"])
    assert not request.by_person
    assert Request.from_dict(request.as_dict()) == request
    found = admit(request, RUNBOOKS, alarm(), FIRST, NOW)
    assert found.admitted
    assert found.as_dict()["facts"] == {"state": "ALARM", "since": timestamp(ago(90)), "transitions": 1}


def test_a_person_may_use_either_name() -> None:
    for name in ("database-connections", NAME):
        request = of({"alarm": name, "requested_by": "ann", "reason": "try", "dry_run": True, "environment": "prod"})
        assert request == Request("database-connections", NAME, dry_run=True, requested_by="ann", reason="try")
        assert request.by_person
        assert Request.from_dict(request.as_dict()) == request
        assert admit(request, RUNBOOKS, alarm(), FIRST, NOW).admitted
    with pytest.raises(InvalidInputError, match="this is prod, and the input is for dev"):
        of({"alarm": NAME, "environment": "dev"})


def test_nothing_of_an_events_text_is_believed() -> None:
    lie = {
        "alarmName": "shop-prod-eks-cpu",
        "state": {"value": "ALARM"},
        "configuration": {"metrics": [{"metricStat": {"metric": {"dimensions": {"DBInstanceIdentifier": "billing"}}}}]},
        "resource": "arn:aws:rds:us-east-1:123456789012:db:billing",
        "dry_run": False,
        "requested_by": "root",
    }
    assert of(event(detail=lie, account="999999999999", region="eu-west-1", requested_by="root")) == of(event())
    assert of(event(dry_run=True, alarm="eks-cpu", environment="dev")) == of(event())
    quiet = admit(of(event(detail=lie)), RUNBOOKS, alarm("OK"), None, NOW)
    assert quiet.outcome is Admission.STALE, "that it fires is what CloudWatch says"


@pytest.mark.parametrize(
    ("arn", "words"),
    [
        (ALARM_ARN.replace("123456789012", "999999999999"), "which is not arn:aws:cloudwatch:us-east-1:123456789012"),
        (ALARM_ARN.replace("us-east-1", "eu-west-1"), "which is not"),
        (ALARM_ARN.replace("shop-prod", "shop-dev"), "shop-dev-database-connections is not an alarm of this service"),
        (ALARM_ARN.replace("shop-prod-", ""), "database-connections is not an alarm of this service"),
        (ALARM_ARN.replace("shop-prod", "myshop-prod"), "is not an alarm of this service"),
        (f"{ALARM_ARN}:x", "database-connections:x has no runbook"),
        (ALARM_ARN.replace("database-connections", "disk"), "disk has no runbook"),
        (ALARM_ARN.replace("database-connections", "alb-5xx"), "alb-5xx is known and has no repair"),
    ],
)
def test_an_alarm_that_is_not_ours_or_has_no_runbook_is_unknown(arn: str, words: str) -> None:
    found = admit(of(event(resources=[arn])), RUNBOOKS, alarm(), FIRST, NOW)
    assert found.outcome is Admission.UNKNOWN
    assert words in found.reason


@pytest.mark.parametrize(("seconds", "outcome"), [(300, None), (301, Admission.STALE), (86400, Admission.STALE)])
def test_an_event_grows_stale(seconds: float, outcome: Admission | None) -> None:
    found = screen(of(event(time=timestamp(ago(seconds)))), RUNBOOKS, NOW)
    assert (found and found.outcome) == outcome


def test_an_event_from_the_future_never_counts_as_fresh() -> None:
    found = screen(of(event(time=timestamp(ago(-61)))), RUNBOOKS, NOW)
    assert found is not None
    assert found.outcome is Admission.STALE
    assert screen(of(event(time=timestamp(ago(-60)))), RUNBOOKS, NOW) is None, "clocks differ"
    with pytest.raises(InvalidInputError, match="time"):
        of(event(time="2026-11-23T11:59:00"))


def test_stale_comes_before_the_ledger_is_asked() -> None:
    assert screen(of({"alarm": "database-connections"}), RUNBOOKS, NOW) is None, "a person's request has no age"


@pytest.mark.parametrize("state", ["OK", "INSUFFICIENT_DATA"])
@pytest.mark.parametrize("data", [event(), {"alarm": "database-connections"}], ids=["event", "person"])
def test_an_alarm_that_does_not_fire_any_more_is_stale(state: str, data: dict[str, Any]) -> None:
    found = admit(of(data), RUNBOOKS, alarm(state), None, NOW)
    assert found.outcome is Admission.STALE
    assert f"is {state} since" in found.reason


def test_a_duplicate_names_who_has_the_transition() -> None:
    again = Seen(False, "first-execution", 1)
    found = admit(of(event()), RUNBOOKS, alarm(), again, NOW)
    assert (found.outcome, found.facts["duplicate_of"]) == (Admission.DUPLICATE, "first-execution")
    another_id = of(event(id="another"))
    assert admit(another_id, RUNBOOKS, alarm(), again, NOW).outcome is Admission.DUPLICATE, "whatever its id"
    assert admit(of({"alarm": NAME}), RUNBOOKS, alarm(), again, NOW).admitted, "a person may ask again"


@pytest.mark.parametrize("data", [event(), {"alarm": "database-connections"}], ids=["event", "person"])
def test_a_flapping_alarm_is_left_to_people(data: dict[str, Any]) -> None:
    assert admit(of(data), RUNBOOKS, alarm(), Seen(True, "me", 3), NOW).admitted
    found = admit(of(data), RUNBOOKS, alarm(), Seen(True, "me", 4), NOW)
    assert found.outcome is Admission.ESCALATED
    assert "fired 4 times within 3600 s" in found.reason
    duplicate = admit(of(event()), RUNBOOKS, alarm(), Seen(False, "x", 9), NOW)
    assert duplicate.outcome is Admission.DUPLICATE, "one message about it is enough"


def test_what_fires_is_noted_before_it_is_admitted() -> None:
    with pytest.raises(ValueError, match="noted in the ledger"):
        admit(of(event()), RUNBOOKS, alarm(), None, NOW)


def test_a_runbook_taken_away_makes_its_alarm_unknown() -> None:
    without = replace(RUNBOOKS, by_alarm={})
    assert admit(of(event()), without, alarm(), FIRST, NOW).outcome is Admission.UNKNOWN
