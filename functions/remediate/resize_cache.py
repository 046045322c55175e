"""Remediate: the next larger nodes for the cache. Clients lose their connections when these take over."""

from typing import Any

from opskit.acting import acted, decided, refused
from opskit.adapters.cache_capacity import CacheCapacity
from opskit.adapters.caches import Caches
from opskit.adapters.endpoints import CACHE, Endpoints
from opskit.decisions.capacity import CacheNodes, larger_nodes
from opskit.decisions.live import live_cache
from opskit.errors import InvalidInputError, NotReadyError, QuotaExceededError
from opskit.step import Run, step

AVAILABLE = "available"


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Begin to move the live cache to the size that follows its own in the bounds' `sizes`.

    Safe to repeat: the size that was announced first is what every attempt asks for. Not done unless the group is
    available and live, where no size follows, or where ElastiCache does not take it.

    Raises:
        LockLostError: another execution has taken the lock.
    """
    lock = run.hold(event)
    arn, endpoints = event["plan"]["resource_arn"], Endpoints(run.settings.service, run.settings.environment)
    group = Caches().group(arn.rpartition(":")[2])
    if group is None or group.arn != arn:
        return refused(f"there is no replication group {arn}")
    configuration = group.configuration
    nodes = CacheNodes(configuration.node_type, configuration.replicas_per_group, group.status)
    live = endpoints.read(CACHE).text

    def choose() -> dict[str, Any] | str:
        if live_cache([group], live) is None:
            return f"the cache {group.identifier} is not the one that the service uses, which is at {live}"
        more = larger_nodes(nodes, event["plan"]["bounds"]["sizes"])
        if not more.possible:
            return f"{group.identifier}: {more.reason}"
        return {"action": "resize_cache", "cache": group.identifier, "from": more.before, "to": more.after}

    facts = decided(run, lock, choose)
    if isinstance(facts, str):
        return refused(facts)
    # Once begun, the group is not available until it is done.
    if nodes.node_type != facts["to"] and nodes.status == AVAILABLE:
        try:
            CacheCapacity().resize(group.identifier, facts["to"])
        except (InvalidInputError, NotReadyError, QuotaExceededError) as error:
            return refused(f"{type(error).__name__}: {error}", facts)
    return acted(f"the cache {group.identifier} moves from {facts['from']} to {facts['to']}", facts)
