"""What a caller may do: RBAC objects of the cluster, and EKS access policies.

https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sandbox.kubernetes.access import Policy
from sandbox.kubernetes.identity import User
from sandbox.kubernetes.resources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    NAMESPACES,
    ROLE_BINDINGS,
    ROLES,
    Target,
)
from sandbox.kubernetes.store import Key, Object, Store

Rule = dict[str, list[str]]

_READ = ["get", "list", "watch"]
_WRITE = [*_READ, "create", "update", "patch", "delete", "deletecollection"]
_VIEWED = [
    *("pods", "pods/log", "pods/status", "services", "configmaps", "events", "serviceaccounts"),
    "persistentvolumeclaims",
]
_WORKLOADS = ["deployments", "deployments/scale", "deployments/status", "replicasets", "replicasets/scale"]
_BATCH = ["jobs", "jobs/status", "cronjobs", "cronjobs/status"]
_EDITED = ["pods", "services", "configmaps", "secrets", "serviceaccounts", "events", "persistentvolumeclaims"]
_ALL: Rule = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
_VIEW: list[Rule] = [
    {"apiGroups": [""], "resources": [*_VIEWED, "namespaces"], "verbs": _READ},
    {"apiGroups": ["apps"], "resources": _WORKLOADS, "verbs": _READ},
    {"apiGroups": ["batch"], "resources": _BATCH, "verbs": _READ},
    {"apiGroups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": _READ},
    {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": _READ},
]
_EDIT: list[Rule] = [
    *_VIEW,
    {"apiGroups": [""], "resources": _EDITED, "verbs": _WRITE},
    {"apiGroups": ["apps"], "resources": _WORKLOADS, "verbs": _WRITE},
    {"apiGroups": ["batch"], "resources": _BATCH, "verbs": _WRITE},
    {"apiGroups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": _WRITE},
    {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": _WRITE},
]
_RBAC: Rule = {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "verbs": _WRITE}

# AWS's View, Edit and Admin are the upstream roles of the same names: none reaches custom resources.
_POLICIES: dict[str, list[Rule]] = {
    "AmazonEKSClusterAdminPolicy": [_ALL],
    "AmazonEKSAdminPolicy": [*_EDIT, _RBAC],
    "AmazonEKSEditPolicy": _EDIT,
    "AmazonEKSViewPolicy": _VIEW,
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """A verb on a target."""

    verb: str
    target: Target

    def __str__(self) -> str:
        target = self.target
        plural = f"{target.resource.plural}/{target.subresource}" if target.subresource else target.resource.plural
        scope = f' in the namespace "{target.namespace}"' if target.namespace else " at the cluster scope"
        return f'{self.verb} resource "{plural}" in API group "{target.resource.group}"{scope}'


def allowed(store: Store, user: User, attempt: Attempt) -> bool:
    """Whether any rule that applies to `user` allows the attempt. There are no denials."""
    if "system:masters" in user.groups:
        return True
    return any(_covers(rule, attempt) for rule in _rules(store, user, _namespace(attempt.target)))


def _rules(store: Store, user: User, namespace: str) -> Iterator[Rule]:
    for policy in user.policies:
        if _in_scope(policy, namespace):
            yield from _POLICIES.get(policy.name, [])
    for binding in store.select(CLUSTER_ROLE_BINDINGS):
        yield from _bound(store, user, binding, "")
    if namespace:
        for binding in store.select(ROLE_BINDINGS, namespace):
            yield from _bound(store, user, binding, namespace)


def _namespace(target: Target) -> str:
    """Where the rules are looked up: a namespace object counts as inside itself."""
    return target.namespace or (target.name if target.resource is NAMESPACES else "")


def _in_scope(policy: Policy, namespace: str) -> bool:
    return not policy.namespaces or namespace in policy.namespaces


def _bound(store: Store, user: User, binding: Object, namespace: str) -> Iterator[Rule]:
    if not any(_is(subject, user) for subject in binding.get("subjects", [])):
        return
    reference = binding["roleRef"]
    local = reference["kind"] == "Role"
    key = Key(ROLES, namespace, reference["name"]) if local else Key(CLUSTER_ROLES, "", reference["name"])
    yield from (store.find(key) or {}).get("rules", [])


def _is(subject: dict[str, Any], user: User) -> bool:
    if subject.get("kind") == "Group":
        return subject["name"] in user.groups
    return subject.get("kind") == "User" and subject["name"] == user.name


def _covers(rule: Rule, attempt: Attempt) -> bool:
    target = attempt.target
    plural = f"{target.resource.plural}/{target.subresource}" if target.subresource else target.resource.plural
    names = rule.get("resourceNames") or []
    return (
        _has(rule["verbs"], attempt.verb)
        and _has(rule.get("apiGroups", []), target.resource.group)
        and _has(rule.get("resources", []), plural)
        and (not names or target.name in names)
    )


def _has(values: list[str], value: str) -> bool:
    return "*" in values or value in values
