"""Remediate: the next larger nodes for the cache. Clients lose their connections when these take over."""

from typing import Any

from opskit.acting import acted, decided, refused
from opskit.adapters.cache_capacity import CacheCapacity
from opskit.adapters.caches import Caches
from opskit.adapters.endpoints import CACHE, Endpoints
from opskit.decisions.cache_change import why_not
from opskit.decisions.capacity import next_size
from opskit.errors import InvalidInputError, NotReadyError, QuotaExceededError
from opskit.step import Run, step


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
    live, present = endpoints.read(CACHE).text, group.configuration.node_type

    def choose() -> dict[str, Any] | str:
        reason = why_not(group, live)
        if reason:
            return reason
        try:
            wanted = next_size(present, event["plan"]["bounds"]["sizes"])
        except ValueError as error:
            return f"the cache {group.identifier} cannot be larger: {error}"
        return {"action": "resize_cache", "cache": group.identifier, "from": present, "to": wanted}

    facts = decided(run, lock, choose)
    if isinstance(facts, str):
        return refused(facts)
    # Once begun, the group is not available until it is done.
    if present != facts["to"] and why_not(group, live) is None:
        try:
            CacheCapacity().resize(group.identifier, facts["to"])
        except (InvalidInputError, NotReadyError, QuotaExceededError) as error:
            return refused(f"{type(error).__name__}: {error}", facts)
    return acted(f"the cache {group.identifier} moves from {facts['from']} to {facts['to']}", facts)
