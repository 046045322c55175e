"""One container of a pod: pull, run, probe, restart with a growing pause."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.kubernetes.kubelet.environment import CommandError, ConfigurationError, Surroundings
from sandbox.kubernetes.kubelet.images import Images, PullError
from sandbox.kubernetes.kubelet.probes import Prober, probe
from sandbox.kubernetes.kubelet.process import Process
from sandbox.kubernetes.kubelet.volumes import MountError, Volumes
from sandbox.kubernetes.store import timestamp


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that double from `base` to `cap` seconds; a run of `reset` seconds starts again from `base`.

    A kubelet's are 10, 300 and 600 seconds:
    https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy
    """

    base: float = 1.0
    cap: float = 30.0
    reset: float = 60.0

    def pause(self, failures: int) -> float:
        """The pause after so many failures in a row (at least 1)."""
        return float(min(self.cap, self.base * 2 ** (failures - 1)))


@dataclass(frozen=True, slots=True)
class Runtime:
    """What every container needs."""

    images: Images
    prober: Prober
    volumes: Volumes
    logs: Path
    backoff: Backoff
    node: dict[str, str]
    """Variables that every container has."""


class Container:
    """Runs until `stop`, or until it ends for good by its pod's restart policy.

    `changed` is called after every change of its status, `surroundings` before every start of its process;
    while `probes_held` says so, nobody probes it.
    """

    def __init__(
        self,
        spec: dict[str, Any],
        *,
        runtime: Runtime,
        port: int,
        metrics_port: int,
        colour: str,
        restart_policy: str,
        surroundings: Callable[[], Awaitable[Surroundings]],
        log: Path,
        changed: Callable[[], None],
        probes_held: Callable[[], bool] = lambda: False,
    ) -> None:
        self.spec = spec
        self.port = port
        self._metrics_port = metrics_port
        self._runtime = runtime
        self._colour = colour
        self._restart_policy = restart_policy
        self._surroundings = surroundings
        self._log = log
        self._changed = changed
        self._probes_held = probes_held
        self._process: Process | None = None
        self._unhealthy = asyncio.Event()
        self._running_since: str | None = None
        self._stopping = False
        self.ready = False
        self.status: dict[str, Any] = {
            "name": spec["name"],
            "image": spec["image"],
            "imageID": "",
            "restartCount": 0,
            "started": False,
            "state": {"waiting": {"reason": "ContainerCreating"}},
        }

    async def run(self, grace_seconds: float) -> None:
        """Run, and restart as the policy says. `grace_seconds` is what a failed liveness probe leaves it to stop."""
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            image = await self._pull()
            around = await self._prepare()
            try:
                command = around.command(
                    image, self.spec, port=self.port, metrics_port=self._metrics_port, colour=self._colour
                )
                self._process = await Process.start(command, environment=around.variables, log=self._log)
            except (OSError, CommandError) as error:
                failures += 1
                self._set({"waiting": {"reason": "RunContainerError", "message": str(error)}})
                await asyncio.sleep(self._runtime.backoff.pause(failures))
                continue
            began = loop.time()
            self._running_since = timestamp()
            self._set({"running": {"startedAt": self._running_since}}, started=True, imageID=image.uri)
            code = await self._attend(self._process, grace_seconds)
            failures = 1 if loop.time() - began > self._runtime.backoff.reset else failures + 1
            self._ended(code)
            if self._restart_policy == "Never" or (self._restart_policy == "OnFailure" and code == 0):
                return
            pause = self._runtime.backoff.pause(failures)
            message = f"back-off {pause:g}s restarting failed container={self.spec['name']}"
            self._set({"waiting": {"reason": "CrashLoopBackOff", "message": message}})
            await asyncio.sleep(pause)
            self.status["restartCount"] += 1

    async def stop(self, grace_seconds: float) -> None:
        """SIGTERM, SIGKILL after the grace. `run` must have been cancelled."""
        self._stopping = True
        if self._process and self._process.running:
            self._ended(await self._process.stop(grace_seconds))

    def kill(self) -> None:
        """SIGKILL, now."""
        if self._process:
            self._process.kill()

    async def _pull(self) -> Any:
        failures = 0
        while True:
            try:
                return await self._runtime.images.pull(self.spec["image"])
            except PullError as error:
                failures += 1
                self._set({"waiting": {"reason": "ErrImagePull", "message": str(error)}})
                # Both reasons are seen for a while, as with a real kubelet.
                pause = self._runtime.backoff.pause(failures)
                await asyncio.sleep(pause / 2)
                message = f'Back-off pulling image "{self.spec["image"]}": {error}'
                self._set({"waiting": {"reason": "ImagePullBackOff", "message": message}})
                await asyncio.sleep(pause / 2)

    async def _prepare(self) -> Surroundings:
        while True:
            try:
                return await self._surroundings()
            except MountError as error:
                self._set({"waiting": {"reason": "ContainerCreating", "message": f"MountVolume.SetUp failed: {error}"}})
            except ConfigurationError as error:
                self._set({"waiting": {"reason": "CreateContainerConfigError", "message": str(error)}})
            await asyncio.sleep(self._runtime.backoff.base)

    async def _attend(self, process: Process, grace_seconds: float) -> int:
        """Probe a running process until it ends, or is ended because its liveness probe failed."""
        self._unhealthy.clear()
        probing = asyncio.ensure_future(self._probe())
        ending = asyncio.ensure_future(process.wait())
        failing = asyncio.ensure_future(self._unhealthy.wait())
        try:
            await asyncio.wait({ending, failing}, return_when=asyncio.FIRST_COMPLETED)
            if not ending.done():
                await process.stop(grace_seconds)
            return await ending
        finally:
            for task in (probing, ending, failing):
                task.cancel()
            # Not `await probing`: that would swallow a cancellation of this task that comes meanwhile.
            await asyncio.wait({probing})
            if not probing.cancelled() and (error := probing.exception()):
                print(f"probes of {self.spec['name']} ended: {error!r}", flush=True)  # noqa: T201

    async def _probe(self) -> None:
        if startup := self.spec.get("startupProbe"):
            passed = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                task = group.create_task(self._on(startup, lambda ok: passed.set() if ok else self._fail()))
                await passed.wait()
                task.cancel()
        async with asyncio.TaskGroup() as group:
            if liveness := self.spec.get("livenessProbe"):
                group.create_task(self._on(liveness, lambda ok: None if ok else self._fail()))
            if readiness := self.spec.get("readinessProbe"):
                group.create_task(self._on(readiness, self._set_ready))
            else:
                self._set_ready(True)

    async def _on(self, spec: dict[str, Any], report: Callable[[bool], None]) -> None:
        if "httpGet" in spec:
            await probe(self._runtime.prober, spec, self.port, report, held=self._probes_held)

    def _fail(self) -> None:
        self._unhealthy.set()

    def _set_ready(self, ready: bool) -> None:
        if not self._stopping:
            self.ready = ready
            self._changed()

    def _ended(self, code: int) -> None:
        self.ready = False
        terminated = {
            "exitCode": code if code >= 0 else 128 - code,
            "reason": "Completed" if code == 0 else "Error",
            "startedAt": self._running_since,
            "finishedAt": timestamp(),
        }
        self.status["lastState"] = {"terminated": terminated}
        self._set({"terminated": terminated}, started=False)

    def _set(self, state: dict[str, Any], **fields: Any) -> None:
        self.status.update(state=state, **fields)
        self._changed()
