"""The load balancer controller: keeps target groups in step with the pods behind their Services.

What the AWS Load Balancer Controller does for TargetGroupBindings with target type `ip`:
https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/targetgroupbinding/targetgroupbinding/
"""

import asyncio
from collections.abc import Iterable
from typing import Any, NamedTuple

from sandbox.kubernetes.admission import GATE_PREFIX, selects
from sandbox.kubernetes.controllers import conditions
from sandbox.kubernetes.controllers.loop import Controller
from sandbox.kubernetes.kubelet.pod import host_port
from sandbox.kubernetes.kubelet.process import LOOPBACK
from sandbox.kubernetes.resources import PODS, SERVICES, TARGET_GROUP_BINDINGS
from sandbox.kubernetes.store import Change, Key, Object, Store

HEALTH_POLL_SECONDS = 0.25
"""The real controller looks every 15 s at the health of targets whose readiness gate is closed."""


class Endpoint(NamedTuple):
    """A target's address."""

    id: str
    port: int


class TargetsController(Controller):
    """One TargetGroupBinding per key; `elbv2` is a boto3 client."""

    def __init__(self, store: Store, elbv2: Any, *, registration_delay_seconds: float) -> None:
        super().__init__(store)
        self._elbv2 = elbv2
        self._delay = registration_delay_seconds
        self._ready_since: dict[str, float] = {}
        self._groups: dict[Key, str] = {}

    def affected(self, change: Change) -> Iterable[Key]:
        """Bindings, and all of a namespace's when one of its pods or Services changes."""
        key = change.key
        if key.resource is TARGET_GROUP_BINDINGS:
            yield key
        elif key.resource in (PODS, SERVICES):
            for binding in self.store.select(TARGET_GROUP_BINDINGS, key.namespace):
                yield Key(TARGET_GROUP_BINDINGS, key.namespace, binding["metadata"]["name"])

    async def reconcile(self, key: Key) -> float | None:
        """Register what has been ready for the delay, deregister what is not ready or going."""
        binding = self.store.find(key)
        if binding is None:
            if group := self._groups.pop(key, None):
                await self._deregister(group, await self._registered(group))
            return None
        group = self._groups[key] = binding["spec"]["targetGroupARN"]
        pods = {endpoint: pod for pod in self._pods(binding) if (endpoint := self._endpoint(binding, pod))}
        due, wait = self._due(pods)
        health = await self._registered(group)
        await self._deregister(group, health.keys() - pods.keys())
        if missing := due - health.keys():
            await asyncio.to_thread(self._elbv2.register_targets, TargetGroupArn=group, Targets=_targets(missing))
        self._observe(key)
        pending = self._open_gates(key, pods, health)
        waits = [wait] if wait is not None else []
        return min([*waits, HEALTH_POLL_SECONDS]) if pending else wait

    def _pods(self, binding: Object) -> list[Object]:
        """The pods whose containers are ready, readiness gates apart: those gates wait for this controller."""
        return self.store.select(
            PODS,
            binding["metadata"]["namespace"],
            lambda pod: (
                "deletionTimestamp" not in pod["metadata"]
                and conditions.is_true(pod, "ContainersReady")
                and selects(self.store, binding, pod)
            ),
        )

    def _endpoint(self, binding: Object, pod: Object) -> Endpoint | None:
        reference = binding["spec"]["serviceRef"]
        service = self.store.find(Key(SERVICES, binding["metadata"]["namespace"], reference["name"]))
        for port in (service or {}).get("spec", {}).get("ports", []):
            if reference["port"] in (port["port"], port.get("name")):
                number = host_port(pod, port["targetPort"])
                return Endpoint(LOOPBACK, number) if number else None
        return None

    def _due(self, pods: dict[Endpoint, Object]) -> tuple[set[Endpoint], float | None]:
        """The endpoints that have been ready long enough, and the seconds until the next one has."""
        now = asyncio.get_running_loop().time()
        due: set[Endpoint] = set()
        waits: list[float] = []
        for endpoint, pod in pods.items():
            # Keyed by the moment of readiness too: a pod that was unready meanwhile waits again.
            ready = conditions.get(pod, "ContainersReady")["lastTransitionTime"]
            since = self._ready_since.setdefault(f"{pod['metadata']['uid']} {ready}", now)
            if (left := since + self._delay - now) > 0:
                waits.append(left)
            else:
                due.add(endpoint)
        return due, min(waits, default=None)

    async def _registered(self, group: str) -> dict[Endpoint, dict[str, Any]]:
        """The group's targets and their health; those that are draining have been deregistered already."""
        answer = await asyncio.to_thread(self._elbv2.describe_target_health, TargetGroupArn=group)
        return {
            Endpoint(each["Target"]["Id"], each["Target"]["Port"]): each["TargetHealth"]
            for each in answer["TargetHealthDescriptions"]
            if each["TargetHealth"]["State"] != "draining"
        }

    async def _deregister(self, group: str, endpoints: Iterable[Endpoint]) -> None:
        if targets := _targets(endpoints):
            await asyncio.to_thread(self._elbv2.deregister_targets, TargetGroupArn=group, Targets=targets)

    def _open_gates(self, key: Key, pods: dict[Endpoint, Object], health: dict[Endpoint, dict[str, Any]]) -> bool:
        """Tell the gated pods their target's health; returns whether one still waits for it."""
        condition = GATE_PREFIX + key.name
        pending = False
        for endpoint, pod in pods.items():
            gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates", [])]
            if condition not in gates or conditions.is_true(pod, condition):
                continue
            state = health.get(endpoint, {"State": "initial", "Reason": "Elb.RegistrationInProgress"})
            healthy = state["State"] == "healthy"
            pending = pending or not healthy
            pod_key = Key(PODS, key.namespace, pod["metadata"]["name"])
            if self.store.find(pod_key) is None:
                continue
            with self.store.editing(pod_key) as edited:
                reason = "" if healthy else state.get("Reason", "")
                conditions.put(edited, condition, healthy, reason, state.get("Description", ""))
        return pending

    def _observe(self, key: Key) -> None:
        if self.store.find(key) is None:
            return
        with self.store.editing(key) as binding:
            binding["status"] = {"observedGeneration": binding["metadata"]["generation"]}


def _targets(endpoints: Iterable[Endpoint]) -> list[dict[str, Any]]:
    return [{"Id": endpoint.id, "Port": endpoint.port} for endpoint in sorted(endpoints)]
