"""The first step: what there is is read, what will be is said, and nothing is changed."""

from dataclasses import replace
from datetime import timedelta

import pytest

from functions.restore import plan_restore
from opskit.adapters.caches import Caches
from opskit.adapters.database_state import DatabaseSnapshot, RestoreWindow
from opskit.adapters.databases import Databases
from opskit.adapters.manifests import Manifests
from opskit.decisions.manifest import Kind
from opskit.errors import InvalidInputError, LockHeldError
from opskit.ledger import OperationRecord
from tests.unit.decisions.backups import HOUR, manifest
from tests.unit.functions.conftest import START
from tests.unit.functions.restore.conftest import DB, REDIS, SETTINGS


class Named:
    """A snapshot of that name that can be restored."""

    status = "available"

    def __init__(self, name):
        self.name = name


@pytest.fixture
def there(world, monkeypatch):
    """The live ones, a set of backups of them, and a log until a minute ago."""
    kinds = {Kind.DATABASE: Databases, Kind.CACHE: Caches}
    monkeypatch.setattr(
        Databases, "instances", lambda _: [s for (k, _), s in world.there.items() if k is Kind.DATABASE]
    )
    monkeypatch.setattr(Caches, "groups", lambda _: [s for (k, _), s in world.there.items() if k is Kind.CACHE])
    for kind, adapter in kinds.items():
        monkeypatch.setattr(adapter, "snapshots", lambda _, kind=kind: [Named(f"{kind}-2026112309")])
    monkeypatch.setattr(Databases, "restore_window", lambda *_: RestoreWindow(HOUR, START))
    monkeypatch.setattr(Manifests, "recent", lambda _: [manifest()])
    return world


def plan(run, **given):
    return plan_restore.handler.__wrapped__({"settings": SETTINGS, "input": given}, run)


def test_the_plan_holds_all_that_the_later_steps_need(there, run):
    done = plan(run, mode="replace")
    found = done["plan"]
    assert (found["decision"], done["request"]["mode"]) == ("PROCEED", "replace")
    database = found["parts"]["database"]
    assert (database["source"]["name"], database["copy"]["source"]) == ("db", "db")
    assert database["manifest"] == {"key": manifest().key, "sha256": manifest().sha256}
    assert found["tags"]["database"] == {"backup": "true"}
    assert found["will_cut_over"][0].startswith("database: db (db:5432) -> detection-api-dev-r")
    assert run.ledger.operation_of("restore", "r1") is None


def test_the_same_execution_plans_the_same_names(there, run):
    names = [plan(run)["plan"]["parts"]["cache"]["copy"]["name"] for _ in range(2)]
    assert names[0] == names[1]


def test_what_cannot_be_is_refused_with_all_the_reasons(there, run, monkeypatch):
    monkeypatch.setattr(Manifests, "recent", lambda _: [])
    monkeypatch.setattr(Databases, "restore_window", lambda *_: None)
    found = plan(run)["plan"]
    assert (found["decision"], found["parts"]) == ("REFUSE", {})
    assert "there is no manifest" in found["reason"]


def test_a_drills_copy_is_never_the_source(there, run):
    there.there[Kind.DATABASE, "drill"] = replace(
        there.there[Kind.DATABASE, "db"], identifier="drill-0123456789ab-db", address="drill"
    )
    there.move("database", "drill:5432")
    found = plan(run, components=["database"])["plan"]
    assert found["decision"] == "REFUSE"
    assert "a drill's copy" in found["reason"]


def test_a_release_under_way_refuses_what_would_cut_over_before_anything_is_restored(there, run):
    run.ledger.acquire("a-release", "a release", 60)
    with pytest.raises(LockHeldError, match="a-release"):
        plan(run, mode="replace")
    assert plan(run)["plan"]["decision"] == "PROCEED"


def test_an_input_that_does_not_fit_is_refused(there, run):
    with pytest.raises(InvalidInputError, match="unknown `what`"):
        plan(run, what="ever")


def test_an_undo_swaps_back_what_a_former_restore_swapped(there, run):
    former = OperationRecord("restore", "arn", "restore-1", START)
    run.ledger.open_operation(former)
    facts = {"swapped": [DB.as_dict(), REDIS.as_dict()], "tags": {"database": {"backup": "true"}}}
    run.ledger.close_operation(former.key, "REPLACED", "well", facts=facts)
    refused = plan(run, undo="restore-1")["plan"]
    assert (refused["decision"], refused["swaps"]) == ("REFUSE", [])
    there.move("database", "db-new:5432")
    there.move("cache", "cache-new:6379")
    there.change(Kind.DATABASE, "db")
    found = plan(run, undo="restore-1")["plan"]
    assert found["decision"] == "PROCEED"
    assert found["swaps"] == [DB.back.as_dict(), REDIS.back.as_dict()]
    assert found["digest"].startswith("sha256:")
    assert found["tags"]["database"] == {"backup": "true"}


def test_snapshots_are_what_rds_lists():
    described = {"DBSnapshotIdentifier": "a", "DBSnapshotArn": "b", "DBInstanceIdentifier": "c", "Status": "available"}
    assert DatabaseSnapshot.of(described).status == Named("a").status


def test_a_moment_before_the_last_cut_over_is_in_the_log_of_what_was_live_then(there, run, monkeypatch):
    cut = START - timedelta(minutes=5)
    former = OperationRecord("restore", "arn", "restore-1", cut)
    run.ledger.open_operation(former)
    run.ledger.note(former.key, "cut over", {"at": cut.isoformat()})
    run.ledger.close_operation(former.key, "REPLACED", "well", facts={"swapped": [DB.as_dict()]})
    there.move("database", "db-new:5432")
    asked = []

    def window(_, identity):
        asked.append(identity)
        return RestoreWindow(HOUR, START)

    monkeypatch.setattr(Databases, "restore_window", window)
    moment = (cut - timedelta(minutes=1)).isoformat()
    part = plan(run, components=["database"], moment=moment)["plan"]["parts"]["database"]
    assert (part["source"]["name"], part["copy"]["source"]) == ("db-new", "db")
    assert part["source"]["formerly"] == ["db"]
    del there.there[Kind.DATABASE, "db"]
    monkeypatch.setattr(plan_restore, "resource_id_of", lambda name, _: f"id-{name}")
    part = plan(run, components=["database"], moment=moment)["plan"]["parts"]["database"]
    assert (part["copy"]["source"], part["copy"]["resource_id"]) == (None, "id-db")
    assert asked == ["id-db", "id-db"]
    later = (cut + timedelta(minutes=1)).isoformat()
    assert plan(run, components=["database"], moment=later)["plan"]["parts"]["database"]["copy"]["source"] == "db-new"
