from dataclasses import replace

import pytest

from opskit.adapters.cache_state import CacheState
from opskit.adapters.copies import Copies, endpoint_of
from opskit.adapters.database_state import DatabaseState
from opskit.decisions.copies import CacheCopy, DatabaseCopy, copy_of, disposable
from opskit.decisions.manifest import Kind
from opskit.verdict import Outcome, Verdict
from tests.unit.decisions.backups import CACHE, DATABASE, HOUR

TAGS = {"ops:restore-id": "0123456789ab"}
DB = DatabaseCopy("copy", DATABASE, TAGS, snapshot="set-1")
REDIS = CacheCopy("copy", CACHE, TAGS, "set-1")
THERE = DatabaseState("copy", "arn:copy", "id", "available", DATABASE, address="copy.example", tags=TAGS)
YES = Verdict(Outcome.PASS, "its own")
NO = Verdict(Outcome.FAIL, "somebody else's")


class Service:
    """Either adapter: what is there, and what was asked."""

    def __init__(self, state=None):
        self.state, self.asked = state, []

    def instance(self, name):
        return self.state

    group = instance

    def __getattr__(self, operation):
        return lambda *given, **named: self.asked.append((operation, given, named))


def look(state, copy=DB, waited=100.0):
    service = Service(state)
    return Copies(service, service).look(copy, waited_seconds=waited, limit_seconds=600)


@pytest.mark.parametrize("copy", [DB, REDIS, replace(DB, snapshot=None, source="db", moment=HOUR)])
def test_a_copy_travels_between_states(copy):
    assert copy_of(copy.as_dict()) == copy


def test_a_copy_comes_from_one_place():
    with pytest.raises(ValueError, match="needs one of"):
        replace(DB, source="db")


def test_a_disposable_copy_can_be_deleted_and_has_no_backups():
    assert not disposable(DATABASE).deletion_protection
    assert disposable(CACHE).snapshot_retention_days == 0


def test_each_is_begun_where_it_comes_from():
    service = Service()
    copies = Copies(service, service)
    for copy in (DB, REDIS, replace(DB, snapshot=None, resource_id="db-1", moment=HOUR)):
        copies.begin(copy)
    asked = [(operation, given[0]) for operation, given, _ in service.asked]
    assert asked == [("restore_snapshot", "copy"), ("restore_snapshot", "copy"), ("restore_moment", "copy")]
    assert service.asked[2][2] == {"source": None, "resource_id": "db-1"}
    assert service.asked[0][1][2]["Tags"] == [{"Key": "ops:restore-id", "Value": "0123456789ab"}]


def test_one_that_is_there_as_it_was_asked_for_passes_with_its_endpoint():
    seen = look(THERE)
    assert (seen.verdict.outcome, seen.endpoint) == (Outcome.PASS, "copy.example:5432")
    assert seen.as_dict()["differences"] == []


@pytest.mark.parametrize(
    ("state", "outcome", "words"),
    [
        (replace(THERE, status="creating"), Outcome.WAIT, "creating"),
        (replace(THERE, address=None), Outcome.WAIT, "no endpoint"),
        (None, Outcome.FAIL, "not there"),
        (replace(THERE, status="restore-error"), Outcome.FAIL, "restore-error"),
        (replace(THERE, configuration=replace(DATABASE, publicly_accessible=True)), Outcome.FAIL, "the Internet"),
        (replace(THERE, configuration=replace(DATABASE, multi_az=False)), Outcome.PASS, "available"),
    ],
)
def test_anything_else_is_waited_for_or_fails(state, outcome, words):
    seen = look(state)
    assert seen.verdict.outcome is outcome
    assert words in seen.verdict.reason


def test_a_difference_that_does_not_matter_is_told():
    seen = look(replace(THERE, configuration=replace(DATABASE, multi_az=False))).as_dict()
    assert [one["setting"] for one in seen["differences"]] == ["multi_az"]


@pytest.mark.parametrize("kind", [Kind.DATABASE, Kind.CACHE])
def test_a_copy_is_deleted_only_with_permission_given_on_its_tags_of_now(kind):
    state = THERE if kind is Kind.DATABASE else CacheState("copy", "arn", "available", CACHE, tags=TAGS)
    service, seen = Service(state), []
    copies = Copies(service, service)

    def permitted(name, tags):
        seen.append((name, tags))
        return NO

    assert copies.delete(kind, "copy", permitted) == NO
    assert (seen, service.asked) == ([("copy", TAGS)], [])
    assert copies.delete(kind, "copy", lambda *_: YES).outcome is Outcome.WAIT
    assert service.asked[0][0] in ("delete_instance", "delete_group")


def test_one_that_is_going_is_not_deleted_again_and_one_that_is_gone_is_gone():
    service = Service(replace(THERE, status="deleting"))
    assert Copies(service).delete(Kind.DATABASE, "copy", lambda *_: YES).outcome is Outcome.WAIT
    assert service.asked == []
    assert Copies(Service()).delete(Kind.DATABASE, "copy", lambda *_: NO).outcome is Outcome.PASS


def test_without_an_address_there_is_no_endpoint():
    assert endpoint_of(replace(THERE, address=None)) is None
