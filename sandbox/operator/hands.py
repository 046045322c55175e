"""What all of an operator's hands share: the sandbox, its clients, and patience."""

import json
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

from opskit.clock import SystemClock
from opskit.ledger import Ledger
from opskit.platform import Platform
from sandbox.config import Config
from sandbox.provision.clients import Clients

T = TypeVar("T")

POLL_SECONDS = 0.2


class StillRunningError(AssertionError):
    """Something did not come about within its time; the message says what was seen last."""


class Hands:
    """The sandbox's administrator, with a clock."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.clients = Clients(config)

    @cached_property
    def platform(self) -> Platform:
        """The platform contract as it was provisioned."""
        return Platform.load(self.config.service, self.config.environment, self.clients["ssm"])

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger that the workflows write."""
        return Ledger(
            f"{self.config.name}-ledger",
            self.config.service,
            self.config.environment,
            clock=SystemClock(),
            client=self.clients["dynamodb"],
        )

    def until(self, read: Callable[[], T], holds: Callable[[T], bool], what: str, *, seconds: float) -> T:
        """Read until `holds`, for at most `seconds`; raise StillRunningError with what was read last."""
        end = time.monotonic() + seconds
        while True:
            seen = read()
            if holds(seen):
                return seen
            if time.monotonic() > end:
                raise StillRunningError(f"waited {seconds:.0f} s for {what}; saw {seen}")
            time.sleep(POLL_SECONDS)

    def call(self, function: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Call a function by its name without the service and environment; what it returns.

        Raises AssertionError with what the function raised.
        """
        name = f"{self.config.name}-{function}"
        answer = self.clients["lambda"].invoke(FunctionName=name, Payload=json.dumps(payload).encode())
        result = json.loads(answer["Payload"].read())
        if answer.get("FunctionError"):
            raise AssertionError(f"{name} failed: {result}")
        return dict(result or {})
