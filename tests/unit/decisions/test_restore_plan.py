from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from opskit.adapters.database_state import RestoreWindow
from opskit.decisions.manifest import Kind
from opskit.decisions.restore import Wanted
from opskit.decisions.restore_plan import Identity, Log, Observed, plan_parts, without_the_deleted
from opskit.decisions.restore_source import Sought, Source
from tests.unit.decisions.backups import CACHE, DATABASE, HOUR, manifest

NOW = HOUR + timedelta(minutes=40)
WINDOW = RestoreWindow(HOUR - timedelta(days=7), HOUR + timedelta(minutes=35))
TAGS = {"ops:restore-id": "0123456789ab"}
IDENTITY = Identity("detection-api", "dev", "restore-1", datetime(2026, 11, 23, 9, 40, tzinfo=UTC), TAGS)
DB = Source("db", "db:5432", DATABASE, {"backup": "true"}, "db-1")
REDIS = Source("cache", "cache:6379", CACHE, {"backup": "true"})
REQUEST = {"mode": "isolated", "placement": {}}


LATEST = Wanted()


def plan(wanted=LATEST, *, request=REQUEST, database=DB, cache=REDIS, window=WINDOW, manifests=None, log=None):
    observed = Observed(
        Sought(database, "here") if database else None,
        Sought(cache, "here") if cache else None,
        Log("db", there=not database or database.there, resource_id="db-1", window=window) if log is None else log,
        [manifest()] if manifests is None else manifests,
        NOW,
        {},
    )
    return plan_parts(request, wanted, observed, IDENTITY)


def test_the_latest_comes_from_the_log_and_the_cache_is_no_newer_than_it():
    planned = plan(manifests=[manifest(1), manifest(0)])
    database, cache = planned.parts[Kind.DATABASE], planned.parts[Kind.CACHE]
    assert (database.copy.source, database.copy.snapshot, database.copy.moment) == ("db", None, None)
    assert database.at == WINDOW.latest
    assert cache.copy.snapshot == "cache-2026112309"
    assert database.manifest.hour == HOUR
    assert not database.exact


def test_a_set_is_restored_as_a_set_and_compared_exactly():
    planned = plan(Wanted(snapshot="database-2026112309"))
    database = planned.parts[Kind.DATABASE]
    assert (database.copy.snapshot, database.exact) == ("database-2026112309", True)
    assert planned.parts[Kind.CACHE].copy.snapshot == "cache-2026112309"


def test_the_set_of_a_snapshot_also_where_only_the_cache_is_wanted():
    cache = plan(Wanted(snapshot="database-2026112309"), database=None).parts[Kind.CACHE]
    assert cache.copy.snapshot == "cache-2026112309"
    missing = plan(Wanted(snapshot="nobody's"), database=None)
    assert missing.refusals == ("no manifest names nobody's",)


def test_a_database_that_is_gone_is_found_by_its_resource_id():
    copy = plan(database=replace(DB, there=False), cache=None).parts[Kind.DATABASE].copy
    assert (copy.source, copy.resource_id) == (None, "db-1")


def test_a_moment_before_a_cut_over_comes_from_the_log_of_what_was_live_then():
    before = Log("old-db", there=True, resource_id="db-0", window=WINDOW)
    part = plan(Wanted(moment=HOUR + timedelta(minutes=10)), cache=None, log=before).parts[Kind.DATABASE]
    assert (part.copy.source, part.source.name) == ("old-db", "db")
    assert "of old-db, which was live then" in part.reason
    gone = plan(Wanted(moment=HOUR + timedelta(minutes=10)), cache=None, log=replace(before, there=False))
    assert gone.parts[Kind.DATABASE].copy.resource_id == "db-0"


def test_an_isolated_copy_can_be_deleted_again_and_one_for_production_has_backups_from_the_start():
    isolated = plan().parts[Kind.DATABASE].copy.configuration
    assert (isolated.deletion_protection, isolated.backup_retention_days) == (False, 0)
    replacing = plan(request=REQUEST | {"mode": "replace"}).parts[Kind.DATABASE].copy.configuration
    assert (replacing.deletion_protection, replacing.backup_retention_days) == (False, 7)


def test_what_is_not_stated_is_the_sources():
    placement = {"database_class": "db.r6g.large", "database_security_groups": ["sg-9", "sg-1"], "cache_node_type": "c"}
    parts = plan(request=REQUEST | {"mode": "replace", "placement": placement}).parts
    wanted = replace(
        DATABASE, instance_class="db.r6g.large", security_groups=("sg-1", "sg-9"), deletion_protection=False
    )
    assert parts[Kind.DATABASE].copy.configuration == wanted
    assert parts[Kind.CACHE].copy.configuration == replace(CACHE, node_type="c")


def test_names_and_tags_are_the_restores_own():
    parts = plan().parts
    assert parts[Kind.DATABASE].copy.name.startswith("detection-api-dev-r2611230940-")
    assert len(parts[Kind.CACHE].copy.name) <= 40
    assert parts[Kind.CACHE].copy.tags == TAGS


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"wanted": Wanted(moment=NOW + timedelta(hours=1))}, "still to come"),
        ({"cache": replace(REDIS, configuration=replace(CACHE, auth_token=True))}, "AUTH token"),
        (
            {"database": replace(DB, configuration=replace(DATABASE, subnet_group=None))},
            "AWS would choose subnet_group",
        ),
        ({"manifests": []}, "no verified backup of cache"),
    ],
)
def test_what_cannot_be_is_refused(changes, words):
    wanted = changes.pop("wanted", LATEST)
    assert any(words in reason for reason in plan(wanted, **changes).refusals)


def test_what_was_deleted_since_is_no_longer_part_of_a_set():
    sets = [manifest(1), manifest(0)]
    left = without_the_deleted(sets, {Kind.CACHE: frozenset({"cache-2026112309"}), Kind.DATABASE: None})
    assert [one.complete for one in left] == [False, True]
    assert "has been deleted since" in left[0].missing[0]


def test_a_part_says_what_would_be_lost():
    told = plan().parts[Kind.DATABASE].as_dict(NOW, {manifest().key: "ab"})
    assert told["lost_seconds"] == 300
    assert told["manifest"] == {"key": manifest().key, "sha256": "ab"}
