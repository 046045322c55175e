"""The loop that every controller shares: changes make keys dirty, dirty keys are reconciled."""

import asyncio
import traceback
from abc import ABC, abstractmethod
from collections.abc import Iterable

from sandbox.kubernetes.errors import StatusError
from sandbox.kubernetes.store import Change, Key, Store

RETRY_SECONDS = 1.0


class Controller(ABC):
    """Brings the objects it cares about to the state they ask for, one key at a time."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._dirty: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._wake = asyncio.Event()

    @abstractmethod
    def affected(self, change: Change) -> Iterable[Key]:
        """The keys to reconcile because of `change`."""

    @abstractmethod
    async def reconcile(self, key: Key) -> float | None:
        """Do what `key` needs now; returns the seconds after which to look again without a change."""

    async def run(self) -> None:
        """Reconcile until cancelled. A failure is logged and tried again after a second."""
        with self.store.subscription() as queue:
            waiting = asyncio.ensure_future(queue.get())
            waking = asyncio.ensure_future(self._wake.wait())
            try:
                while True:
                    await asyncio.wait({waiting, waking}, return_when=asyncio.FIRST_COMPLETED)
                    if waiting.done():
                        self._dirty.update(self.affected(waiting.result()))
                        while not queue.empty():
                            self._dirty.update(self.affected(queue.get_nowait()))
                        waiting = asyncio.ensure_future(queue.get())
                    if waking.done():
                        self._wake.clear()
                        waking = asyncio.ensure_future(self._wake.wait())
                    while self._dirty:
                        await self._attempt(self._dirty.pop())
            finally:
                waiting.cancel()
                waking.cancel()
                for timer in self._timers.values():
                    timer.cancel()

    async def _attempt(self, key: Key) -> None:
        if timer := self._timers.pop(key, None):
            timer.cancel()
        try:
            again = await self.reconcile(key)
        except StatusError as error:
            # Usually an object that changed or went meanwhile: the next look settles it.
            print(f"{type(self).__name__} {key.namespace}/{key.name}: {error.message}", flush=True)  # noqa: T201
            again = RETRY_SECONDS
        except Exception:  # noqa: BLE001 - a controller must outlive any one object
            traceback.print_exc()
            again = RETRY_SECONDS
        if again is not None:
            self._timers[key] = asyncio.get_running_loop().call_later(max(again, 0.01), self._mark, key)

    def _mark(self, key: Key) -> None:
        self._timers.pop(key, None)
        self._dirty.add(key)
        self._wake.set()
