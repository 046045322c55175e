"""What a record says now, asked no more often than its TTL."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.names import zone

log = logging.getLogger("names")


class Resolver:
    """Answers for one name. Safe to use from several threads, of which one asks at a time."""

    def __init__(
        self,
        route53: Any,
        zone_name: str,
        name: str,
        *,
        ttl_limit_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._route53 = route53
        self._zone_name = zone_name
        self._zone_id: str | None = None
        self._name = name
        self._limit = ttl_limit_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._host: str | None = None
        self._until = float("-inf")

    def host(self) -> str | None:
        """The host that the name stands for, or None if there is no record."""
        with self._lock:
            if self._clock() >= self._until:
                self._ask()
            return self._host

    def _ask(self) -> None:
        try:
            self._zone_id = self._zone_id or zone.find(self._route53, self._zone_name)
            found = zone.look_up(self._route53, self._zone_id, self._name) if self._zone_id else None
        except (BotoCoreError, ClientError) as error:
            self._zone_id = None
            log.warning("%s: Route 53 cannot be asked, %s stands: %s", self._name, self._host, error)
            return
        if found is None:
            self._host = None
            return
        host, ttl = found
        if host != self._host:
            log.info("%s is %s now, before %s", self._name, host, self._host)
        self._host = host
        self._until = self._clock() + min(float(ttl), self._limit)
