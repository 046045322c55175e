"""The Kubernetes side of the service: one Deployment per colour, and the pods that it runs.

The Deployments, their Services and bindings are the platform's (`kubernetes/`). A release owns three
fields of a Deployment: the image of the container `app`, the number of replicas, and the annotations
that it puts on the pod template. Of an autoscaler, where a colour has one, it owns whether it may take
pods away.
"""

import base64
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from opskit import clients
from opskit.adapters.kubernetes_api import KubernetesApi, Object
from opskit.errors import ClusterError
from opskit.traffic import Colour

if TYPE_CHECKING:
    from mypy_boto3_eks import EKSClient
    from mypy_boto3_sts import STSClient

    from opskit.platform import Platform

CONTAINER = "app"


@dataclass(frozen=True, slots=True)
class DeploymentState:
    """A colour's Deployment: what it should run (`image`, `replicas`) and how far it has got.

    `updated`, `ready`, `available`, `unavailable` count pods, `updated` those of the newest template. The
    counts are about `generation` only once `observed_generation` has reached it. `annotations` are the pod
    template's.
    """

    name: str
    image: str
    replicas: int
    generation: int
    observed_generation: int
    updated: int
    ready: int
    available: int
    unavailable: int
    progress_deadline_exceeded: bool = False
    annotations: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        return cls(**data)


@dataclass(frozen=True, slots=True)
class PodState:
    """A pod: whether it is ready to serve, and if not, why.

    `waiting_reason` is what Kubernetes calls it: `ImagePullBackOff`, `CrashLoopBackOff` and so on.
    """

    name: str
    ready: bool
    phase: str
    restarts: int
    waiting_reason: str | None
    image: str = ""
    terminating: bool = False

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        return cls(**data)


class Cluster:
    """The service's Deployments and pods. Every method raises `ClusterError` if the API refuses or fails."""

    def __init__(self, api: KubernetesApi, *, namespace: str, service: str) -> None:
        self._api = api
        self._namespace = namespace
        self._service = service

    @classmethod
    def connect(
        cls,
        platform: "Platform",
        *,
        session_name: str = "detection-ops",
        eks: "EKSClient | None" = None,
        sts: "STSClient | None" = None,
    ) -> Self:
        """Look up the cluster's endpoint and authority, and prepare to speak as the cluster operator role.

        `session_name` names the role session, in CloudTrail and the cluster's audit log: pass the execution's
        name. The role is assumed at the first request and again every ten minutes. Raises `ClusterError`.
        """
        api = connect_api(platform, session_name=session_name, eks=eks, sts=sts)
        return cls(api, namespace=platform.namespace, service=platform.service)

    def deployment(self, colour: Colour) -> DeploymentState | None:
        """The state of `colour`'s Deployment, or None if there is none."""
        found = self._api.get(self._deployment_path(colour))
        return None if found is None else _deployment_state(found)

    def deploy(self, colour: Colour, *, image: str, replicas: int, annotations: dict[str, str]) -> None:
        """Have `colour`'s Deployment run `replicas` pods of `image`, annotated with `annotations`.

        Server-side apply of these fields alone; annotations of an earlier deploy that are not repeated go.
        Safe to repeat: an unchanged template starts no rollout.
        """
        path = self._deployment_path(colour)
        # Applying to an absent object would try to create it, from a fragment.
        if self._api.get(path) is None:
            raise ClusterError(
                f"There is no Deployment {self._name(colour)} in namespace {self._namespace}: apply the "
                "service's manifests (kubernetes/) first."
            )
        self._api.apply(
            path,
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": self._name(colour), "namespace": self._namespace},
                "spec": {
                    "replicas": replicas,
                    "template": {
                        "metadata": {"annotations": annotations},
                        "spec": {"containers": [{"name": CONTAINER, "image": image}]},
                    },
                },
            },
        )

    def scale(self, colour: Colour, replicas: int) -> None:
        """Have `colour`'s Deployment run `replicas` pods of what it runs now (0 stops them)."""
        # Not an apply: one that left out the image would give up, and so remove, the image deployed before.
        self._api.merge(self._deployment_path(colour), {"spec": {"replicas": replicas}})

    def pause_scale_down(self, colour: Colour) -> bool:
        """Have `colour`'s autoscaler take no pods away until `resume_scale_down`; it may still add some.

        Without, it would take a colour that has no traffic for one that has too many pods: at once, for a colour that
        comes from 0 replicas has no earlier recommendations that hold it back (recordInitialRecommendation in
        https://github.com/kubernetes/kubernetes/blob/master/pkg/controller/podautoscaler/horizontal.go).
        False if there is no autoscaler.
        """
        return self._set_scale_down(colour, "Disabled")

    def resume_scale_down(self, colour: Colour) -> bool:
        """Undo `pause_scale_down`. False if there is no autoscaler."""
        return self._set_scale_down(colour, "Max")

    def _set_scale_down(self, colour: Colour, policy: str) -> bool:
        path = f"/apis/autoscaling/v2/namespaces/{self._namespace}/horizontalpodautoscalers/{self._name(colour)}"
        if self._api.get(path) is None:
            return False
        # A field that the manifests leave to releases, so that applying them again does not end a pause.
        self._api.merge(path, {"spec": {"behavior": {"scaleDown": {"selectPolicy": policy}}}})
        return True

    def pods(self, colour: Colour) -> tuple[PodState, ...]:
        """`colour`'s pods, by name, those being terminated included."""
        found = self._api.list(
            f"/api/v1/namespaces/{self._namespace}/pods",
            label_selector=f"app.kubernetes.io/name={self._service},colour={colour}",
        )
        return tuple(sorted((_pod_state(pod) for pod in found), key=lambda pod: pod.name))

    def _name(self, colour: Colour) -> str:
        return f"{self._service}-{colour}"

    def _deployment_path(self, colour: Colour) -> str:
        return f"/apis/apps/v1/namespaces/{self._namespace}/deployments/{self._name(colour)}"


def connect_api(
    platform: "Platform",
    *,
    session_name: str,
    eks: "EKSClient | None" = None,
    sts: "STSClient | None" = None,
) -> KubernetesApi:
    """The cluster's API, spoken to as the cluster operator role; as `Cluster.connect`."""
    # Here and not above: it loads botocore's signers, which who only reads a DeploymentState never needs.
    from opskit.adapters.eks_token import OperatorToken  # noqa: PLC0415

    client: EKSClient = eks or clients.client("eks")
    try:
        described = client.describe_cluster(name=platform.cluster_name)["cluster"]
    except (ClientError, BotoCoreError) as error:
        raise ClusterError(f"DescribeCluster of {platform.cluster_name} failed: {error}") from error
    endpoint = described.get("endpoint")
    authority = described.get("certificateAuthority", {}).get("data")
    if not endpoint or not authority:
        raise ClusterError(
            f"The cluster {platform.cluster_name} has no endpoint or certificate authority (its status "
            f"is {described.get('status', 'unknown')}); wait until it is ACTIVE."
        )
    try:
        pem = base64.b64decode(authority, validate=True).decode("ascii")
    except ValueError as error:
        raise ClusterError(f"The certificate authority of {platform.cluster_name} is malformed") from error
    token = OperatorToken(platform.cluster_name, platform.cluster_operator_role_arn, session_name, sts)
    return KubernetesApi(endpoint, pem, token)


def _deployment_state(found: Object) -> DeploymentState:
    metadata, spec, status = found["metadata"], found["spec"], found.get("status") or {}
    template = spec["template"]
    images = [c.get("image", "") for c in template["spec"]["containers"] if c["name"] == CONTAINER]
    if not images:
        raise ClusterError(f"The Deployment {metadata['name']} has no container {CONTAINER!r} to release to.")
    return DeploymentState(
        name=metadata["name"],
        image=images[0],
        replicas=int(spec.get("replicas", 1)),
        generation=int(metadata.get("generation", 0)),
        observed_generation=int(status.get("observedGeneration", 0)),
        updated=int(status.get("updatedReplicas", 0)),
        ready=int(status.get("readyReplicas", 0)),
        available=int(status.get("availableReplicas", 0)),
        unavailable=int(status.get("unavailableReplicas", 0)),
        progress_deadline_exceeded=any(
            condition.get("type") == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded"
            for condition in status.get("conditions") or []
        ),
        annotations=dict((template.get("metadata") or {}).get("annotations") or {}),
    )


def _pod_state(pod: Object) -> PodState:
    metadata, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    containers = status.get("containerStatuses") or []
    waiting = [(container.get("state") or {}).get("waiting") or {} for container in containers]
    images = [c.get("image", "") for c in spec.get("containers") or [] if c.get("name") == CONTAINER]
    return PodState(
        name=metadata["name"],
        ready=any(
            condition.get("type") == "Ready" and condition.get("status") == "True"
            for condition in status.get("conditions") or []
        ),
        phase=status.get("phase", "Unknown"),
        restarts=sum(int(container.get("restartCount", 0)) for container in containers),
        waiting_reason=next((state["reason"] for state in waiting if state.get("reason")), None),
        image=images[0] if images else "",
        terminating=bool(metadata.get("deletionTimestamp")),
    )
