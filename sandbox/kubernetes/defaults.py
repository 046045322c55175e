"""What the API server fills in where a manifest is silent, as far as this cluster acts on it.

Values as in https://kubernetes.io/docs/reference/kubernetes-api/
"""

from typing import Any

from sandbox.kubernetes.resources import (
    CRON_JOBS,
    DEPLOYMENTS,
    JOBS,
    NAMESPACES,
    PODS,
    REPLICA_SETS,
    SERVICES,
    Resource,
)
from sandbox.kubernetes.store import Object

_PROBE = {
    "timeoutSeconds": 1,
    "periodSeconds": 10,
    "successThreshold": 1,
    "failureThreshold": 3,
}


def apply_defaults(resource: Resource, obj: Object) -> None:
    """Fill in `obj` in place; what is set stays."""
    if resource is NAMESPACES:
        labels = obj["metadata"].setdefault("labels", {})
        labels.setdefault("kubernetes.io/metadata.name", obj["metadata"]["name"])
        obj.setdefault("status", {"phase": "Active"})
    elif resource is PODS:
        _pod_spec(obj.setdefault("spec", {}))
    elif resource in (DEPLOYMENTS, REPLICA_SETS):
        spec = obj.setdefault("spec", {})
        spec.setdefault("replicas", 1)
        spec.setdefault("minReadySeconds", 0)
        if resource is DEPLOYMENTS:
            _deployment(spec)
        _pod_spec(spec.get("template", {}).get("spec", {}))
    elif resource is JOBS:
        _job(obj.setdefault("spec", {}))
    elif resource is CRON_JOBS:
        spec = obj.setdefault("spec", {})
        spec.setdefault("concurrencyPolicy", "Allow")
        spec.setdefault("suspend", False)
        spec.setdefault("successfulJobsHistoryLimit", 3)
        spec.setdefault("failedJobsHistoryLimit", 1)
        _pod_spec(spec.get("jobTemplate", {}).get("spec", {}).get("template", {}).get("spec", {}))
    elif resource is SERVICES:
        for port in obj.get("spec", {}).get("ports", []):
            port.setdefault("protocol", "TCP")
            port.setdefault("targetPort", port.get("port"))


def _job(spec: dict[str, Any]) -> None:
    for name in ("parallelism", "completions"):
        spec.setdefault(name, 1)
    spec.setdefault("backoffLimit", 6)
    spec.setdefault("suspend", False)
    _pod_spec(spec.get("template", {}).get("spec", {}))


def _deployment(spec: dict[str, Any]) -> None:
    spec.setdefault("progressDeadlineSeconds", 600)
    spec.setdefault("revisionHistoryLimit", 10)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxSurge", "25%")
        rolling.setdefault("maxUnavailable", "25%")


def _pod_spec(spec: dict[str, Any]) -> None:
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    for container in spec.get("containers", []):
        for port in container.get("ports", []):
            port.setdefault("protocol", "TCP")
        for name in ("readinessProbe", "livenessProbe", "startupProbe"):
            if probe := container.get(name):
                for field, value in _PROBE.items():
                    probe.setdefault(field, value)
                if "httpGet" in probe:
                    probe["httpGet"].setdefault("path", "/")
                    probe["httpGet"].setdefault("scheme", "HTTP")
