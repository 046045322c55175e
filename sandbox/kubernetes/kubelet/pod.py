"""One pod's life: its containers, its conditions, and its graceful end."""

import asyncio
import contextlib
import functools
import json
from typing import Any

from sandbox.kubernetes.controllers import conditions
from sandbox.kubernetes.errors import StatusError
from sandbox.kubernetes.kubelet.container import Container, Runtime
from sandbox.kubernetes.kubelet.environment import Surroundings, surroundings
from sandbox.kubernetes.kubelet.process import LOOPBACK, PortReservation
from sandbox.kubernetes.store import Key, Object, Store, timestamp

PORTS_ANNOTATION = "sandbox/host-ports"
"""JSON object on every pod: container port (as text) to the port on this machine's loopback."""

PROBES_ANNOTATION, HELD = "sandbox/probes", "held"
"""On a pod that a kubelet has stopped to look at: what its probes said last stands. It is still ended when deleted."""


def host_port(pod: Object, port: int | str) -> int | None:
    """Where a container port, by number or name, is reached; None if the pod has none (yet)."""
    ports: dict[str, int] = json.loads(pod["metadata"].get("annotations", {}).get(PORTS_ANNOTATION, "{}"))
    for container in pod["spec"]["containers"]:
        for each in container.get("ports", []):
            if port in (each["containerPort"], each.get("name")):
                return ports.get(str(each["containerPort"]))
    return None


class PodWorker:
    """Runs one pod. `start` begins; after `terminate` the pod is gone from the store."""

    def __init__(self, store: Store, key: Key, runtime: Runtime) -> None:
        self._store = store
        self._key = key
        self._runtime = runtime
        self._containers: list[Container] = []
        self._ports: list[PortReservation] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._ending: asyncio.Task[None] | None = None
        self._deadline = float("inf")
        self._hurry = asyncio.Event()

    def start(self) -> None:
        """Reserve ports and start the containers."""
        pod = self._store.get(self._key)
        spec = pod["spec"]
        mapping: dict[str, int] = {}
        for each in spec["containers"]:
            for port in each.get("ports", []):
                reservation = PortReservation()
                self._ports.append(reservation)
                mapping[str(port["containerPort"])] = reservation.port
        with self._store.editing(self._key) as edited:
            edited["metadata"].setdefault("annotations", {})[PORTS_ANNOTATION] = json.dumps(mapping)
            # What tells pods apart that share an address, as those in a node's network do.
            for each in edited["spec"]["containers"]:
                for port in each.get("ports", []):
                    port["hostPort"] = mapping[str(port["containerPort"])]
            status = edited.setdefault("status", {})
            status.update(phase="Pending", podIP=LOOPBACK, hostIP=LOOPBACK, startTime=timestamp())
            status["podIPs"] = [{"ip": LOOPBACK}]
            conditions.put(edited, "PodScheduled", True)
            conditions.put(edited, "Initialized", True)
        colour = pod["metadata"].get("labels", {}).get("colour", "")
        for each in spec["containers"]:
            ports = each.get("ports", [])
            first = next((port["containerPort"] for port in ports), None)
            metrics = next((port["containerPort"] for port in ports if port.get("name") == "metrics"), None)
            container = Container(
                each,
                runtime=self._runtime,
                port=mapping.get(str(first), 0),
                metrics_port=mapping.get(str(metrics), 0),
                colour=colour,
                restart_policy=spec["restartPolicy"],
                surroundings=functools.partial(self._surroundings, each),
                log=self._runtime.logs / f"{self._key.name}.log",
                changed=self.report,
                probes_held=self._probes_held,
            )
            self._containers.append(container)
        grace = spec["terminationGracePeriodSeconds"]
        self._tasks = [asyncio.ensure_future(self._run(each, grace)) for each in self._containers]
        self.report()

    def report(self) -> None:
        """Write what is known now into the pod's status; a no-op if it is the same."""
        with contextlib.suppress(StatusError), self._store.editing(self._key) as pod:
            status = pod["status"]
            status["containerStatuses"] = [
                {**each.status, "ready": each.ready, "lastState": each.status.get("lastState", {})}
                for each in self._containers
            ]
            status["phase"] = self._phase(status["phase"])
            ready = bool(self._containers) and all(each.ready for each in self._containers)
            names = [each.spec["name"] for each in self._containers if not each.ready]
            reason = "" if ready else "PodCompleted" if status["phase"] == "Succeeded" else "ContainersNotReady"
            message = "" if ready else f"containers with unready status: {names}"
            conditions.put(pod, "ContainersReady", ready, reason, message)
            gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates", [])]
            closed = [gate for gate in gates if not conditions.is_true(pod, gate)]
            if ready and closed:
                reason = "ReadinessGatesNotReady"
                message = f'the status of pod readiness gate "{closed[0]}" is not "True"'
            conditions.put(pod, "Ready", ready and not closed, reason, message)

    def _phase(self, phase: str) -> str:
        """What the pod's phase is now; for good once all containers have ended and none is to start again."""
        if all(task.done() for task in self._tasks) and self._tasks and self._ending is None:
            states = [each.status["state"].get("terminated", {}) for each in self._containers]
            return "Succeeded" if all(each.get("exitCode") == 0 for each in states) else "Failed"
        return "Running" if any("running" in each.status["state"] for each in self._containers) else phase

    def _probes_held(self) -> bool:
        pod = self._store.find(self._key) or {"metadata": {}}
        return pod["metadata"].get("annotations", {}).get(PROBES_ANNOTATION) == HELD

    async def _surroundings(self, container: dict[str, Any]) -> Surroundings:
        pod = self._store.get(self._key)
        volumes = await self._runtime.volumes.provide(pod)
        return surroundings(self._store, pod, container, node=self._runtime.node, volumes=volumes)

    async def _run(self, container: Container, grace_seconds: float) -> None:
        await container.run(grace_seconds)
        # Only when this task is done has the container ended for good.
        asyncio.get_running_loop().call_soon(self.report)

    def terminate(self, grace_seconds: float) -> asyncio.Task[None]:
        """End the pod: preStop hook, SIGTERM, SIGKILL after the grace, remove. Repeated, it can only hasten."""
        self._deadline = min(self._deadline, asyncio.get_running_loop().time() + grace_seconds)
        self._hurry.set()
        if self._ending is None:
            self._ending = asyncio.ensure_future(self._end())
        return self._ending

    async def _end(self) -> None:
        hooks = asyncio.gather(*(_pre_stop(each.spec) for each in self._containers), return_exceptions=True)
        # The containers keep running, probes and all, while their preStop hooks do.
        await self._until_deadline(hooks)
        hooks.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        stopping = asyncio.gather(*(each.stop(float("inf")) for each in self._containers))
        if not await self._until_deadline(stopping):
            for each in self._containers:
                each.kill()
        await stopping
        self.release()
        with contextlib.suppress(StatusError):
            self._runtime.volumes.release(self._store.remove(self._key))

    async def _until_deadline(self, future: "asyncio.Future[Any]") -> bool:
        """Wait for `future`, at most until the deadline, which may come closer meanwhile."""
        loop = asyncio.get_running_loop()
        while not future.done():
            self._hurry.clear()
            left = self._deadline - loop.time()
            if left <= 0:
                return False
            hurried = asyncio.ensure_future(self._hurry.wait())
            await asyncio.wait({future, hurried}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            hurried.cancel()
        return True

    def release(self) -> None:
        """Give the ports back."""
        for port in self._ports:
            port.release()

    async def stop_now(self, grace_seconds: float) -> None:
        """The cluster goes down: SIGTERM without hooks, SIGKILL after the grace."""
        for task in [*self._tasks, *([self._ending] if self._ending else [])]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(each.stop(grace_seconds) for each in self._containers))
        self.release()


async def _pre_stop(container: dict[str, Any]) -> None:
    """Run a preStop hook: `sleep: {seconds}`, or `exec` of the command `sleep`."""
    hook = container.get("lifecycle", {}).get("preStop", {})
    if "sleep" in hook:
        await asyncio.sleep(hook["sleep"]["seconds"])
    elif command := hook.get("exec", {}).get("command", []):
        words = command[-1].split() if command[:2] in (["sh", "-c"], ["/bin/sh", "-c"]) else command
        if len(words) == 2 and words[0].rpartition("/")[2] == "sleep":
            await asyncio.sleep(float(words[1]))
        else:
            print(f"preStop hook {command} cannot be run: only sleep can", flush=True)  # noqa: T201
