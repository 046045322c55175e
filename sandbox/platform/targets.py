"""The targets registered with each target group, by address and port, those that drain included.

moto keys targets by their id alone and forgets them when they are deregistered. On AWS a target stays
`draining` until the deregistration delay has passed ("Deregistration delay" in the Elastic Load Balancing
user guide); the console and API show it as draining even when it has no request in flight.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Registration:
    """One registered target; times are seconds since the epoch."""

    id: str
    port: int
    registered_at: float
    deregistering_at: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, as in the routing snapshot."""
        return asdict(self)


class TargetRegistry:
    """Not synchronized: the caller serializes."""

    def __init__(self) -> None:
        self._groups: dict[str, dict[Address, Registration]] = {}

    def targets(self, group: str) -> tuple[Registration, ...]:
        """All registrations of a target group, draining ones included, oldest first."""
        return tuple(self._groups.get(group, {}).values())

    def register(self, group: str, addresses: Iterable[Address], now: float) -> None:
        """Register; one that is registered already stays as it is, one that drains begins anew."""
        registered = self._groups.setdefault(group, {})
        for address in addresses:
            known = registered.get(address)
            if known is None or known.deregistering_at is not None:
                registered.pop(address, None)
                registered[address] = Registration(*address, registered_at=now)

    def deregister(self, group: str, addresses: Iterable[Address], now: float) -> None:
        """Begin to drain. "If the specified target does not exist, the action returns successfully" (API)."""
        registered = self._groups.get(group, {})
        for address in addresses:
            known = registered.get(address)
            if known is not None and known.deregistering_at is None:
                registered[address] = replace(known, deregistering_at=now)

    def expire(self, delay: Callable[[str], float], now: float) -> bool:
        """Forget targets whose group's `delay` (seconds) has passed; True if there were any."""
        expired = [
            (group, address)
            for group, registered in self._groups.items()
            for address, one in registered.items()
            if one.deregistering_at is not None and now >= one.deregistering_at + delay(group)
        ]
        for group, address in expired:
            del self._groups[group][address]
        return bool(expired)

    def forget(self, groups: Iterable[str]) -> None:
        """Drop target groups that were deleted."""
        for group in groups:
            self._groups.pop(group, None)

    def groups(self) -> Mapping[str, Mapping[Address, Registration]]:
        """Everything, by target group ARN."""
        return self._groups
