"""Who can talk to whom, worked out from the network policies as Kubernetes does.

https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from collections.abc import Iterator
from typing import Any

from sandbox.kubernetes.kustomize import Manifest
from tests.infrastructure.manifest_rules import rule
from tests.infrastructure.manifests import container, matches, of, pods

Way = tuple[str, str, int | str]
"""Protocol, peer and port. A peer is a network, or `namespace/labels`."""

BALANCER = {f"10.0.{number}.0/24" for number in (101, 102, 103)}
STORES = {f"10.0.{number}.0/24" for number in (1, 2, 3)}
PROMETHEUS = "monitoring/app.kubernetes.io/name=prometheus"
DNS = "kube-system/k8s-app=kube-dns"
ANYWHERE = "0.0.0.0/0 but 169.254.0.0/16"


def ways(manifests: list[Manifest], labels: dict[str, str], direction: str) -> set[Way] | None:
    """What pods with these labels may receive (`Ingress`) or send (`Egress`); None if nothing restricts them."""
    policies = [
        each["spec"]
        for each in of(manifests, "NetworkPolicy").values()
        if direction in each["spec"]["policyTypes"] and matches(each["spec"]["podSelector"], labels)
    ]
    if not policies:
        return None
    word = {"Ingress": "from", "Egress": "to"}[direction]
    return {
        (port.get("protocol", "TCP"), _peer(peer), port["port"])
        for policy in policies
        for entry in policy.get(direction.lower(), [])
        for peer in entry.get(word, [{"anybody": {}}])
        for port in entry.get("ports", [{"port": "any"}])
    }


def _peer(peer: dict[str, Any]) -> str:
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        return " but ".join([block["cidr"], *block.get("except", [])])
    if not peer.keys() <= {"namespaceSelector", "podSelector"}:
        return "anybody"
    namespace = peer.get("namespaceSelector", {}).get("matchLabels", {}).get("kubernetes.io/metadata.name", "any")
    labels = peer.get("podSelector", {}).get("matchLabels", {})
    return f"{namespace}/{','.join(f'{name}={value}' for name, value in labels.items()) or 'any'}"


@rule
def pods_talk_to_nobody_but_whom_they_must(manifests: list[Manifest]) -> Iterator[str]:
    common = {("UDP", DNS, 53), ("TCP", DNS, 53), ("TCP", ANYWHERE, 443)}
    stores = {("TCP", network, port) for network in STORES for port in (5432, 6379)}
    served = {("TCP", network, 8000) for network in BALANCER} | {("TCP", PROMETHEUS, 9090)}
    for name, template in pods(manifests).items():
        coloured = name in of(manifests, "Deployment")
        labels = template["metadata"]["labels"]
        for direction, wanted in (
            ("Ingress", served if coloured else set()),
            ("Egress", common | stores if coloured else common),
        ):
            found = ways(manifests, labels, direction)
            if found != wanted:
                there = set() if found is None else found
                unrestricted = " anything" if found is None else ""
                yield f"{direction} of {name}: too much:{unrestricted} {there - wanted}, missing: {wanted - there}"


@rule
def a_pod_that_is_added_later_is_shut_in(manifests: list[Manifest]) -> Iterator[str]:
    if ways(manifests, {"app": "new"}, "Ingress") != set():
        yield "it can be reached"
    if not {port for _, _, port in ways(manifests, {"app": "new"}, "Egress") or {("", "", 0)}} <= {53, 443}:
        yield "it reaches more than DNS and AWS"


@rule
def policies_are_about_ports_that_pods_have(manifests: list[Manifest]) -> Iterator[str]:
    for name in of(manifests, "Deployment"):
        template = pods(manifests)[name]
        ports = {each["containerPort"] for each in container(template)["ports"]}
        allowed = {port for _, _, port in ways(manifests, template["metadata"]["labels"], "Ingress") or set()}
        if allowed != ports:
            yield f"{name} has {sorted(ports)}, and {sorted(map(str, allowed))} are allowed"
