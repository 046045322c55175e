"""Which DB instance and which replication group the service uses now: those whose endpoint it is told."""

from collections.abc import Iterable

from opskit.adapters.cache_state import CacheState
from opskit.adapters.database_state import DatabaseState


def live_database(states: Iterable[DatabaseState], endpoint: str) -> DatabaseState | None:
    """The instance whose `address:port` is `endpoint`; None if none has it (it may have been deleted)."""
    return next((s for s in states if _is(s.address, s.configuration.port, endpoint)), None)


def live_cache(states: Iterable[CacheState], endpoint: str) -> CacheState | None:
    """The replication group whose primary (or configuration) endpoint is `endpoint`; None if none has it."""
    return next((s for s in states if _is(s.address, s.configuration.port, endpoint)), None)


def _is(address: str | None, port: int | None, endpoint: str) -> bool:
    return bool(address and port) and f"{address}:{port}".lower() == endpoint.strip().lower()
