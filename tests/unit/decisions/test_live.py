"""What is live is what has the endpoint, whatever its name."""

from dataclasses import replace

from opskit.adapters.cache_state import CacheState
from opskit.adapters.database_state import DatabaseState
from opskit.decisions.live import live_cache, live_database

from .backups import CACHE, DATABASE

DATABASES = [
    DatabaseState(name, f"arn:{name}", f"db-{name}", "available", replace(DATABASE, port=5432), address=address)
    for name, address in (("making", None), ("old", "old.example.com"), ("new", "new.example.com"))
]
CACHES = [
    CacheState(name, f"arn:{name}", "available", replace(CACHE, port=6379), address=f"{name}.example.com")
    for name in ("old", "new")
]


def test_the_database_with_the_endpoint_is_live() -> None:
    found = live_database(DATABASES, "NEW.example.com:5432\n")
    assert found is not None
    assert found.identifier == "new"


def test_another_port_is_another_database() -> None:
    assert live_database(DATABASES, "new.example.com:5433") is None
    assert live_database(DATABASES, "gone.example.com:5432") is None
    assert live_database([replace(DATABASES[0], configuration=replace(DATABASE, port=None))], "None:None") is None


def test_the_group_with_the_endpoint_is_live() -> None:
    found = live_cache(CACHES, "old.example.com:6379")
    assert found is not None
    assert found.identifier == "old"
    assert live_cache(CACHES, "old.example.com:6380") is None
