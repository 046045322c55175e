"""The service's manifests as they are applied to each environment, and ways to ask them things."""

import functools
import json
import re
from pathlib import Path
from typing import Any

from sandbox.kubernetes.kustomize import Manifest, build
from sandbox.kubernetes.manifests import Stores, Values, render

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ("dev", "staging", "prod")
COLOURS = ("blue", "green")
VERSIONS = ("1.35", "1.36")
"""Of Kubernetes: what Terraform takes, and has by default (variable kubernetes_version)."""

ACCOUNT = "123456789012"
SERVICE = "detection-api"
_GROUP = f"arn:aws:elasticloadbalancing:us-east-1:{ACCOUNT}:targetgroup/{SERVICE}"


def rendered(environment: str, service: str = SERVICE) -> list[Manifest]:
    """Everything of an environment, nothing left open, waits as they are deployed; the caller's to change."""
    manifests: list[Manifest] = json.loads(_rendered(environment, service))
    return manifests


@functools.cache
def _rendered(environment: str, service: str) -> str:
    manifests = render(
        environment,
        Values(
            service=service,
            image=f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/{service}@sha256:{'a' * 64}",
            target_group_blue_arn=f"{_GROUP}-blue/0123456789abcdef",
            target_group_green_arn=f"{_GROUP}-green/0123456789abcdef",
            stores=Stores(
                environment=environment,
                role_arn=f"arn:aws:iam::{ACCOUNT}:role/{service}-{environment}-service",
                backup_bucket=f"{service}-{environment}-backups-{ACCOUNT}",
                database_authorities="-----BEGIN CERTIFICATE-----",
                database_user=service.replace("-", "_"),
                cache_tls=True,
                queue_volume="fs-0123456789abcdef0::fsap-0123456789abcdef0",
            ),
        ),
    )
    return json.dumps(manifests)


def monitoring() -> list[Manifest]:
    """What is applied beside Prometheus and Grafana."""
    text = json.dumps(build(ROOT / "kubernetes/monitoring")).replace("${SERVICE}", SERVICE)
    found: list[Manifest] = json.loads(text)
    return found


def of(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    """The manifests of a kind, by name."""
    return {each["metadata"]["name"]: each for each in manifests if each["kind"] == kind}


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    """The pod templates, by the name of what makes the pods."""
    found = {name: each["spec"]["template"] for name, each in of(manifests, "Deployment").items()}
    jobs = of(manifests, "CronJob").items()
    return found | {name: each["spec"]["jobTemplate"]["spec"]["template"] for name, each in jobs}


def container(template: Manifest) -> dict[str, Any]:
    """The one container of a pod template."""
    only: dict[str, Any]
    (only,) = template["spec"]["containers"]
    return only


def matches(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a label selector (matchLabels, matchExpressions with In) takes these labels."""
    expressions = selector.get("matchExpressions", [])
    assert all(each["operator"] == "In" for each in expressions)
    return all(labels.get(name) == value for name, value in selector.get("matchLabels", {}).items()) and all(
        labels.get(each["key"]) in each["values"] for each in expressions
    )


def quantity(text: str) -> float:
    """`500m` and `1Gi` as numbers: cores, bytes."""
    number, unit = re.fullmatch(r"(\d+)(m|Mi|Gi)?", text).groups()  # type: ignore[union-attr]
    return int(number) * {None: 1, "m": 0.001, "Mi": 2**20, "Gi": 2**30}[unit]
