"""EKS access entries: what the platform plane says of a principal."""

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError


@dataclass(frozen=True, slots=True)
class Policy:
    """An associated access policy; no namespaces means the whole cluster."""

    name: str
    namespaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AccessEntry:
    """A principal's access entry."""

    username: str
    groups: tuple[str, ...]
    policies: tuple[Policy, ...]


class AccessEntries:
    """Reads the access entries of one cluster with a boto3 EKS client. Blocking."""

    def __init__(self, eks: Any, cluster: str) -> None:
        self._eks = eks
        self._cluster = cluster

    def of(self, principal_arn: str) -> AccessEntry | None:
        """The entry of a principal, or None if it has none."""
        names = {"clusterName": self._cluster, "principalArn": principal_arn}
        try:
            entry = self._eks.describe_access_entry(**names)["accessEntry"]
            associated: list[dict[str, Any]] = []
            for page in self._eks.get_paginator("list_associated_access_policies").paginate(**names):
                associated += page["associatedAccessPolicies"]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return None
            raise
        policies = tuple(
            Policy(
                each["policyArn"].rsplit("/", 1)[-1],
                tuple(each["accessScope"].get("namespaces", [])) if each["accessScope"]["type"] == "namespace" else (),
            )
            for each in associated
        )
        return AccessEntry(entry.get("username", ""), tuple(entry.get("kubernetesGroups", [])), policies)
