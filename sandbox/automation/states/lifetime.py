"""How long work may go on: until its execution, or the branch it belongs to, is over."""

import threading
import time
from collections.abc import Callable


class Abandoned(BaseException):
    """Raised in a thread whose execution or branch is over; nothing but the thread's start catches it."""


class Lifetime:
    """A cancellation scope; the scopes of branches end with their parent's."""

    def __init__(self, parent: "Lifetime | None" = None) -> None:
        self._parent = parent
        self._condition: threading.Condition = parent._condition if parent else threading.Condition()
        self._over = False

    @property
    def over(self) -> bool:
        """Whether this scope, or one around it, has ended."""
        return self._over or (self._parent is not None and self._parent.over)

    def end(self) -> None:
        """End this scope; every wait in it raises `Abandoned`."""
        with self._condition:
            self._over = True
            self._condition.notify_all()

    def check(self) -> None:
        """Raise `Abandoned` if the scope has ended."""
        if self.over:
            raise Abandoned

    def notify(self) -> None:
        """Make the waits in this execution look at their predicates again."""
        with self._condition:
            self._condition.notify_all()

    def sleep(self, seconds: float) -> None:
        """Wait for `seconds`; raises `Abandoned` as soon as the scope ends."""
        self.wait_for(lambda: False, seconds)

    def wait_for(self, predicate: Callable[[], bool], seconds: float | None) -> bool:
        """Wait until `predicate()` (true) or `seconds` have passed (false); raises `Abandoned`."""
        deadline = None if seconds is None else time.monotonic() + seconds
        with self._condition:
            while True:
                self.check()
                if predicate():
                    return True
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return False
                self._condition.wait(left)
