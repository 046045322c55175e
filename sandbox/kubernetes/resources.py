"""The kinds of object that the API serves, and how a request path names one."""

from dataclasses import dataclass
from typing import Any

from sandbox.kubernetes.errors import unknown_path


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    subresources: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        """`v1` or `group/version`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """`deployments.apps`, the name used in messages."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


NAMESPACES = Resource("", "v1", "Namespace", "namespaces", namespaced=False)
PODS = Resource("", "v1", "Pod", "pods", subresources=("status", "log", "eviction"))
SERVICES = Resource("", "v1", "Service", "services", subresources=("status",))
EVENTS = Resource("", "v1", "Event", "events")
DEPLOYMENTS = Resource("apps", "v1", "Deployment", "deployments", subresources=("scale", "status"))
REPLICA_SETS = Resource("apps", "v1", "ReplicaSet", "replicasets", subresources=("scale", "status"))
TARGET_GROUP_BINDINGS = Resource(
    "elbv2.k8s.aws", "v1beta1", "TargetGroupBinding", "targetgroupbindings", subresources=("status",)
)
JOBS = Resource("batch", "v1", "Job", "jobs", subresources=("status",))
CRON_JOBS = Resource("batch", "v1", "CronJob", "cronjobs", subresources=("status",))
CONFIG_MAPS = Resource("", "v1", "ConfigMap", "configmaps")
SERVICE_ACCOUNTS = Resource("", "v1", "ServiceAccount", "serviceaccounts")
VOLUMES = Resource("", "v1", "PersistentVolume", "persistentvolumes", namespaced=False, subresources=("status",))
VOLUME_CLAIMS = Resource("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", subresources=("status",))
BUDGETS = Resource("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", subresources=("status",))
ROLES = Resource("rbac.authorization.k8s.io", "v1", "Role", "roles")
ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings")
CLUSTER_ROLES = Resource("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", namespaced=False)
CLUSTER_ROLE_BINDINGS = Resource(
    "rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False
)

RESOURCES: tuple[Resource, ...] = (
    NAMESPACES,
    PODS,
    SERVICES,
    EVENTS,
    DEPLOYMENTS,
    REPLICA_SETS,
    JOBS,
    CRON_JOBS,
    CONFIG_MAPS,
    SERVICE_ACCOUNTS,
    VOLUMES,
    VOLUME_CLAIMS,
    TARGET_GROUP_BINDINGS,
    ROLES,
    ROLE_BINDINGS,
    CLUSTER_ROLES,
    CLUSTER_ROLE_BINDINGS,
    BUDGETS,
    # Kept and served, but nothing in this cluster acts on them.
    Resource("", "v1", "Secret", "secrets"),
    Resource("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
    Resource("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", subresources=("status",)),
    Resource("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", namespaced=False),
    Resource("monitoring.coreos.com", "v1", "PodMonitor", "podmonitors"),
)

_BY_PATH = {(r.group, r.version, r.plural): r for r in RESOURCES}


@dataclass(frozen=True, slots=True)
class Target:
    """What a request path names; `namespace` and `name` are empty where the path has none."""

    resource: Resource
    namespace: str
    name: str
    subresource: str


def resolve(path: str) -> Target:
    """The target of `/api/v1/…` or `/apis/<group>/<version>/…`; raises the 404 `StatusError`."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise unknown_path()
    namespace = ""
    if rest[0] == "namespaces" and len(rest) >= 3 and (group, version, rest[2]) in _BY_PATH:
        namespace, rest = rest[1], rest[2:]
    resource = _BY_PATH.get((group, version, rest[0]))
    if resource is None or len(rest) > 3:
        raise unknown_path()
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    if subresource and subresource not in resource.subresources:
        raise unknown_path()
    if bool(namespace) != resource.namespaced and (namespace or name):
        raise unknown_path()
    return Target(resource, namespace, name, subresource)


_SUBRESOURCE_KINDS = {"scale": "Scale", "eviction": "Eviction"}
_SUBRESOURCE_VERBS = {"log": ["get"], "eviction": ["create"]}
_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


def discovery(path: str) -> dict[str, Any] | None:
    """The discovery document at `path`, or None if there is none."""
    parts = path.strip("/").split("/")
    if parts == ["api"]:
        return {"kind": "APIVersions", "versions": ["v1"]}
    if parts == ["apis"]:
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": _groups()}
    group_version = "/".join(parts[1:])
    served = [r for r in RESOURCES if r.api_version == group_version]
    if (parts[0] not in ("api", "apis")) or not served or (parts[0] == "api") != (not served[0].group):
        return None
    entries: list[dict[str, Any]] = []
    for resource in served:
        entry = {"singularName": resource.kind.lower(), "namespaced": resource.namespaced}
        entries.append({"name": resource.plural, "kind": resource.kind, "verbs": _VERBS, **entry})
        for subresource in resource.subresources:
            kind = _SUBRESOURCE_KINDS.get(subresource, resource.kind)
            verbs = _SUBRESOURCE_VERBS.get(subresource, ["get", "patch", "update"])
            entries.append({"name": f"{resource.plural}/{subresource}", "kind": kind, "verbs": verbs, **entry})
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": entries,
    }


def _groups() -> list[dict[str, Any]]:
    versions = {r.group: r.version for r in RESOURCES if r.group}
    return [
        {
            "name": group,
            "versions": [{"groupVersion": f"{group}/{version}", "version": version}],
            "preferredVersion": {"groupVersion": f"{group}/{version}", "version": version},
        }
        for group, version in versions.items()
    ]
