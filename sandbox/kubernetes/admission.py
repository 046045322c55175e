"""What happens to a pod before it is stored: security admission, its identity, the balancer's readiness gates."""

from typing import Any

from sandbox.kubernetes import podsecurity, workload_identity
from sandbox.kubernetes.resources import NAMESPACES, SERVICES, TARGET_GROUP_BINDINGS
from sandbox.kubernetes.store import Key, Object, Store

GATE_LABEL = "elbv2.k8s.aws/pod-readiness-gate-inject"
GATE_PREFIX = "target-health.elbv2.k8s.aws/"


def admit(store: Store, pod: Object) -> None:
    """Refuse the pod (403), or add to it what the cluster's webhooks add."""
    namespace = store.find(Key(NAMESPACES, "", pod["metadata"]["namespace"]))
    workload_identity.inject(store, pod)
    podsecurity.admit(namespace, pod)
    labels = (namespace or {}).get("metadata", {}).get("labels", {})
    if labels.get(GATE_LABEL) == "enabled":
        _inject_gates(store, pod)


def _inject_gates(store: Store, pod: Object) -> None:
    """One gate per binding whose Service selects the pod.

    Only at creation, as in
    https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/deploy/pod_readiness_gate/
    """
    gates: list[dict[str, Any]] = pod["spec"].setdefault("readinessGates", [])
    present = {gate["conditionType"] for gate in gates}
    for binding in store.select(TARGET_GROUP_BINDINGS, pod["metadata"]["namespace"]):
        condition = GATE_PREFIX + binding["metadata"]["name"]
        if condition not in present and selects(store, binding, pod):
            gates.append({"conditionType": condition})


def selects(store: Store, binding: Object, pod: Object) -> bool:
    """Whether the Service that `binding` refers to selects `pod`."""
    namespace = binding["metadata"]["namespace"]
    service = store.find(Key(SERVICES, namespace, binding["spec"]["serviceRef"]["name"]))
    selector = (service or {}).get("spec", {}).get("selector")
    labels = pod["metadata"].get("labels", {})
    return bool(selector) and all(labels.get(name) == value for name, value in selector.items())
