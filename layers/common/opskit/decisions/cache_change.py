"""May a replication group be changed now?"""

from opskit.adapters.cache_state import CacheState
from opskit.decisions.live import live_cache

AVAILABLE = "available"


def why_not(group: CacheState, endpoint: str) -> str | None:
    """Why it may not, in words; None if it may: the service uses it (`endpoint` is its own), and nothing changes it."""
    if live_cache([group], endpoint) is None:
        return f"the cache {group.identifier} is not the one that the service uses, which is at {endpoint}"
    if group.status != AVAILABLE:
        return f"the cache {group.identifier} is {group.status}: it can be changed when it is {AVAILABLE}"
    return None
