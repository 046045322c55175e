"""What the balancer knows: the listener's rules, the target groups, their targets and the targets' health.

It changes only in `Table.apply` (a new routing snapshot from the platform) and `Table.record` (a health
check's outcome), both in the event loop's thread; requests read it without waiting.
"""

import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sandbox.balancer.health import CHECKING, DRAINING, NOT_IN_USE, Health, HealthTracker, Outcome, State
from sandbox.balancer.measurements import Tally
from sandbox.balancer.rules import Rules

if TYPE_CHECKING:
    from sandbox.balancer.target_connection import TargetConnection

log = logging.getLogger(__name__)

DEFAULT_IDLE_TIMEOUT = 60.0
"""Seconds; AWS's default of the load balancer attribute `idle_timeout.timeout_seconds`."""


class Target:
    """One registered address; `idle` holds its kept-alive connections, `busy` those that carry a request."""

    def __init__(self, group: "Group", data: Mapping[str, Any]) -> None:
        self.group = group
        self.id: str = data["id"]
        self.port: int = data["port"]
        self.registered_at: float = data["registered_at"]
        self.draining = data["deregistering_at"] is not None
        self.gone = False
        self.tracker = HealthTracker()
        self.idle: deque[TargetConnection] = deque()
        self.busy: set[TargetConnection] = set()
        self.in_flight = 0

    @property
    def health(self) -> Health:
        """The health to report, as DescribeTargetHealth would."""
        if self.draining:
            return DRAINING
        if not self.group.in_use:
            return NOT_IN_USE
        return self.tracker.health

    def close_idle(self) -> None:
        """Close the connections that carry no request."""
        while self.idle:
            self.idle.pop().close()

    def retire(self) -> None:
        """The target left its group. Requests still with it are cut off and answered 502.

        Source: HTTP 502 in "Troubleshoot your Application Load Balancers": "the deregistration delay period
        elapsed for a request being handled by a target that was deregistered".
        """
        self.gone = True
        self.close_idle()
        for connection in tuple(self.busy):
            connection.abort()


class Group:
    """One target group."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.arn: str = data["arn"]
        self.full_name: str = data["full_name"]
        self.targets: dict[tuple[str, int], Target] = {}
        self.tally = Tally()
        self._eligible: list[Target] = []
        self._next = 0
        self._configure(data)

    def _configure(self, data: Mapping[str, Any]) -> None:
        self.in_use: bool = data["in_use"]
        self.health_check: Mapping[str, Any] = data["health_check"]

    @property
    def in_flight(self) -> int:
        """Requests sent to this group's targets and not yet answered in full."""
        return sum(target.in_flight for target in self.targets.values())

    def apply(self, data: Mapping[str, Any]) -> None:
        """Take over settings and targets from a routing snapshot."""
        self._configure(data)
        wanted = {(one["id"], one["port"]): one for one in data["targets"]}
        for key in self.targets.keys() - wanted.keys():
            self.targets.pop(key).retire()
        for key, one in wanted.items():
            target = self.targets.get(key)
            if target is None:
                self.targets[key] = Target(self, one)
                continue
            target.draining = one["deregistering_at"] is not None
            if target.registered_at != one["registered_at"]:
                # Registered anew: it has to prove its health again.
                target.registered_at = one["registered_at"]
                target.tracker = HealthTracker()
            if target.draining:
                target.close_idle()
        if not self.in_use:
            for target in self.targets.values():
                target.tracker = HealthTracker()
        self.refresh()

    def refresh(self) -> None:
        """Work out anew which targets get requests: the healthy ones or, if there are none, all of them.

        "If a target group contains only unhealthy registered targets, the load balancer routes requests to
        all those targets, regardless of their health status" (user guide, target group health checks).
        Targets that are still initial count as not healthy, as the minimum of one healthy target behind that
        rule implies. Draining targets never get a new request.
        """
        registered = [target for target in self.targets.values() if not target.draining]
        healthy = [target for target in registered if target.tracker.health.state is State.HEALTHY]
        self._eligible = healthy or registered

    def pick(self) -> Target | None:
        """The target for the next request, round robin; None if no target is registered."""
        if not self._eligible:
            return None
        self._next = (self._next + 1) % len(self._eligible)
        return self._eligible[self._next]

    def host_counts(self) -> dict[str, int] | None:
        """HealthyHostCount and UnHealthyHostCount; None when nothing is registered or the group is unused."""
        states = [target.health.state for target in self.targets.values() if not target.draining]
        if not states or not self.in_use:
            return None
        return {
            "HealthyHostCount": states.count(State.HEALTHY),
            "UnHealthyHostCount": states.count(State.UNHEALTHY),
        }


class Table:
    """The whole picture. `on_change` is called after every applied snapshot."""

    def __init__(self, on_change: Callable[[], None] = lambda: None) -> None:
        self.on_change = on_change
        self.version: int | None = None
        self.load_balancer: str | None = None
        self.listener_port: int | None = None
        self.idle_timeout = DEFAULT_IDLE_TIMEOUT
        self.rules: Rules | None = None
        self.groups: dict[str, Group] = {}
        self.tally = Tally()

    def apply(self, snapshot: Mapping[str, Any]) -> None:
        """Switch to a routing snapshot. A snapshot that cannot be read raises and leaves all as it was."""
        listener = snapshot["listener"]
        rules = Rules(listener) if listener else None
        for data in snapshot["target_groups"]:
            group = self.groups.get(data["arn"])
            if group is None:
                group = self.groups[data["arn"]] = Group(data)
            group.apply(data)
        for arn in self.groups.keys() - {data["arn"] for data in snapshot["target_groups"]}:
            group = self.groups.pop(arn)
            for target in group.targets.values():
                target.retire()
        self.rules = rules
        self.load_balancer = listener["load_balancer"] if listener else None
        self.listener_port = listener["port"] if listener else None
        self.idle_timeout = float(listener["idle_timeout_seconds"]) if listener else DEFAULT_IDLE_TIMEOUT
        self.version = snapshot["version"]
        self.on_change()

    def checking(self, target: Target) -> None:
        """A first health check of `target` is on its way."""
        if target.tracker.health.reason == "Elb.RegistrationInProgress":
            target.tracker.health = CHECKING

    def record(self, target: Target, outcome: Outcome) -> None:
        """Take in the outcome of one health check."""
        settings = target.group.health_check
        changed = target.tracker.record(
            outcome,
            healthy_threshold=settings["healthy_threshold"],
            unhealthy_threshold=settings["unhealthy_threshold"],
        )
        if changed:
            target.group.refresh()
            log.info(
                "%s %s:%d is %s (%s)",
                target.group.full_name,
                target.id,
                target.port,
                target.health.state,
                target.health.reason or "passed its checks",
            )
