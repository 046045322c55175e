"""Planning a drill and beginning it: from what is there, on record before anything is made, once for each event."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from functions.drill import begin_drill, plan_drill
from opskit import clients
from opskit.adapters.cache_state import CacheState
from opskit.adapters.database_state import DatabaseState
from opskit.decisions.drill import LOCK, WORKFLOW
from opskit.decisions.manifest import Manifest
from opskit.errors import InvalidInputError, LockHeldError, PlatformContractError
from opskit.ledger import Lock, OperationRecord
from opskit.step import Execution, Run
from tests.unit.decisions.backups import CACHE, DATABASE
from tests.unit.functions.drill.conftest import SETTINGS, call, put_on_record

ARN = "arn:aws:rds:us-east-1:123456789012:db:db"


class Listing:
    """Databases or caches, of which some are there."""

    def __init__(self, *states: Any) -> None:
        self.states = states

    def __call__(self) -> "Listing":
        return self

    def instances(self) -> tuple[Any, ...]:
        return self.states

    groups = instances


@pytest.fixture
def live(run: Run, buckets: None, whole: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service's database and cache, and a complete manifest of them."""
    put_on_record(run, whole)
    ssm = clients.client("ssm")
    for kind, value in (("database", "db.internal:5432"), ("cache", "cache.internal:6379")):
        ssm.put_parameter(Name=f"/detection-api/dev/endpoints/{kind}", Value=value, Type="String")
    now = run.clock.now()
    database = DatabaseState("db", ARN, "db-1", "available", DATABASE, "db.internal", latest_restorable=now)
    other = replace(database, identifier="another", address="another.internal")
    monkeypatch.setattr(plan_drill, "Databases", Listing(other, database))
    monkeypatch.setattr(
        plan_drill, "Caches", Listing(CacheState("cache", ARN, "available", CACHE, (), "cache.internal"))
    )


def plan(run: Run, **given: Any) -> dict[str, Any]:
    return call(plan_drill, {"input": given}, run)


def begin(run: Run, **given: Any) -> dict[str, Any]:
    return call(begin_drill, {"settings": SETTINGS}, run, **plan(run, **given))


def another(run: Run) -> Run:
    execution = Execution(f"{run.execution.id}-other", "other", run.execution.started_at + timedelta(seconds=1))
    return replace(run, execution=execution)


def test_what_is_live_is_what_the_service_is_told(run: Run, live: None, whole: Manifest) -> None:
    found = plan(run)["plan"]
    assert found["decision"] == "PROCEED"
    assert found["sources"]["database"]["identifier"] == "db"
    assert found["database"]["source"] == "db"
    assert found["cache"]["snapshot"] == "cache-2026112309"
    assert found["manifest"] == {"key": whole.key, "sha256": whole.sha256, "hour": "2026-11-23T09:00:00.000000Z"}
    assert found["database"]["configuration"]["subnet_group"] == run.platform.drill_subnet_group
    assert found["cache"]["configuration"]["subnet_group"] == run.platform.drill_cache_subnet_group
    assert found["planned_at"] == "2026-11-23T12:00:00.000000Z"


def test_the_last_complete_manifest_is_meant(run: Run, live: None, whole: Manifest) -> None:
    newer = replace(whole, run="run-2", hour=whole.hour + timedelta(hours=1))
    put_on_record(run, newer, complete=False, hours_ago=0)
    assert plan(run)["plan"]["manifest"]["key"] == whole.key


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_one_that_was_tampered_with_is_not_passed_over(run: Run, live: None, whole: Manifest, damage: str) -> None:
    newer = replace(whole, run="run-2", hour=whole.hour + timedelta(hours=1))
    put_on_record(run, newer, hours_ago=0)
    s3, place = clients.client("s3"), {"Bucket": run.platform.backup_bucket, "Key": newer.key}
    if damage == "gone":
        s3.delete_object(**place)
    else:
        s3.put_object(**place, Body=newer.to_bytes().replace(b'"parts":3', b'"parts":4'))
    found = plan(run)["plan"]
    assert found["decision"] == "REFUSE"
    assert newer.key in found["reason"]
    assert found["names"] == {}


def test_without_any_manifest_it_is_refused(run: Run, live: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_drill, "SNAPSHOT", "nothing")
    assert "complete manifest" in plan(run)["plan"]["reason"]


def test_only_what_is_drilled_is_looked_for(run: Run, live: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_drill, "Databases", None)
    monkeypatch.setattr(plan_drill, "Caches", None)
    assert plan(run, components=["terraform_state"])["plan"]["decision"] == "PROCEED"


@pytest.mark.parametrize(
    ("given", "words"),
    [({"environment": "prod"}, "drill of dev, the input is for prod"), ({"method": "magic"}, "method must be one of")],
)
def test_an_input_that_does_not_fit_is_refused(run: Run, live: None, given: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        plan(run, **given)


def test_its_own_environment_is_welcome(run: Run, live: None) -> None:
    assert plan(run, environment="dev")["plan"]["decision"] == "PROCEED"


def test_without_the_endpoints_nothing_is_guessed(run: Run, live: None) -> None:
    clients.client("ssm").delete_parameter(Name="/detection-api/dev/endpoints/database")
    with pytest.raises(PlatformContractError, match="endpoints/database"):
        plan(run)


def test_the_record_names_everything_before_it_is_made(run: Run, live: None) -> None:
    begun = begin(run, requested_by="tester", reason="why")
    record = run.ledger.operation_of(WORKFLOW, "r1")
    assert record is not None
    assert record.facts["names"] == {
        "database": f"drill-{record.facts['drill_id']}-db",
        "cache": f"drill-{record.facts['drill_id']}-cache",
    }
    assert record.facts["expires_at"] == "2026-11-23T14:00:00.000000Z"
    assert (record.requested_by, record.reason, record.outcome) == ("tester", "why", None)
    holder = run.ledger.holder(LOCK)
    assert holder is not None
    assert holder.owner == run.execution.id
    assert begun["lock"]["name"] == LOCK
    assert run.ledger.holder() is None  # the service's own lock is free: releases go on


def test_beginning_again_finds_what_was_begun(run: Run, live: None) -> None:
    assert begin(run)["lock"] == begin(run)["lock"]
    assert len(run.ledger.operations(WORKFLOW)) == 1


def test_a_second_drill_waits_its_turn(run: Run, live: None) -> None:
    begin(run)
    with pytest.raises(LockHeldError, match="r1"):
        begin(another(run))
    assert run.ledger.operation_of(WORKFLOW, "other") is None


EVENT = {"scheduled_at": "2026-11-22T03:00:00Z"}


def test_an_event_that_comes_twice_at_once_is_one_drill(run: Run, live: None) -> None:
    second = another(run)
    planned = plan(second, **EVENT)
    begin(run, **EVENT)
    done = call(begin_drill, {"settings": SETTINGS}, second, **planned)
    assert (done["decision"], done["lock"]) == ("DUPLICATE", None)


def test_an_event_whose_drill_has_ended_since_this_one_was_planned_is_none(run: Run, live: None) -> None:
    second = another(run)
    planned = plan(second, **EVENT)
    begun = begin(run, **EVENT)
    run.ledger.release(Lock.from_dict(begun["lock"]))
    done = call(begin_drill, {"settings": SETTINGS}, second, **planned)
    assert (done["decision"], done["lock"]) == ("DUPLICATE", None)
    assert run.ledger.holder(LOCK) is None


def test_an_event_that_comes_again_later_is_none(run: Run, live: None) -> None:
    begin(run, **EVENT)
    found = plan(another(run), **EVENT)["plan"]
    assert (found["decision"], found["reason"]) == ("DUPLICATE", "the drill of 2026-11-22T03:00:00Z is r1")
    assert plan(run, **EVENT)["plan"]["decision"] == "PROCEED"  # the same execution, asked again
    assert plan(another(run), scheduled_at="2026-11-29T03:00:00Z")["plan"]["decision"] == "PROCEED"
    assert plan(another(run), **EVENT, dry_run=True)["plan"]["decision"] == "PROCEED"


def test_a_record_without_a_schedule_is_nobody_s_duplicate(run: Run, live: None) -> None:
    run.ledger.open_operation(OperationRecord(WORKFLOW, "arn:x", "x", run.clock.now()))
    assert plan(run)["plan"]["decision"] == "PROCEED"
