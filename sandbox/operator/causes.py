"""What alarms are about, made real: pods that hang, and a cache that holds less than is put into it."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil
import redis
from lightkube import Client
from lightkube.core.exceptions import ApiError
from lightkube.resources.core_v1 import Pod
from lightkube.types import PatchType

from opskit.traffic import Colour
from sandbox.kubernetes.client import administrator
from sandbox.kubernetes.kubelet.pod import HELD, PROBES_ANNOTATION
from sandbox.operator.data import Data
from sandbox.operator.engines import Engines

MIB = 2**20
_LOOK_SECONDS = 0.3


class Causes(Data, Engines):
    """Each lasts until it is taken back, or until a repair treats it."""

    @property
    def _kubernetes(self) -> Client:
        return administrator(self.config)

    def pods(self, colour: Colour) -> list[dict[str, Any]]:
        """A colour's pods, those that end included, oldest first."""
        listed = self._kubernetes.list(Pod, namespace=self.config.service, labels={"colour": colour})
        found = [pod.to_dict() for pod in listed]
        return sorted(found, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    @contextmanager
    def freeze_pod(self, colour: Colour, *, unnoticed: bool = True) -> Iterator[str]:
        """Stop the processes of a colour's oldest pod (SIGSTOP): it takes connections and never answers.

        A kubelet that notices takes it off the balancer, before that finds it unhealthy, and replaces its container in
        the end. `unnoticed` by its kubelet, it stays where it is, unhealthy, until `with` ends or somebody deletes it.
        Gives the pod's name.
        """
        name = str(self.pods(colour)[0]["metadata"]["name"])
        if unnoticed:
            self._annotate(name, HELD)
        if not self._signal(name, signal.SIGSTOP):
            raise LookupError(f"no process of {name} runs")
        try:
            yield name
        finally:
            self._signal(name, signal.SIGCONT)
            if unnoticed:
                self._annotate(name, None)

    def _annotate(self, pod: str, value: str | None) -> None:
        body = {"metadata": {"annotations": {PROBES_ANNOTATION: value}}}
        try:
            self._kubernetes.patch(Pod, pod, body, namespace=self.config.service, patch_type=PatchType.MERGE)
        except ApiError as error:
            if value is not None or error.status.code != 404:
                raise  # else it has been replaced

    def _signal(self, pod: str, number: signal.Signals) -> int:
        """Signal the processes of a pod; how many there were."""
        log, sent = str(self.config.dir / "logs" / "pods" / f"{pod}.log"), 0
        for process in psutil.process_iter(["cmdline"]):
            if "sandbox.service" not in (process.info["cmdline"] or []):
                continue
            with suppress(psutil.Error):
                if any(each.path == log for each in process.open_files()):
                    process.send_signal(number)
                    sent += 1
        return sent

    @contextmanager
    def flood_cache(self, megabytes: int = 12, *, memory: int = 8) -> Iterator[None]:
        """Keep putting `megabytes` of keys (`flood-*`) into the live cache, which has `memory` of them: it evicts.

        A larger node has more, in proportion to its type, and then holds them all. Afterwards keys and memory are as
        before.
        """
        group = self.replication_group()
        self.engine_fault("elasticache", group, maxmemory=memory * MIB)
        stop = threading.Event()
        thread = threading.Thread(target=self._fill, args=(megabytes, stop), name="floods the cache", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(30)
            self.take_back("elasticache", group, maxmemory=memory * MIB)
            client = self.cache()
            for key in client.scan_iter("flood-*", count=1000):
                client.delete(key)

    def _fill(self, megabytes: int, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                client = self.cache()
                for first in range(0, megabytes * 100, 100):
                    pipe = client.pipeline(transaction=False)
                    for number in range(first, first + 100):
                        pipe.set(f"flood-{number}", b"x" * (MIB // 100), ex=600)
                    pipe.execute()
                    if stop.wait(0.05):
                        return
            except redis.RedisError:
                time.sleep(_LOOK_SECONDS)  # it fails over, or is being changed

    def replication_group(self) -> str:
        """The id of the live replication group; raises LookupError if there is none."""
        live = self.endpoint("cache")
        for group in self.clients["elasticache"].describe_replication_groups()["ReplicationGroups"]:
            endpoint = group["NodeGroups"][0].get("PrimaryEndpoint", {}) if group.get("NodeGroups") else {}
            if f"{endpoint.get('Address')}:{endpoint.get('Port')}" == live:
                return str(group["ReplicationGroupId"])
        raise LookupError(f"no replication group at {live}")
