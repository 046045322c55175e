"""Remediate: one more replica for the cache."""

from typing import Any

from opskit.acting import acted, decided, refused
from opskit.adapters.cache_capacity import CacheCapacity
from opskit.adapters.caches import Caches
from opskit.adapters.endpoints import CACHE, Endpoints
from opskit.decisions.capacity import CacheNodes, more_replicas
from opskit.decisions.live import live_cache
from opskit.errors import InvalidInputError, NotReadyError, QuotaExceededError
from opskit.step import Run, step

AVAILABLE = "available"


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Begin to add a replica to the live cache, to `at_most` of them.

    Safe to repeat: the number that was announced first is what every attempt asks for. Not done unless the group is
    available and live, where there is no room, or where ElastiCache has no quota or capacity.

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
        more = more_replicas(nodes, int(event["plan"]["bounds"]["at_most"]))
        if not more.possible:
            return f"{group.identifier}: {more.reason}"
        return {"action": "add_cache_replica", "cache": group.identifier, "from": more.before, "to": more.after}

    facts = decided(run, lock, choose)
    if isinstance(facts, str):
        return refused(facts)
    wanted = int(facts["to"])
    # Once begun, the group is not available until it is done.
    if nodes.replicas < wanted and nodes.status == AVAILABLE:
        try:
            CacheCapacity().have_replicas(group.identifier, wanted)
        except (InvalidInputError, NotReadyError, QuotaExceededError) as error:
            return refused(f"{type(error).__name__}: {error}", facts)
    return acted(f"the cache {group.identifier} gets {wanted} replicas instead of {facts['from']}", facts)
