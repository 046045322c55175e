"""The plan of a drill: what it restores and how, and what refuses it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from opskit.adapters.cache_state import CacheState
from opskit.adapters.database_state import DatabaseState
from opskit.decisions.copies import CacheCopy, DatabaseCopy, copy_of
from opskit.decisions.manifest import Kind
from opskit.decisions.rehearsal import Place, Rehearsal, Seen, drill_cache, drill_database, plan_rehearsal
from opskit.schema import validate
from tests.unit.decisions.backups import CACHE, CACHE_CONTENTS, DATABASE, FAILED, manifest

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
PLACE = Place("drill-net", "drill-cache-net", "sg-9")
ARN = "arn:aws:rds:us-east-1:000000000000:db:db"


def database(**changes: Any) -> DatabaseState:
    state = DatabaseState("db", ARN, "db-1", "available", DATABASE, "db.internal", latest_restorable=START)
    return replace(state, **changes)


def cache(**changes: Any) -> CacheState:
    return replace(CacheState("cache", ARN.replace("db", "cache"), "available", CACHE, (), "cache.internal"), **changes)


def seen(**changes: Any) -> Seen:
    whole = manifest(cache={"contents": {"before": CACHE_CONTENTS.as_dict()}})
    return replace(Seen(PLACE, whole, "", database(), cache()), **changes)


def plan(given: Seen | None = None, execution: str = "weekly", **request: Any) -> Rehearsal:
    return plan_rehearsal(
        validate("drill", request),
        given or seen(),
        service="detection-api",
        environment="dev",
        execution=execution,
        started_at=START,
    )


def test_the_usual_drill_restores_both_and_reads_the_rest() -> None:
    found = plan()
    assert found.refused == ()
    assert found.names == {"database": f"drill-{found.drill}-db", "cache": f"drill-{found.drill}-cache"}
    assert isinstance(found.database, DatabaseCopy)
    assert (found.database.source, found.database.snapshot, found.database.moment) == ("db", None, None)
    assert isinstance(found.cache, CacheCopy)
    assert found.cache.snapshot == "cache-2026112309"
    for words in ("from the log of db", "from snapshot cache-2026112309", "terraform_state", "2026-11-23T14:00:00"):
        assert words in found.reason


def test_method_snapshot_takes_the_manifest_s() -> None:
    found = plan(method="snapshot").database
    assert found is not None
    assert (found.source, found.snapshot) == (None, "database-2026112309")


def test_every_copy_carries_the_drill_s_tags_and_none_of_the_source_s() -> None:
    found = plan(seen(database=database(tags={"backup": "true", "team": "detection"})))
    assert found.database is not None
    assert found.cache is not None
    assert found.database.tags == found.cache.tags
    assert found.database.tags == {
        "ops:drill-id": found.drill,
        "ops:expires-at": "2026-11-23T14:00:00.000000Z",
        "ops:drill-service": "detection-api",
        "ops:drill-environment": "dev",
    }


def test_a_copy_of_a_database_is_apart_alone_and_leaves_nothing() -> None:
    found = drill_database(replace(DATABASE, publicly_accessible=True), PLACE)
    changed = {
        "subnet_group": "drill-net",
        "security_groups": ("sg-9",),
        "multi_az": False,
        "publicly_accessible": False,
        "deletion_protection": False,
        "backup_retention_days": 0,
        "log_exports": (),
    }
    assert found == replace(DATABASE, **changed)


@pytest.mark.parametrize("cluster_mode", [False, True])
def test_a_copy_of_a_cache_has_no_replicas_and_as_many_shards(cluster_mode: bool) -> None:
    source = replace(CACHE, cluster_mode=cluster_mode, node_groups=3 if cluster_mode else 1)
    found = drill_cache(source, PLACE)
    changed = {
        "subnet_group": "drill-cache-net",
        "security_groups": ("sg-9",),
        "replicas_per_group": 0,
        "multi_az": False,
        "automatic_failover": cluster_mode,
        "snapshot_retention_days": 0,
    }
    assert found == replace(source, **changed)


def test_only_what_is_asked_for_is_restored() -> None:
    found = plan(components=["cache", "application_data"])
    assert found.database is None
    assert list(found.names) == ["cache"]
    assert "database" not in found.sources
    assert "read application_data" in found.reason


def test_the_plan_travels_as_json() -> None:
    found = plan()
    data = found.as_dict()
    assert copy_of(data["database"]) == found.database
    assert copy_of(data["cache"]) == found.cache
    assert data["decision"] == "PROCEED"
    assert data["sources"]["database"] == {"identifier": "db", "arn": ARN, "endpoint": "db.internal:5432"}
    assert found.manifest is not None
    assert data["manifest"]["sha256"] == found.manifest.sha256


def test_the_same_execution_is_the_same_drill_and_another_is_not() -> None:
    assert plan().drill == plan().drill
    assert plan().drill != plan(execution="another").drill


def test_a_drill_lives_as_long_as_was_asked() -> None:
    assert plan(lifetime_seconds=600).expires == START + timedelta(seconds=600)


@pytest.mark.parametrize(
    ("given", "request_", "words"),
    [
        ({"manifest": None, "manifest_problem": "it was changed"}, {}, "it was changed"),
        ({"database": None}, {}, "no DB instance is at the service's endpoint"),
        ({"cache": None}, {}, "no replication group is at the service's endpoint"),
        ({"database": database(identifier="drill-1-db")}, {}, "drill's own copy"),
        ({"cache": cache(identifier="drill-1-cache")}, {}, "drill's own copy"),
        ({"database": database(identifier="other")}, {}, "no verified snapshot of other"),
        ({"cache": cache(identifier="other")}, {}, "no verified backup of other"),
        ({"database": database(latest_restorable=None)}, {}, "no automated backups"),
        ({"manifest": manifest(database={"contents": {}})}, {"components": ["database"]}, "no verified snapshot of db"),
        ({"manifest": manifest(cache=FAILED)}, {"components": ["cache"]}, "no verified backup of cache"),
        ({"manifest": manifest(terraform_state=FAILED)}, {}, "has no terraform_state"),
    ],
)
def test_what_is_missing_refuses_the_whole_drill(given: dict[str, Any], request_: dict[str, Any], words: str) -> None:
    found = plan(seen(**given), **request_)
    assert words in found.reason
    assert (found.database, found.cache, found.names) == (None, None, {})
    assert found.as_dict()["decision"] == "REFUSE"


def test_a_snapshot_needs_no_log() -> None:
    assert plan(seen(database=database(latest_restorable=None)), method="snapshot").refused == ()


def test_every_reason_is_given() -> None:
    found = plan(seen(database=None, cache=None, manifest=manifest(application_data=FAILED)))
    assert len(found.refused) == 3


def test_what_is_not_asked_for_need_not_be_there() -> None:
    assert plan(seen(database=None, cache=None), components=[Kind.STATE.value]).refused == ()
