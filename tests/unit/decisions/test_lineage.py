from datetime import timedelta

import pytest

from opskit.clock import timestamp
from opskit.decisions.lineage import former_names, live_at, successions, under_one_name
from opskit.decisions.manifest import Kind
from opskit.decisions.swaps import Swap
from opskit.ledger import Event, OperationRecord
from tests.unit.decisions.backups import HOUR, component, manifest


def replaced(hours, before, after, *, event=True, kind=Kind.DATABASE):
    at = HOUR + timedelta(hours=hours)
    swap = Swap(kind, before, f"{before}:1", after, f"{after}:1")
    events = (Event(at, "cut over", {"at": timestamp(at)}),) if event else ()
    return OperationRecord(
        "restore", "arn", f"r{hours}", at, ended_at=at, facts={"swapped": [swap.as_dict()]}, events=events
    )


HISTORY = successions(
    [replaced(4, "b", "a"), replaced(2, "a", "b", event=False), replaced(3, "x", "y", kind=Kind.CACHE)]
)


@pytest.mark.parametrize(("hours", "name"), [(0, "a"), (2, "b"), (3, "b"), (4, "a"), (9, "a")])
def test_what_was_live_then(hours, name):
    assert live_at(Kind.DATABASE, "a", HISTORY, HOUR + timedelta(hours=hours)) == name


def test_without_a_restore_it_has_always_been_the_same():
    assert live_at(Kind.DATABASE, "a", [], HOUR) == "a"
    assert former_names(Kind.DATABASE, "a", []) == ()


def test_the_names_that_it_had():
    assert former_names(Kind.DATABASE, "a", HISTORY) == ("b",)
    assert former_names(Kind.CACHE, "y", HISTORY) == ("x",)


def test_a_restore_that_replaced_nothing_is_no_part_of_it():
    assert successions([OperationRecord("restore", "arn", "r", HOUR)]) == ()


def test_backups_of_what_was_live_count_as_those_of_what_is_and_others_do_not():
    part = component(Kind.DATABASE, resource="b", taken_at=HOUR + timedelta(hours=3))
    other = component(Kind.DATABASE, resource="b", taken_at=HOUR + timedelta(hours=5))
    found = under_one_name([manifest(components=(part, other))], Kind.DATABASE, "a", HISTORY)
    assert [one.resource for one in found[0].components] == ["a", "b"]
