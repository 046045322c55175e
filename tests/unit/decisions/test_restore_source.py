from dataclasses import replace

import pytest

from opskit.adapters.cache_state import CacheState
from opskit.adapters.database_state import DatabaseState
from opskit.decisions.manifest import Kind
from opskit.decisions.restore_source import cache_source, configuration_of, database_source, remembered
from tests.unit.decisions.backups import CACHE, DATABASE, component, manifest

HERE = "db.example:5432"
STATE = DatabaseState(
    "db", "arn:db", "db-1", "available", DATABASE, address="db.example", tags={"backup": "true", "aws:cloud": "x"}
)
GROUP = CacheState("cache", "arn:cache", "available", CACHE, address="cache.example", tags={"backup": "true"})


def remembering(state, endpoint, hours=0):
    part = component(Kind.DATABASE)
    return manifest(hours, database={"contents": part.contents | remembered(state, endpoint)})


def test_the_live_database_is_the_source_without_tags_of_awss_own():
    source = database_source(STATE, HERE, []).source
    assert (source.name, source.resource_id, source.there) == ("db", "db-1", True)
    assert source.tags == {"backup": "true"}


def test_one_that_is_gone_is_remembered_by_the_newest_manifest_that_knew_its_endpoint():
    older = replace(STATE, configuration=replace(DATABASE, instance_class="db.t4g.small"))
    elsewhere = remembering(replace(STATE, identifier="other"), "other:5432", hours=2)
    found = database_source(None, HERE, [elsewhere, remembering(STATE, HERE, 1), remembering(older, HERE)])
    assert found.source.configuration == DATABASE
    assert (found.source.resource_id, found.source.there) == ("db-1", False)
    assert found.source.tags == {"backup": "true"}


def test_one_that_is_being_deleted_is_as_it_was_before_somebody_took_its_protection_away():
    going = replace(STATE, status="deleting", configuration=replace(DATABASE, deletion_protection=False))
    assert database_source(going, HERE, [remembering(STATE, HERE)]).source.configuration.deletion_protection
    assert not database_source(going, HERE, []).source.there
    group = cache_source(replace(GROUP, status="deleting"), "cache.example:6379", [])
    assert not group.source.there


@pytest.mark.parametrize("manifests", [[], [manifest()], [remembering(STATE, "other:5432")]])
def test_without_any_memory_people_are_told_what_to_do(manifests):
    found = database_source(None, HERE, manifests)
    assert found.source is None
    assert "Point the endpoint parameter at an existing database" in found.reason


def test_a_drills_copy_is_no_source():
    found = database_source(replace(STATE, identifier="drill-0123456789ab-db"), HERE, [])
    assert found.source is None
    assert "a drill's copy" in found.reason


def test_configurations_come_back_from_their_dicts():
    assert configuration_of(Kind.DATABASE, DATABASE.as_dict()) == DATABASE
    assert configuration_of(Kind.CACHE, CACHE.as_dict()) == CACHE
