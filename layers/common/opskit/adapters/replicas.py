"""The service's pods one by one and as a number: how many a colour runs and may run, and the eviction of one."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Self

from opskit.adapters.cluster import connect_api
from opskit.adapters.kubernetes_api import KubernetesApi, Object
from opskit.clock import moment_of
from opskit.decisions.capacity import Pods
from opskit.decisions.unhealthy import Pod
from opskit.errors import ClusterError
from opskit.traffic import Colour

if TYPE_CHECKING:
    from mypy_boto3_eks import EKSClient
    from mypy_boto3_sts import STSClient

    from opskit.platform import Platform


@dataclass(frozen=True, slots=True)
class PodAddress:
    """A pod and where it is reached: its own address, or the node's and the node's ports. None without an address."""

    name: str
    uid: str
    created_at: datetime
    address: str | None
    ports: tuple[int, ...]
    ready: bool
    terminating: bool

    def at(self, targets: Iterable[str]) -> Pod:
        """The pod, with that of `targets` (`address:port`) which it is."""
        own = {f"{self.address}:{port}" for port in self.ports} if self.address else set()
        target = next((target for target in targets if target in own), None)
        return Pod(self.name, self.uid, target, self.created_at, self.ready, self.terminating)


@dataclass(frozen=True, slots=True)
class Eviction:
    """Whether the pod goes; if not, what the API server said: its disruption budget has no room."""

    evicted: bool
    reason: str


class Replicas:
    """The pods of the service's colours. Every method raises `ClusterError` if the API refuses or fails."""

    def __init__(self, api: KubernetesApi, *, namespace: str, service: str) -> None:
        self._api = api
        self._namespace = namespace
        self._service = service

    @classmethod
    def connect(
        cls,
        platform: "Platform",
        *,
        session_name: str,
        eks: "EKSClient | None" = None,
        sts: "STSClient | None" = None,
    ) -> Self:
        """As `Cluster.connect`."""
        api = connect_api(platform, session_name=session_name, eks=eks, sts=sts)
        return cls(api, namespace=platform.namespace, service=platform.service)

    def pods(self, colour: Colour) -> Pods | None:
        """How many pods `colour` is to run and its autoscaler's bounds; None if it has no Deployment."""
        found = self._api.get(self._path("/apis/apps/v1", "deployments", self._name(colour)))
        if found is None:
            return None
        wanted = int(found["spec"].get("replicas", 1))
        scaler = self._api.get(self._autoscaler_path(colour))
        if scaler is None:
            return Pods(wanted)
        return Pods(wanted, int(scaler["spec"].get("minReplicas", 1)), int(scaler["spec"]["maxReplicas"]))

    def raise_minimum(self, colour: Colour, count: int) -> None:
        """Have `colour`'s autoscaler run no fewer than `count` pods: else it would take added ones away again."""
        self._api.merge(self._autoscaler_path(colour), {"spec": {"minReplicas": count}})

    def scale(self, colour: Colour, count: int) -> None:
        """Have `colour`'s Deployment run `count` pods of what it runs now."""
        path = self._path("/apis/apps/v1", "deployments", self._name(colour))
        self._api.merge(path, {"spec": {"replicas": count}})

    def addresses(self, colour: Colour) -> tuple[PodAddress, ...]:
        """`colour`'s pods and where each is reached, by name, those being terminated included."""
        found = self._api.list(
            self._path("/api/v1", "pods"), label_selector=f"app.kubernetes.io/name={self._service},colour={colour}"
        )
        return tuple(sorted((_address(pod) for pod in found), key=lambda pod: pod.name))

    def evict(self, name: str, uid: str) -> Eviction:
        """Have the pod `name` go, if it is still the one with `uid` and its disruption budget has room; its ReplicaSet
        makes another. One that is gone already counts as evicted.

        https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/
        """
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": self._namespace},
            "deleteOptions": {"preconditions": {"uid": uid}},
        }
        path = f"{self._path('/api/v1', 'pods', name)}/eviction"
        answer = self._api.create(path, body)
        if answer.status < 300:
            return Eviction(True, "evicted")
        # The precondition fails if another pod has the name by now.
        if answer.status in (404, 409):
            return Eviction(True, f"gone already: {answer.message}")
        causes = (answer.body.get("details") or {}).get("causes") or []
        # A 429 for too many requests comes without this cause.
        budgets = [str(cause.get("message", "")) for cause in causes if cause.get("reason") == "DisruptionBudget"]
        if answer.status == 429 and budgets:
            return Eviction(False, " ".join((answer.message, *budgets)).strip())
        raise ClusterError(f"POST {path}: {answer.status} {answer.message}")

    def _name(self, colour: Colour) -> str:
        return f"{self._service}-{colour}"

    def _autoscaler_path(self, colour: Colour) -> str:
        return self._path("/apis/autoscaling/v2", "horizontalpodautoscalers", self._name(colour))

    def _path(self, group: str, kind: str, name: str | None = None) -> str:
        path = f"{group}/namespaces/{self._namespace}/{kind}"
        return path if name is None else f"{path}/{name}"


def _address(pod: Object) -> PodAddress:
    metadata, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    address = status.get("podIP")
    # Pods in the node's network share its address, and are told apart by the node's port.
    shared = address is not None and address == status.get("hostIP")
    declared = [port for container in spec.get("containers") or [] for port in container.get("ports") or []]
    ports = [(port.get("hostPort") if shared else None) or port["containerPort"] for port in declared]
    return PodAddress(
        name=metadata["name"],
        uid=metadata["uid"],
        created_at=moment_of(metadata["creationTimestamp"]),
        address=address,
        ports=tuple(int(port) for port in ports),
        ready=any(
            condition.get("type") == "Ready" and condition.get("status") == "True"
            for condition in status.get("conditions") or []
        ),
        terminating=bool(metadata.get("deletionTimestamp")),
    )
