"""The inputs of the recovery workflows: what is taken, what is filled in, and what is refused."""

from typing import Any

import pytest

from opskit.decisions.manifest import Kind
from opskit.decisions.objectives import Targets
from opskit.decisions.recovery import Tolerance
from opskit.errors import InvalidInputError
from opskit.schema import validate

ALL = [kind.value for kind in Kind]


def test_an_empty_input_is_the_usual_one() -> None:
    assert validate("snapshot", {}) == {"components": ALL, "prune": True, "dry_run": False}
    assert validate("restore", {}) == {
        "mode": "isolated",
        "components": ["database", "cache"],
        "placement": {},
        "approval": True,
        "keep_old_hours": 72,
        "dry_run": False,
    }
    assert validate("drill", {}) == {
        "method": "latest",
        "components": ALL,
        "recovery_time_seconds": Targets().rto,
        "recovery_point_seconds": Targets().rpo,
        "lifetime_seconds": 7200,
        "tolerances": {},
        "dry_run": False,
    }


@pytest.mark.parametrize(
    ("workflow", "data"),
    [
        ("snapshot", {"scheduled_at": "2026-11-23T09:00:00Z", "resources": ["orders"], "prune": False}),
        ("restore", {"moment": "2026-11-23T09:59:59.5+01:00", "mode": "replace", "approval": False}),
        ("restore", {"snapshot": "detection-api-dev-orders-2026112309", "allow_incomplete": "the cache is cold"}),
        ("restore", {"placement": {"database_class": "db.r6g.large", "cache_security_groups": ["sg-0a1b"]}}),
        ("restore", {"declared_at": "2026-11-23T09:59:59Z", "keep_old_hours": 1}),
        ("drill", {"method": "snapshot", "lifetime_seconds": 43200}),
    ],
)
def test_what_is_taken_stays_as_it_is(workflow: str, data: dict[str, Any]) -> None:
    assert validate(workflow, data).items() >= data.items()


def test_a_tolerance_is_filled_in() -> None:
    found = validate("drill", {"tolerances": {"detections": {"more": None}, "sites": {"fewer": 0.1}}})["tolerances"]
    tolerances = {table: Tolerance(**given) for table, given in found.items()}
    assert tolerances == {"detections": Tolerance(0, None), "sites": Tolerance(0.1, 0)}


@pytest.mark.parametrize(
    ("workflow", "data", "words"),
    [
        ("snapshot", {"component": ["database"]}, "unknown `component`"),
        ("snapshot", {"components": ["tape"]}, "must be one of"),
        ("snapshot", {"components": []}, "components"),
        ("snapshot", {"components": ["database", "database"]}, "components"),
        ("snapshot", {"scheduled_at": "2026-11-23T09:00:00"}, "scheduled_at must be date-time"),
        ("restore", {"moment": "yesterday"}, "moment must be date-time"),
        ("restore", {"mode": "overwrite"}, 'must be one of "isolated", "replace"'),
        ("restore", {"components": ["terraform_state"]}, 'must be one of "database", "cache"'),
        ("restore", {"placement": {"database_security_groups": ["default"]}}, "must match pattern"),
        ("restore", {"placement": {"publicly_accessible": True}}, "unknown `publicly_accessible`"),
        ("restore", {"keep_old_hours": 0}, "keep_old_hours"),
        ("restore", {"allow_incomplete": True}, "allow_incomplete must be string"),
        ("drill", {"lifetime_seconds": 43201}, "lifetime_seconds"),
        ("drill", {"tolerances": {"detections": {"fewer": 2}}}, "fewer"),
        ("drill", {"mode": "replace"}, "unknown `mode`"),
    ],
)
def test_what_is_refused(workflow: str, data: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        validate(workflow, data)
