from datetime import UTC, datetime

import pytest

from opskit.decisions.restore_request import complete_restore_request
from opskit.errors import InvalidInputError
from opskit.schema import validate

STARTED = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


def complete(**given):
    return complete_restore_request(
        given, validate("restore", given), {"approval_seconds": 900}, environment="dev", started_at=STARTED
    )


def test_by_default_everything_is_restored_beside_production_as_of_now():
    request = complete()
    assert (request["mode"], request["components"]) == ("isolated", ["database", "cache"])
    assert request["declared_at"] == "2026-11-23T09:30:00.000000Z"
    assert request["approval_seconds"] == 900


def test_the_disaster_may_have_been_declared_before():
    assert complete(mode="replace", declared_at="2026-11-23T10:20:00+01:00")["declared_at"].startswith(
        "2026-11-23T09:20"
    )


def test_an_undo_is_a_mode_of_its_own():
    assert complete(undo="restore-1")["mode"] == "undo"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"environment": "prod"}, "restores dev"),
        ({"snapshot": "a", "moment": "2026-11-23T09:00:00Z"}, "exclude each other"),
        ({"moment": "2026-11-23T09:00:00"}, "time zone|date-time"),
        ({"undo": "restore-1", "mode": "replace", "moment": "2026-11-23T09:00:00Z"}, "takes no mode, moment"),
        ({"approval": False}, "mode replace only"),
        ({"keep_old_hours": 3}, "mode replace only"),
        ({"components": ["cache"], "placement": {"database_class": "db.t4g.large"}}, "not restored"),
        ({"mode": "replace", "declared_at": "2026-11-23T09:31:00Z"}, "after the execution started"),
    ],
)
def test_contradictions_are_refused(given, words):
    with pytest.raises(InvalidInputError, match=words):
        complete(**given)
