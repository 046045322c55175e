"""Something done over and over meanwhile."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LAST_SECONDS = 30.0
"""For what is being done when it is to end."""


@contextmanager
def repeatedly(work: Callable[[], None], every_seconds: float) -> Iterator[None]:
    """Call `work` until the block ends, with a pause after each call.

    The first failure ends it, and is raised at the end of the block, be it that the block failed for want of it.
    """
    stop = threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            while not stop.is_set():
                work()
                stop.wait(every_seconds)
        except BaseException as error:  # noqa: BLE001 - raised in the thread that asked for it
            failures.append(error)

    thread = threading.Thread(target=run, name="background", daemon=True)
    thread.start()

    def end() -> None:
        stop.set()
        thread.join(LAST_SECONDS)

    try:
        yield
    except Exception as error:
        end()
        if failures:
            raise failures[0] from error
        raise
    finally:
        end()
    if failures:
        raise failures[0]
