"""What the tests of opskit hold still or break."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

REGION = "eu-west-1"
SERVICE = "shop"
ENVIRONMENT = "test"
TABLE = "shop-test-ledger"
START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class ManualClock:
    """A clock that goes only when told to."""

    def __init__(self) -> None:
        self._now = START

    def now(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


class Interruption(BaseException):
    """The process dies here; not an Exception, so that nothing under test can take it for an AWS failure."""


@contextmanager
def once(client: Any, event: str, act: Callable[[], None]) -> Iterator[None]:
    """Do `act` at the first `event` of `client`, such as `before-call.s3.PutObject` or `after-call.…`.

    The code under test must get there.
    """
    done = []

    def handler(**_: Any) -> None:
        if not done:
            done.append(True)
            act()

    client.meta.events.register(event, handler)
    try:
        yield
    finally:
        client.meta.events.unregister(event, handler)
    assert done, f"{event} did not happen"


def die() -> None:
    raise Interruption
