"""A drill keeps to its own, and leaves nothing behind."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opskit.decisions.drill import (
    CACHE_NAME,
    DATABASE_NAME,
    LONGEST,
    Reap,
    drill_id,
    drill_name,
    drill_tags,
    expires_at,
    judge_survivor,
    may_touch,
)
from opskit.decisions.snapshot import hour_tagged
from opskit.errors import InvalidInputError
from opskit.verdict import Outcome

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
ID = "abcd12345678"
NAME = f"drill-{ID}-db"
TAGS = drill_tags(ID, NOW + timedelta(hours=2), service="detection-api", environment="dev")


def test_an_execution_has_one_id_and_another_day_another() -> None:
    assert drill_id("weekly", NOW) == drill_id("weekly", NOW)
    assert len({drill_id("weekly", NOW), drill_id("weekly", NOW + timedelta(days=7)), drill_id("other", NOW)}) == 3
    assert re.fullmatch(r"[0-9a-f]{12}", drill_id("weekly", NOW))


@given(st.from_regex(r"[a-zA-Z](-?[a-zA-Z0-9]){0,62}", fullmatch=True), st.sampled_from([DATABASE_NAME, CACHE_NAME]))
def test_every_name_is_one_that_aws_takes_and_the_drill_may_touch(resource: str, limit: int) -> None:
    if resource.lower().startswith("drill-"):
        return
    name = drill_name(ID, resource, limit=limit)
    assert len(name) <= limit
    assert re.fullmatch(r"[a-z]([a-z0-9]|-(?!-))*[a-z0-9]", name)
    assert may_touch(ID, name, TAGS, [resource]).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("identity", "resource"), [("", "db"), ("ABCD1234", "db"), ("abc", "db"), ("a" * 17, "db"), (ID, NAME), (ID, "--")]
)
def test_refuses_what_is_no_drill_of_a_source(identity: str, resource: str) -> None:
    with pytest.raises(InvalidInputError):
        drill_name(identity, resource, limit=63)


def test_the_tags_of_a_copy_make_no_snapshot_of_it_ours() -> None:
    assert hour_tagged(TAGS, "detection-api", "dev") is None


@pytest.mark.parametrize(
    ("identity", "identifier", "tags", "words"),
    [
        (ID, "db", TAGS, "it is a source"),
        (ID, "arn:db", TAGS, "it is a source"),
        (ID, "db-2", TAGS, "its name does not begin with"),
        (ID, "drill-db", TAGS, "its name does not begin with"),
        (ID, f"x-{NAME}", TAGS, "its name does not begin with"),
        (ID, f"drill-{ID}", TAGS, "its name does not begin with"),
        (ID, NAME, {}, "its tag ops:drill-id is None"),
        (ID, NAME, TAGS | {"ops:drill-id": "ffff12345678"}, "its tag ops:drill-id is 'ffff12345678'"),
        ("ffff12345678", NAME, TAGS, "its tag ops:drill-id"),
        ("", "drill--db", TAGS | {"ops:drill-id": ""}, "is not a drill's id"),
    ],
)
def test_touches_nothing_but_its_own(identity: str, identifier: str, tags: dict[str, str], words: str) -> None:
    verdict = may_touch(identity, identifier, tags, ["db"], source_arns=["arn:db"])
    assert verdict.outcome is Outcome.FAIL
    assert words in verdict.reason


def test_a_source_that_is_called_like_a_drill_is_still_a_source() -> None:
    assert may_touch(ID, NAME, TAGS, [NAME]).outcome is Outcome.FAIL
    assert may_touch(ID, NAME, TAGS, ["db"]).outcome is Outcome.PASS


CREATED = NOW - timedelta(minutes=10)


@pytest.mark.parametrize(
    ("identifier", "tags", "changes", "decision"),
    [
        ("db", {"team": "x"}, {}, None),
        (NAME, TAGS, {}, Reap.LEAVE),
        (NAME, TAGS, {"running": frozenset()}, Reap.DELETE),
        (NAME, TAGS, {"now": NOW + timedelta(hours=2)}, Reap.DELETE),  # although its execution runs
        (NAME, TAGS, {"now": NOW + timedelta(hours=2, seconds=-1)}, Reap.LEAVE),
        (NAME, {}, {}, Reap.ALARM),
        (NAME, {}, {"now": NOW + timedelta(days=30)}, Reap.ALARM),
        ("db", TAGS, {"now": NOW + timedelta(days=30)}, Reap.ALARM),  # the tag alone deletes nothing
        (f"drill-{ID}x-db", TAGS, {"now": NOW + timedelta(days=30)}, Reap.ALARM),
        (NAME, TAGS | {"ops:drill-id": "??"}, {"now": NOW + timedelta(days=30)}, Reap.ALARM),
        (NAME, TAGS | {"ops:expires-at": "never"}, {}, Reap.LEAVE),
        (NAME, TAGS | {"ops:expires-at": "never"}, {"now": CREATED + LONGEST}, Reap.DELETE),
        (NAME, TAGS | {"ops:expires-at": "never"}, {"created_at": None}, Reap.ALARM),
        (NAME, TAGS | {"ops:expires-at": "2099-01-01T00:00:00Z"}, {"now": CREATED + LONGEST}, Reap.DELETE),
        (NAME, TAGS, {"created_at": None}, Reap.LEAVE),
    ],
)
def test_the_reaper(identifier: str, tags: dict[str, str], changes: dict[str, Any], decision: Reap | None) -> None:
    now = changes.pop("now", NOW)
    facts: dict[str, Any] = {"created_at": CREATED, "running": frozenset({ID})} | changes
    found = judge_survivor(identifier, tags, now, **facts)
    assert (found and found.decision) == decision
    if found:
        assert found.reason
        assert found.as_dict()["decision"] == decision


@given(
    st.sampled_from(["db", "drill-db", NAME, f"drill-{ID}", "drill-ffff12345678-db"]),
    st.dictionaries(
        st.sampled_from(["ops:drill-id", "ops:expires-at", "backup"]),
        st.sampled_from([ID, "ffff12345678", "", "2026-11-23T08:00:00Z", "true"]),
    ),
)
def test_the_reaper_deletes_only_what_its_drill_might(identifier: str, tags: dict[str, str]) -> None:
    found = judge_survivor(identifier, tags, NOW, created_at=CREATED, running=frozenset())
    if found and found.decision is Reap.DELETE:
        assert may_touch(str(found.drill), identifier, tags, ["db"]).outcome is Outcome.PASS


def test_nothing_of_a_drill_lasts_for_longer_than_half_a_day() -> None:
    assert expires_at(NOW, 7200) == NOW + timedelta(hours=2)
    for wrong in (0, -1, LONGEST.total_seconds() + 1):
        with pytest.raises(ValueError, match="a drill lasts up to"):
            expires_at(NOW, wrong)
