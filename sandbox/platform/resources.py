"""Which resources a call needs permission for.

Source: the "Resource types" column of the Service Authorization Reference for Elastic Load Balancing V2,
Elastic Container Registry, Elastic Kubernetes Service, Relational Database Service and ElastiCache. An action
without resource types is authorized against `*`. Where AWS checks a resource that does not exist yet, its id is `*`.

EC2 calls, and calls that no table below knows, are authorized against `*`: a policy that names a resource
does not allow them here, where AWS might.
"""

import uuid
from collections.abc import Callable, Sequence

from moto.eks.models import eks_backends

from sandbox.platform.calls import Call
from sandbox.platform.elasticache import permissions as caches
from sandbox.platform.rds import permissions as databases

ANY = ("*",)
Finder = Callable[[Call, str], Sequence[str]]


def _arn(member: str) -> Finder:
    return lambda call, _: (call.params[member],) if call.params.get(member) else ANY


def _arns(member: str) -> Finder:
    return lambda call, _: tuple(call.params.get(member) or ANY)


def _new_load_balancing(kind: str) -> Finder:
    return lambda call, account: (
        f"arn:aws:elasticloadbalancing:{call.region}:{account}:{kind}/{call.params.get('Name', '')}/*",
    )


_BY_LOAD_BALANCER = _arn("LoadBalancerArn")
_BY_LISTENER = _arn("ListenerArn")
_BY_RULE = _arn("RuleArn")
_BY_TARGET_GROUP = _arn("TargetGroupArn")

LOAD_BALANCING: dict[str, Finder] = {
    "AddListenerCertificates": _BY_LISTENER,
    "AddTags": _arns("ResourceArns"),
    "CreateListener": _BY_LOAD_BALANCER,
    "CreateLoadBalancer": _new_load_balancing("loadbalancer/app"),
    "CreateRule": _BY_LISTENER,
    "CreateTargetGroup": _new_load_balancing("targetgroup"),
    "DeleteListener": _BY_LISTENER,
    "DeleteLoadBalancer": _BY_LOAD_BALANCER,
    "DeleteRule": _BY_RULE,
    "DeleteTargetGroup": _BY_TARGET_GROUP,
    "DeregisterTargets": _BY_TARGET_GROUP,
    "ModifyListener": _BY_LISTENER,
    "ModifyListenerAttributes": _BY_LISTENER,
    "ModifyLoadBalancerAttributes": _BY_LOAD_BALANCER,
    "ModifyRule": _BY_RULE,
    "ModifyTargetGroup": _BY_TARGET_GROUP,
    "ModifyTargetGroupAttributes": _BY_TARGET_GROUP,
    "RegisterTargets": _BY_TARGET_GROUP,
    "RemoveListenerCertificates": _BY_LISTENER,
    "RemoveTags": _arns("ResourceArns"),
    "SetIpAddressType": _BY_LOAD_BALANCER,
    "SetRulePriorities": lambda call, _: tuple(pair["RuleArn"] for pair in call.params.get("RulePriorities", ())),
    "SetSecurityGroups": _BY_LOAD_BALANCER,
    "SetSubnets": _BY_LOAD_BALANCER,
}


def _registry(call: Call, account: str) -> Sequence[str]:
    if call.params.get("resourceArn"):
        return (call.params["resourceArn"],)
    names = call.params.get("repositoryNames")
    if not names and call.params.get("repositoryName"):
        names = [call.params["repositoryName"]]
    if not names:
        if call.operation != "DescribeRepositories":
            return ANY
        names = ["*"]
    return tuple(f"arn:aws:ecr:{call.region}:{account}:repository/{name}" for name in names)


def access_entry_arn(region: str, account: str, cluster: str, principal_arn: str) -> str:
    """The ARN of the access entry of a principal in a cluster (`access-entry/cluster/type/account/name/id`)."""
    _, _, _, _, owner, path = (principal_arn.split(":", 5) + [""] * 6)[:6]
    kind, _, name = path.partition("/")
    entry_id = uuid.uuid5(uuid.NAMESPACE_URL, f"{cluster}/{principal_arn}")
    return (
        f"arn:aws:eks:{region}:{account}:access-entry/{cluster}/{kind}/{owner or account}/"
        f"{name.rpartition('/')[2]}/{entry_id}"
    )


def _node_group_arn(region: str, account: str, cluster: str, name: str) -> str:
    """The ARN of a node group (`nodegroup/cluster/name/id`); of one that there is not its id is `*`."""
    found = eks_backends[account][region].clusters.get(cluster)
    group = found.nodegroups.get(name) if found is not None else None
    return str(group.arn) if group is not None else f"arn:aws:eks:{region}:{account}:nodegroup/{cluster}/{name}/*"


_OF_ACCESS_ENTRY = frozenset(
    {
        "AssociateAccessPolicy",
        "DeleteAccessEntry",
        "DescribeAccessEntry",
        "DisassociateAccessPolicy",
        "ListAssociatedAccessPolicies",
        "UpdateAccessEntry",
    }
)
_WITHOUT_CLUSTER = frozenset({"CreateCluster", "ListAccessPolicies", "ListClusters"})


def _kubernetes(call: Call, account: str) -> Sequence[str]:
    if call.params.get("resourceArn"):
        return (call.params["resourceArn"],)
    # DescribeCluster and its like call it `name`, operations on a cluster's parts `clusterName`.
    cluster = call.params.get("clusterName") or call.params.get("name")
    if call.operation in _WITHOUT_CLUSTER or not cluster:
        return ANY
    if call.operation in _OF_ACCESS_ENTRY:
        return (access_entry_arn(call.region, account, cluster, call.params.get("principalArn", "")),)
    if group := call.params.get("nodegroupName"):
        if call.operation == "CreateNodegroup":
            return (f"arn:aws:eks:{call.region}:{account}:cluster/{cluster}",)
        return (_node_group_arn(call.region, account, cluster, group),)
    return (f"arn:aws:eks:{call.region}:{account}:cluster/{cluster}",)


def resources(call: Call, account: str) -> Sequence[str]:
    """The ARNs (or `*`) that the caller must be allowed to act on; all of them."""
    if call.service == "elbv2":
        finder = LOAD_BALANCING.get(call.operation)
        return (finder(call, account) if finder else ANY) or ANY
    if call.service == "ecr":
        return _registry(call, account)
    if call.service == "eks":
        return _kubernetes(call, account)
    if call.service == "rds":
        return databases.resources(call, account)
    if call.service == "elasticache":
        return caches.resources(call, account)
    return ANY
