from datetime import UTC, datetime

import pytest

from opskit.decisions.restoration import may_delete, restore_id, restore_name, restore_tags
from opskit.errors import InvalidInputError
from opskit.verdict import Outcome

STARTED = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
ID = restore_id("restore-1", STARTED)
NAME = "shop-dev-r2611230930-" + ID[:4]
TAGS = {"ops:restore-id": ID}


def test_a_name_is_the_services_and_the_same_whenever_it_is_asked():
    assert restore_name("shop", "dev", "restore-1", STARTED, limit=63) == NAME
    assert restore_name("shop", "dev", "restore-2", STARTED, limit=63) != NAME


@pytest.mark.parametrize("service", ["shop", "a" * 20, "a" * 25])
def test_a_name_fits_and_keeps_its_prefix(service):
    name = restore_name(service, "staging", "restore-1", STARTED, limit=40)
    assert len(name) <= 40
    assert name.startswith(f"{service}-staging-r")


def test_where_there_is_no_room_for_a_name_people_are_told():
    with pytest.raises(InvalidInputError, match="no room"):
        restore_name("a" * 25, "production", "restore-1", STARTED, limit=40)


def test_a_copy_is_not_backed_up_as_long_as_it_is_not_live():
    tags = restore_tags(ID, STARTED, service="shop", environment="dev")
    assert tags["ops:expires-at"] == "2026-11-23T09:30:00.000000Z"
    assert "backup" not in tags


@pytest.mark.parametrize(
    ("identifier", "tags", "live", "words"),
    [
        ("shop-dev", TAGS, (), "none of this restore's copies"),
        (NAME, {}, (), "its tag"),
        (NAME, {"ops:restore-id": "another"}, (), "its tag"),
        (NAME, TAGS, (NAME,), "it is live"),
        (NAME, TAGS, (None,), "not known what is live"),
    ],
)
def test_nothing_else_is_deleted(identifier, tags, live, words):
    verdict = may_delete(ID, (NAME,), live, identifier, tags)
    assert verdict.outcome is Outcome.FAIL
    assert words in verdict.reason


def test_its_own_copy_is():
    assert may_delete(ID, (NAME,), ("shop-dev",), NAME, TAGS).outcome is Outcome.PASS
