"""The components of a manifest from what the steps found."""

from datetime import UTC, datetime

import pytest

from opskit.decisions.assembly import Captured, other_component, resource_components
from opskit.decisions.manifest import Component, Kind, Status
from opskit.decisions.taking import Part, Phase

from .backups import CACHE_CONTENTS, CONTENTS

NOW = datetime(2026, 11, 23, 9, 5, tzinfo=UTC)
LIVE = {"database": {"identifier": "orders"}, "cache": {"identifier": "sessions"}}
SEEN = {
    "database": {"identifier": "orders", "contents": CONTENTS.as_dict()},
    "cache": {"identifier": "sessions", "contents": CACHE_CONTENTS.as_dict()},
}


def part(resource: str, kind: Kind = Kind.DATABASE, phase: Phase = Phase.VERIFIED) -> Part:
    return Part(kind, resource, f"s-{resource}", since=0, phase=phase, taken_at=NOW)


def only(one: Part, before: Captured, after: Captured) -> Component:
    (component,) = resource_components([one], LIVE, before, after)
    return component


def test_the_services_own_database_and_cache_have_their_contents() -> None:
    database = only(part("orders"), SEEN, SEEN)
    assert (database.status, database.counts) == (Status.VERIFIED, {"tables": 2, "rows": 1012})
    assert database.contents == {"before": CONTENTS.as_dict(), "after": CONTENTS.as_dict()}
    cache = only(part("sessions", Kind.CACHE), SEEN, SEEN)
    assert (cache.status, cache.counts) == (Status.VERIFIED, {"keys": 100, "expiring": 60})


def test_another_database_of_the_fleet_is_verified_without() -> None:
    assert only(part("billing"), {}, {}).status is Status.VERIFIED


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ({}, SEEN, "before the backup are not known: nobody looked"),
        (SEEN, {}, "after the backup are not known: nobody looked"),
        (SEEN, {"database": {"identifier": "orders", "problem": "no answer"}}, "not known: no answer"),
    ],
)
def test_without_its_contents_the_services_own_is_not_verified(before: Captured, after: Captured, why: str) -> None:
    component = only(part("orders"), before, after)
    assert component.status is Status.FAILED
    assert why in str(component.reason)
    assert component.id == "s-orders"


def test_a_backup_that_failed_says_so_whatever_was_captured() -> None:
    component = only(part("orders", phase=Phase.FAILED), SEEN, SEEN)
    assert (component.status, component.contents) == (Status.FAILED, {})


def test_a_step_that_failed_owes_its_component() -> None:
    made = Component(Kind.CLUSTER, "n", Status.VERIFIED, id="k")
    assert other_component(Kind.CLUSTER, made.as_dict(), None) == [made]
    assert other_component(Kind.CLUSTER, None, None) == []
    (failed,) = other_component(Kind.CLUSTER, None, "it broke")
    assert (failed.kind, failed.status, failed.reason) == (Kind.CLUSTER, Status.FAILED, "it broke")
