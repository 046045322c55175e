"""The configuration of the service's namespace in the cluster, to be kept: every kind but Secrets."""

from dataclasses import dataclass, field
from typing import Any

from opskit.adapters.kubernetes_api import KubernetesApi
from opskit.decisions.redaction import clean

# Collections, by the path before and after the namespace. What controllers make (ReplicaSets, Pods, Endpoints) follows
# from these; Secrets are never read.
KINDS: tuple[tuple[str, str], ...] = (
    ("/api/v1", "configmaps"),
    ("/api/v1", "serviceaccounts"),
    ("/api/v1", "services"),
    ("/apis/apps/v1", "deployments"),
    ("/apis/autoscaling/v2", "horizontalpodautoscalers"),
    ("/apis/batch/v1", "cronjobs"),
    ("/apis/elbv2.k8s.aws/v1beta1", "targetgroupbindings"),
    ("/apis/networking.k8s.io/v1", "networkpolicies"),
    ("/apis/policy/v1", "poddisruptionbudgets"),
    ("/apis/rbac.authorization.k8s.io/v1", "rolebindings"),
    ("/apis/rbac.authorization.k8s.io/v1", "roles"),
)


@dataclass(frozen=True, slots=True)
class Export:
    """A namespace's objects, by kind and name; the kinds that the cluster does not serve; values redacted."""

    namespace: str
    objects: tuple[dict[str, Any], ...] = ()
    absent: tuple[str, ...] = ()
    redacted: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """A Kubernetes List, which `kubectl apply -f` takes."""
        return {"apiVersion": "v1", "kind": "List", "items": list(self.objects)}


def export_namespace(api: KubernetesApi, namespace: str) -> Export:
    """Read the objects of every kind in KINDS. Raises ClusterError; a kind that is not served is no error."""
    objects: list[dict[str, Any]] = []
    absent: list[str] = []
    counts: dict[str, int] = {}
    redacted = 0
    for group, plural in KINDS:
        collection = api.collection(f"{group}/namespaces/{namespace}/{plural}")
        if collection is None:
            absent.append(f"{group}/{plural}")
            continue
        # The items of a list come without their kind: https://kubernetes.io/docs/reference/using-api/api-concepts/
        kind = {"apiVersion": collection.api_version, "kind": collection.kind}
        cleaned = [clean({**kind, **item}) for item in collection.items]
        objects += sorted((item for item, _ in cleaned), key=lambda item: str(item["metadata"]["name"]))
        redacted += sum(count for _, count in cleaned)
        counts[plural] = len(cleaned)
    return Export(namespace, tuple(objects), tuple(absent), redacted, counts)
