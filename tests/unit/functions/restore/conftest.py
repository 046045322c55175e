"""A restore in the middle of things: two copies that are there, the endpoints in Parameter Store, the lock held."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from opskit import clients
from opskit.adapters.cache_state import CacheState
from opskit.adapters.caches import Caches
from opskit.adapters.copies import Copies
from opskit.adapters.database_state import DatabaseState
from opskit.adapters.databases import Databases
from opskit.decisions.copies import CacheCopy, DatabaseCopy
from opskit.decisions.manifest import Kind
from opskit.decisions.swaps import Swap
from opskit.ledger import OperationRecord
from opskit.platform import endpoint_parameter
from opskit.step import Execution, Run
from tests.unit.decisions.backups import CACHE, DATABASE
from tests.unit.functions.conftest import START

ARN = "arn:aws:states:us-east-1:000000000000:execution:detection-api-dev-restore:r1"
SETTINGS = {
    "lease_seconds": 60,
    "poll_seconds": 1,
    "restore_timeout_seconds": 600,
    "service_poll_seconds": 1,
    "service_timeout_seconds": 60,
    "isolated_hours": 24,
    "recovery_time_seconds": 1800,
    "recovery_point_seconds": 300,
    "approval_seconds": 900,
}
TAGS = {"ops:restore-id": "0123456789ab"}
DB = Swap(Kind.DATABASE, "db", "db:5432", "db-new", "db-new:5432")
REDIS = Swap(Kind.CACHE, "cache", "cache:6379", "cache-new", "cache-new:6379")


@dataclass
class World:
    """What is there, and what was done to it."""

    there: dict[tuple[Kind, str], DatabaseState | CacheState] = field(default_factory=dict)
    tagged: list[tuple[str, dict[str, str], tuple[str, ...]]] = field(default_factory=list)
    protected: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)

    def change(self, kind: Kind, name: str, **changes: Any) -> None:
        self.there[kind, name] = replace(self.there[kind, name], **changes)

    def endpoint(self, kind: str) -> str:
        name = endpoint_parameter("detection-api", "dev", kind)
        return str(clients.client("ssm").get_parameter(Name=name)["Parameter"]["Value"])

    def move(self, kind: str, endpoint: str) -> None:
        name = endpoint_parameter("detection-api", "dev", kind)
        clients.client("ssm").put_parameter(Name=name, Value=endpoint, Type="String", Overwrite=True)


def database(name: str, **changes: Any) -> DatabaseState:
    return replace(DatabaseState(name, f"arn:{name}", f"id-{name}", "available", DATABASE, address=name), **changes)


def cache(name: str, **changes: Any) -> CacheState:
    return replace(CacheState(name, f"arn:{name}", "available", CACHE, address=name), **changes)


@pytest.fixture
def world(run: Run, monkeypatch: pytest.MonkeyPatch) -> World:
    seen = World(
        {
            (Kind.DATABASE, "db"): database("db", tags={"backup": "true"}),
            (Kind.DATABASE, "db-new"): database("db-new", tags=TAGS),
            (Kind.CACHE, "cache"): cache("cache", tags={"backup": "true"}),
            (Kind.CACHE, "cache-new"): cache("cache-new", tags=TAGS),
        }
    )
    seen.move("database", "db:5432")
    seen.move("cache", "cache:6379")
    monkeypatch.setattr(Copies, "state", lambda _, kind, name: seen.there.get((kind, name)))
    monkeypatch.setattr(Copies, "begin", lambda _, copy: seen.begun.append(copy.name))
    for adapter in (Databases, Caches):
        monkeypatch.setattr(
            adapter, "retag", lambda _, arn, add, remove=(): seen.tagged.append((arn, dict(add), tuple(remove)))
        )
    monkeypatch.setattr(Databases, "protect", lambda _, name: seen.protected.append(name))
    monkeypatch.setattr(Databases, "delete_instance", lambda _, name: seen.deleted.append(name))
    monkeypatch.setattr(Caches, "delete_group", lambda _, name: seen.deleted.append(name))
    return seen


@pytest.fixture
def run(run: Run) -> Run:
    return replace(run, execution=Execution(ARN, "r1", START), workflow="restore")


@pytest.fixture
def plan() -> dict[str, Any]:
    def part(kind: Kind, swap: Swap, copy: DatabaseCopy | CacheCopy, configuration: Any) -> dict[str, Any]:
        source = {
            "name": swap.from_name,
            "endpoint": swap.from_endpoint,
            "configuration": configuration.as_dict(),
            "tags": {"backup": "true"},
            "resource_id": None,
            "there": True,
            "formerly": [],
        }
        return {"source": source, "copy": copy.as_dict(), "at": None, "manifest": None, "exact": True, "reason": "x"}

    return {
        "decision": "PROCEED",
        "reason": "because",
        "mode": "replace",
        "restore_id": "0123456789ab",
        "expires_at": "2026-11-24T09:30:00.000000Z",
        "parts": {
            "database": part(Kind.DATABASE, DB, DatabaseCopy("db-new", DATABASE, TAGS, source="db"), DATABASE),
            "cache": part(Kind.CACHE, REDIS, CacheCopy("cache-new", CACHE, TAGS, "set-1"), CACHE),
        },
        "swaps": [],
        "tags": {"database": {"backup": "true"}, "cache": {"backup": "true"}},
    }


@pytest.fixture
def request_() -> dict[str, Any]:
    return {
        "mode": "replace",
        "approval": False,
        "approval_seconds": 900,
        "keep_old_hours": 72,
        "declared_at": START.isoformat(),
        "requested_by": "tester",
        "reason": "a test",
    }


@pytest.fixture
def event(run: Run, world: World, plan: dict[str, Any], request_: dict[str, Any]) -> dict[str, Any]:
    """What a step of a restore that cuts over gets, with the lock held and the record open."""
    lock = run.ledger.acquire(run.execution.id, "restore (replace)", 60)
    run.ledger.open_operation(
        OperationRecord(
            workflow="restore",
            execution_id=ARN,
            execution_name="r1",
            started_at=START,
            facts={"copies": {"database": "db-new", "cache": "cache-new"}, "plan": plan},
        )
    )
    return {
        "settings": SETTINGS,
        "request": request_,
        "plan": plan,
        "begun": {"lock": lock.as_dict(), "begun_at": START.isoformat(), "refused": {}},
        "lock": lock.as_dict(),
        "swaps": [DB.as_dict(), REDIS.as_dict()],
        "approval": None,
    }
