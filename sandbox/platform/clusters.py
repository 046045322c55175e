"""EKS: clusters answer with the sandbox's Kubernetes API, node groups, and access entries, which moto lacks.

Shapes, limits and errors of access entries: API reference of Amazon EKS (CreateAccessEntry and siblings).
"""

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from moto.eks.models import Cluster, eks_backends

from sandbox.platform import versions
from sandbox.platform.application import Forward
from sandbox.platform.calls import Answer, Call
from sandbox.platform.errors import AwsError
from sandbox.platform.node_groups import NodeGroups
from sandbox.platform.resources import access_entry_arn

ACCESS_POLICIES = (
    "AmazonEKSAdminPolicy",
    "AmazonEKSAdminViewPolicy",
    "AmazonEKSClusterAdminPolicy",
    "AmazonEKSEditPolicy",
    "AmazonEKSViewPolicy",
)
"""Those access policies of EKS that concern people and pipelines ("Review access policy permissions")."""
_TYPES = frozenset({"STANDARD", "EC2_LINUX", "EC2_WINDOWS", "FARGATE_LINUX", "EC2", "HYBRID_LINUX"})
Entry = dict[str, Any]


def policy_arn(name: str) -> str:
    """The ARN of an EKS access policy."""
    return f"arn:aws:eks::aws:cluster-access-policy/{name}"


class Clusters:
    """The concern for EKS."""

    service = "eks"

    def __init__(
        self,
        *,
        account: str,
        endpoint: str,
        certificate_authority: str,
        lock: threading.RLock,
        pace_seconds: float,
    ) -> None:
        """`certificate_authority` is base64 of the PEM that signed the Kubernetes API's certificate.

        `pace_seconds` is how long the status of a node group lasts.
        """
        self._node_groups = NodeGroups(account=account, lock=lock, pace_seconds=pace_seconds)
        self._account = account
        self._endpoint = endpoint
        self._certificate_authority = certificate_authority
        self._lock = lock
        self._entries: dict[tuple[str, str, str], Entry] = {}
        self._policies: dict[tuple[str, str, str], dict[str, dict[str, Any]]] = {}
        self._handlers: dict[str, Callable[[Call], Answer]] = {
            "CreateAccessEntry": self._create,
            "DescribeClusterVersions": versions.of_kubernetes,
            "DescribeAccessEntry": lambda call: call.answer({"accessEntry": self._entry(call)}),
            "UpdateAccessEntry": self._update,
            "DeleteAccessEntry": self._delete,
            "ListAccessEntries": self._list,
            "AssociateAccessPolicy": self._associate,
            "DisassociateAccessPolicy": self._disassociate,
            "ListAssociatedAccessPolicies": self._list_associated,
            "ListAccessPolicies": lambda call: call.answer(
                {"accessPolicies": [{"name": name, "arn": policy_arn(name)} for name in ACCESS_POLICIES]}
            ),
        }

    def handle(self, call: Call, forward: Forward) -> Answer:
        """Answer one EKS call."""
        handler = self._handlers.get(call.operation)
        with self._lock:
            if handler is not None:
                return handler(call)
            of_node_group = self._node_groups.handler(call)
            if of_node_group is not None:
                return of_node_group(call, forward)
            for cluster in self._clusters(call).values():
                self._dress(cluster)
            answer = forward()
            if answer.ok and call.operation == "CreateCluster":
                self._dress(self._clusters(call)[call.params["name"]])
            if answer.ok and call.operation == "DeleteCluster":
                self._forget(call.region, call.params["name"])
            return answer

    def _dress(self, cluster: Cluster) -> None:
        cluster.endpoint = self._endpoint
        cluster.certificate_authority = {"data": self._certificate_authority}
        # moto's class does not have it, but its serializer finds it there.
        setattr(cluster, "access_config", {"authenticationMode": "API"})  # noqa: B010

    def _clusters(self, call: Call) -> dict[str, Cluster]:
        clusters: dict[str, Cluster] = eks_backends[self._account][call.region].clusters
        return clusters

    def _forget(self, region: str, cluster: str) -> None:
        for store in (self._entries, self._policies):
            for key in [key for key in store if key[:2] == (region, cluster)]:
                del store[key]

    def _key(self, call: Call) -> tuple[str, str, str]:
        cluster, principal = call.params.get("clusterName", ""), call.params.get("principalArn", "")
        if cluster not in self._clusters(call):
            raise AwsError("ResourceNotFoundException", f"No cluster found for name: {cluster}.", 404)
        return call.region, cluster, principal

    def _entry(self, call: Call) -> Entry:
        entry = self._entries.get(self._key(call))
        if entry is None:
            raise AwsError(
                "ResourceNotFoundException",
                "The specified principalArn could not be found. You can view your available access entries "
                "with 'list-access-entries'.",
                404,
            )
        return entry

    def _create(self, call: Call) -> Answer:
        key = self._key(call)
        _, cluster, principal = key
        if not principal.startswith("arn:aws:iam::") or ":assumed-role/" in principal:
            raise AwsError("InvalidParameterException", "The specified principalArn is invalid.")
        kind = call.params.get("type") or "STANDARD"
        if kind not in _TYPES:
            raise AwsError("InvalidParameterException", f"The specified type {kind} is invalid.")
        groups = list(call.params.get("kubernetesGroups") or ())
        _check_groups(groups)
        if key in self._entries:
            raise AwsError(
                "ResourceInUseException",
                "The specified access entry resource is already in use on this cluster.",
                409,
            )
        now = datetime.now(UTC)
        entry = {
            "clusterName": cluster,
            "principalArn": principal,
            "kubernetesGroups": groups,
            "accessEntryArn": access_entry_arn(call.region, self._account, cluster, principal),
            "createdAt": now,
            "modifiedAt": now,
            "tags": dict(call.params.get("tags") or {}),
            "username": call.params.get("username") or _default_username(principal),
            "type": kind,
        }
        self._entries[key] = entry
        return call.answer({"accessEntry": entry})

    def _update(self, call: Call) -> Answer:
        entry = self._entry(call)
        if call.params.get("kubernetesGroups") is not None:
            groups = list(call.params["kubernetesGroups"])
            _check_groups(groups)
            entry["kubernetesGroups"] = groups
        if call.params.get("username"):
            entry["username"] = call.params["username"]
        entry["modifiedAt"] = datetime.now(UTC)
        return call.answer({"accessEntry": entry})

    def _delete(self, call: Call) -> Answer:
        self._entry(call)
        key = self._key(call)
        del self._entries[key]
        self._policies.pop(key, None)
        return call.answer({})

    def _list(self, call: Call) -> Answer:
        region, cluster, _ = self._key(call)
        wanted = call.params.get("associatedPolicyArn")
        principals = [
            key[2]
            for key in self._entries
            if key[:2] == (region, cluster) and (not wanted or wanted in self._policies.get(key, {}))
        ]
        return call.answer({"accessEntries": principals})

    def _associate(self, call: Call) -> Answer:
        self._entry(call)
        arn, scope = call.params.get("policyArn", ""), call.params.get("accessScope") or {}
        if arn not in {policy_arn(name) for name in ACCESS_POLICIES}:
            raise AwsError("InvalidParameterException", "The specified policyArn is invalid.")
        kind, namespaces = scope.get("type"), list(scope.get("namespaces") or ())
        if kind not in ("cluster", "namespace") or (kind == "namespace") != bool(namespaces):
            raise AwsError("InvalidParameterException", "The specified accessScope is invalid.")
        now = datetime.now(UTC)
        associated = self._policies.setdefault(self._key(call), {})
        before: Mapping[str, Any] = associated.get(arn, {})
        associated[arn] = {
            "policyArn": arn,
            "accessScope": {"type": kind, "namespaces": namespaces},
            "associatedAt": before.get("associatedAt", now),
            "modifiedAt": now,
        }
        return call.answer(
            {
                "clusterName": call.params["clusterName"],
                "principalArn": call.params["principalArn"],
                "associatedAccessPolicy": associated[arn],
            }
        )

    def _disassociate(self, call: Call) -> Answer:
        self._entry(call)
        if self._policies.get(self._key(call), {}).pop(call.params.get("policyArn", ""), None) is None:
            raise AwsError("ResourceNotFoundException", "No association found for policyArn.", 404)
        return call.answer({})

    def _list_associated(self, call: Call) -> Answer:
        self._entry(call)
        return call.answer(
            {
                "clusterName": call.params["clusterName"],
                "principalArn": call.params["principalArn"],
                "associatedAccessPolicies": list(self._policies.get(self._key(call), {}).values()),
            }
        )


def _check_groups(groups: list[str]) -> None:
    # CreateAccessEntry: groups whose name begins with `system:` cannot be used.
    if any(group.startswith("system:") for group in groups):
        raise AwsError(
            "InvalidParameterException", "The kubernetes group name is invalid, it cannot start with system:"
        )


def _default_username(principal: str) -> str:
    """What EKS generates: the user's ARN, or for a role its assumed-role ARN with the session's name."""
    head, _, path = principal.partition(":role/")
    if not path:
        return principal
    name = path.rpartition("/")[2]
    return f"{head.replace(':iam:', ':sts:')}:assumed-role/{name}/{{{{SessionName}}}}"
