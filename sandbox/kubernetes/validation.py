"""What the API server refuses: 422 with a cause per field."""

import re
from typing import Any

from croniter import croniter

from sandbox.kubernetes.errors import invalid
from sandbox.kubernetes.resources import (
    CRON_JOBS,
    DEPLOYMENTS,
    JOBS,
    PODS,
    REPLICA_SETS,
    TARGET_GROUP_BINDINGS,
    Resource,
)
from sandbox.kubernetes.selectors import from_selector
from sandbox.kubernetes.store import Object

_NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")
Causes = list[tuple[str, str]]


def validate(resource: Resource, obj: Object, old: Object | None = None) -> None:
    """Raise 422 if `obj` (replacing `old`, if given) is not acceptable."""
    causes: Causes = []
    name = obj.get("metadata", {}).get("name", "")
    if not resource.group.startswith("rbac.") and not _NAME.match(str(name)):
        causes.append(("metadata.name", f"Invalid value: {name!r}: a lowercase RFC 1123 subdomain is required"))
    spec = obj.get("spec", {})
    if resource in (DEPLOYMENTS, REPLICA_SETS):
        _workload(spec, causes)
        if old is not None and spec.get("selector") != old["spec"].get("selector"):
            causes.append(("spec.selector", "Invalid value: field is immutable"))
    elif resource is PODS:
        _containers(spec, "spec", causes)
    elif resource is JOBS:
        _job(spec, "spec", causes)
        if old is not None and spec.get("template") != old["spec"].get("template"):
            causes.append(("spec.template", "Invalid value: field is immutable"))
    elif resource is CRON_JOBS:
        _cron_job(spec, causes)
    elif resource is TARGET_GROUP_BINDINGS:
        _binding(spec, old, causes)
    if causes:
        raise invalid(resource.kind, name, causes)


def _workload(spec: dict[str, Any], causes: Causes) -> None:
    replicas = spec.get("replicas")
    if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
        causes.append(("spec.replicas", f"Invalid value: {replicas!r}: must be an integer of at least 0"))
    labels = spec.get("template", {}).get("metadata", {}).get("labels", {})
    selector = spec.get("selector")
    if not selector:
        causes.append(("spec.selector", "Required value"))
    elif not from_selector(selector)(labels):
        causes.append(("spec.template.metadata.labels", "Invalid value: `selector` does not match labels"))
    _rolling(spec, causes)
    _containers(spec.get("template", {}).get("spec", {}), "spec.template.spec", causes)


def _job(spec: dict[str, Any], path: str, causes: Causes) -> None:
    # The one shape that this cluster's controller runs.
    causes.extend(
        (f"{path}.{field}", f"Unsupported value: {spec[field]!r}: supported values: 1")
        for field in ("parallelism", "completions")
        if spec.get(field, 1) != 1
    )
    for field in ("backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished"):
        value = spec.get(field, 0)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            causes.append((f"{path}.{field}", f"Invalid value: {value!r}: must be an integer of at least 0"))
    pod = spec.get("template", {}).get("spec", {})
    if pod.get("restartPolicy") not in ("Never", "OnFailure"):
        problem = f"Unsupported value: {pod.get('restartPolicy')!r}: supported values: 'OnFailure', 'Never'"
        causes.append((f"{path}.template.spec.restartPolicy", problem))
    _containers(pod, f"{path}.template.spec", causes)


def _cron_job(spec: dict[str, Any], causes: Causes) -> None:
    schedule = spec.get("schedule")
    if not isinstance(schedule, str) or len(schedule.split()) != 5 or not croniter.is_valid(schedule):
        causes.append(("spec.schedule", f"Invalid value: {schedule!r}: five fields in the format of cron"))
    if spec.get("timeZone", "Etc/UTC") != "Etc/UTC":
        causes.append(("spec.timeZone", f"Unsupported value: {spec['timeZone']!r}: supported values: 'Etc/UTC'"))
    if spec.get("concurrencyPolicy") not in ("Allow", "Forbid", "Replace"):
        causes.append(("spec.concurrencyPolicy", f"Unsupported value: {spec.get('concurrencyPolicy')!r}"))
    _job(spec.get("jobTemplate", {}).get("spec", {}), "spec.jobTemplate.spec", causes)


def _rolling(spec: dict[str, Any], causes: Causes) -> None:
    rolling = spec.get("strategy", {}).get("rollingUpdate") or {}
    for field, value in rolling.items():
        if not (
            (isinstance(value, int) and value >= 0) or (isinstance(value, str) and re.fullmatch(r"[0-9]+%", value))
        ):
            causes.append((f"spec.strategy.rollingUpdate.{field}", f"Invalid value: {value!r}"))
    if rolling and all(value in (0, "0%") for value in rolling.values()):
        field = "spec.strategy.rollingUpdate.maxUnavailable"
        causes.append((field, "Invalid value: may not be 0 when `maxSurge` is 0"))
    deadline, ready = spec.get("progressDeadlineSeconds"), spec.get("minReadySeconds", 0)
    if deadline is not None and deadline <= ready:
        causes.append(("spec.progressDeadlineSeconds", "Invalid value: must be greater than minReadySeconds"))


def _containers(spec: dict[str, Any], path: str, causes: Causes) -> None:
    containers = spec.get("containers")
    if not containers:
        causes.append((f"{path}.containers", "Required value"))
        return
    names: set[str] = set()
    for index, container in enumerate(containers):
        field = f"{path}.containers[{index}]"
        if not container.get("name"):
            causes.append((f"{field}.name", "Required value"))
        elif container["name"] in names:
            causes.append((f"{field}.name", f"Duplicate value: {container['name']!r}"))
        names.add(container.get("name", ""))
        if not container.get("image"):
            causes.append((f"{field}.image", "Required value"))
    grace = spec.get("terminationGracePeriodSeconds", 0)
    if not isinstance(grace, int) or grace < 0:
        causes.append((f"{path}.terminationGracePeriodSeconds", f"Invalid value: {grace!r}"))


def _binding(spec: dict[str, Any], old: Object | None, causes: Causes) -> None:
    if not str(spec.get("targetGroupARN", "")).startswith("arn:"):
        causes.append(("spec.targetGroupARN", "Required value"))
    reference = spec.get("serviceRef", {})
    causes.extend(
        (f"spec.serviceRef.{field}", "Required value") for field in ("name", "port") if reference.get(field) is None
    )
    # The controller's webhook: changing the group would leave its targets registered with the old one.
    if old is not None and old["spec"].get("targetGroupARN") != spec.get("targetGroupARN"):
        causes.append(("spec.targetGroupARN", "Forbidden: field is immutable"))
