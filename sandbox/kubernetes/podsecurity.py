"""Pod Security admission at the `restricted` level.

https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
"""

from typing import Any

from sandbox.kubernetes.errors import forbidden
from sandbox.kubernetes.store import Object

LABEL = "pod-security.kubernetes.io/enforce"
_VOLUMES = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
)


def violations(spec: dict[str, Any]) -> list[str]:
    """What in a pod's spec `restricted` forbids; empty if nothing."""
    pod = spec.get("securityContext", {})
    found = [f"{field}=true" for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field)]
    found += [
        f'restricted volume types (volume "{volume.get("name")}")'
        for volume in spec.get("volumes", [])
        if not _VOLUMES & volume.keys()
    ]
    for container in [*spec.get("initContainers", []), *spec.get("containers", [])]:
        own = container.get("securityContext", {})
        found += [f'{text} (container "{container["name"]}")' for text in _container(pod, own)]
    return found


def _container(pod: dict[str, Any], own: dict[str, Any]) -> list[str]:
    found = []
    if own.get("privileged"):
        found.append("privileged")
    if own.get("allowPrivilegeEscalation") is not False:
        found.append("allowPrivilegeEscalation != false")
    capabilities = own.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", []) or set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        found.append("unrestricted capabilities")
    if own.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
        found.append("runAsNonRoot != true")
    if own.get("runAsUser", pod.get("runAsUser")) == 0:
        found.append("runAsUser=0")
    profile = own.get("seccompProfile", pod.get("seccompProfile", {})).get("type")
    if profile not in ("RuntimeDefault", "Localhost"):
        found.append("seccompProfile")
    return found


def admit(namespace: Object | None, pod: Object) -> None:
    """Raise 403 if the namespace enforces `restricted` and the pod violates it."""
    labels = (namespace or {}).get("metadata", {}).get("labels", {})
    if labels.get(LABEL) != "restricted":
        return
    if found := violations(pod["spec"]):
        name = pod["metadata"]["name"]
        raise forbidden(f'pods "{name}" is forbidden: violates PodSecurity "restricted": {", ".join(found)}')
