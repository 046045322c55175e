"""How many pods there are, and what each may take."""

from collections.abc import Iterator

from sandbox.kubernetes.kustomize import Manifest
from sandbox.service.database import POOL_SIZE
from tests.infrastructure.manifest_rules import rule
from tests.infrastructure.manifests import container, of, pods, quantity

CONNECTIONS = 150  # of the database, above which its alarm goes off; it takes 200


@rule
def autoscalers_know_their_bounds(manifests: list[Manifest]) -> Iterator[str]:
    deployments = of(manifests, "Deployment")
    for name, autoscaler in of(manifests, "HorizontalPodAutoscaler").items():
        spec = autoscaler["spec"]
        target, low, high = spec["scaleTargetRef"], spec["minReplicas"], spec["maxReplicas"]
        if (target["apiVersion"], target["kind"], target["name"]) != ("apps/v1", "Deployment", name):
            yield f"{name} scales something else"
        if low < 2:
            yield f"{name} may have one pod: none while its node is replaced"
        if high <= low:
            yield f"{name} cannot grow"
        if 2 * high * POOL_SIZE > CONNECTIONS:
            yield f"both colours at {high} pods have {2 * high * POOL_SIZE} connections to the database"
        if name.endswith("-blue") and deployments[name]["spec"]["replicas"] != low:
            yield "blue starts with another number of pods than its autoscaler's least"
        if name.endswith("-green") and deployments[name]["spec"]["replicas"] != 0:
            yield "green does not start idle"


@rule
def autoscalers_measure_what_is_requested(manifests: list[Manifest]) -> Iterator[str]:
    for name, autoscaler in of(manifests, "HorizontalPodAutoscaler").items():
        measured = {
            each["resource"]["name"]: each["resource"]["target"].get("averageUtilization")
            for each in autoscaler["spec"]["metrics"]
            if each["type"] == "Resource"
        }
        requested = container(pods(manifests)[name])["resources"].get("requests", {})
        for resource in ("cpu", "memory"):
            if not 50 <= (measured.get(resource) or 0) <= 90:
                yield f"{name} aims at {measured.get(resource)} of {resource}"
            if resource not in requested:
                yield f"{name}: what of {resource} is 100 %?"


@rule
def releases_decide_whether_pods_may_be_taken_away(manifests: list[Manifest]) -> Iterator[str]:
    for name, autoscaler in of(manifests, "HorizontalPodAutoscaler").items():
        down = autoscaler["spec"].get("behavior", {}).get("scaleDown", {})
        if "selectPolicy" in down:
            yield f"applying {name} ends, or starts, a pause"
        if any(each["type"] != "Percent" or each["value"] > 10 for each in down.get("policies", [{"type": "none"}])):
            yield f"{name} shrinks faster than traffic shows in the metrics"
        if down.get("stabilizationWindowSeconds", 300) < 300:
            yield f"{name} flaps"


@rule
def memory_is_bounded_and_the_processor_is_not(manifests: list[Manifest]) -> Iterator[str]:
    for name, template in pods(manifests).items():
        resources = container(template)["resources"]
        requests, limits = resources.get("requests", {}), resources.get("limits", {})
        if {"cpu", "memory"} - requests.keys():
            yield f"{name} requests {sorted(requests)}"
        elif "memory" not in limits or not quantity(requests["memory"]) <= quantity(limits["memory"]):
            yield f"{name} may take the node's memory"
        if "cpu" in limits:
            yield f"{name} is slowed down while the node is idle"
