"""The node: a worker for every pod."""

import asyncio
import contextlib

from sandbox.kubernetes.kubelet.container import Runtime
from sandbox.kubernetes.kubelet.pod import PodWorker
from sandbox.kubernetes.resources import PODS
from sandbox.kubernetes.store import Change, Key, Store


class Kubelet:
    """Starts, watches and ends the pods in the store."""

    def __init__(self, store: Store, runtime: Runtime) -> None:
        self._store = store
        self._runtime = runtime
        self._workers: dict[Key, PodWorker] = {}

    async def run(self) -> None:
        """Follow the store until cancelled."""
        with self._store.subscription() as queue:
            while True:
                self._follow(await queue.get())

    def _follow(self, change: Change) -> None:
        key = change.key
        if key.resource is not PODS:
            return
        if change.type == "DELETED":
            worker = self._workers.pop(key, None)
            if worker:
                # Normally the worker removed the pod itself, and this finds nothing left to end.
                worker.terminate(0)
            return
        worker = self._workers.get(key)
        if worker is None:
            worker = self._workers[key] = PodWorker(self._store, key, self._runtime)
            worker.start()
        grace = change.object["metadata"].get("deletionGracePeriodSeconds")
        if grace is not None:
            worker.terminate(grace)
        elif change.type == "MODIFIED":
            worker.report()

    async def stop(self, grace_seconds: float) -> None:
        """End every pod's processes, at most `grace_seconds` after SIGTERM by SIGKILL."""
        workers = list(self._workers.values())
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*(each.stop_now(grace_seconds) for each in workers), return_exceptions=True)
        await self._runtime.prober.close()
