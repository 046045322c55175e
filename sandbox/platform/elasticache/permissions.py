"""Which permissions a call of ElastiCache needs: its resources, and further actions.

Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticache.html, columns
"Resource types" and "Dependent actions"; of the latter not those of EC2, which the service-linked role has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sandbox.platform.authorization import via_service
from sandbox.platform.calls import Call
from sandbox.platform.elasticache.parameters import family_of
from sandbox.platform.elasticache.state import SERVICE
from sandbox.platform.errors import AwsError

ANY = ("*",)
Further = tuple[Call, Sequence[str]]
"""A call as which a permission is checked, and the resources."""

# Member of a request to the kind of the resource that it names, or of the resources, if it is a list.
_NAMED = (
    ("ReplicationGroupId", "replicationgroup"),
    ("CacheClusterId", "cluster"),
    ("PrimaryClusterId", "cluster"),
    ("SnapshotName", "snapshot"),
    ("SourceSnapshotName", "snapshot"),
    ("TargetSnapshotName", "snapshot"),
    ("FinalSnapshotIdentifier", "snapshot"),
    ("CacheParameterGroupName", "parametergroup"),
    ("CacheSubnetGroupName", "subnetgroup"),
    ("CacheSecurityGroupNames", "securitygroup"),
    ("UserId", "user"),
    ("UserGroupId", "usergroup"),
    ("UserGroupIds", "usergroup"),
)
# A listing is about one kind only, whatever it is filtered by.
_LISTED = {
    "DescribeCacheClusters": "cluster",
    "DescribeCacheParameterGroups": "parametergroup",
    "DescribeCacheParameters": "parametergroup",
    "DescribeCacheSubnetGroups": "subnetgroup",
    "DescribeReplicationGroups": "replicationgroup",
    "DescribeSnapshots": "snapshot",
    "DescribeUsers": "user",
}
_MADE_BY = {
    "CopySnapshot": ("TargetSnapshotName", "snapshot"),
    "CreateCacheParameterGroup": ("CacheParameterGroupName", "parametergroup"),
    "CreateCacheSubnetGroup": ("CacheSubnetGroupName", "subnetgroup"),
    "CreateReplicationGroup": ("ReplicationGroupId", "replicationgroup"),
    "CreateSnapshot": ("SnapshotName", "snapshot"),
    "CreateUser": ("UserId", "user"),
}


def resources(call: Call, account: str) -> Sequence[str]:
    """ARNs, or `*`; the caller must be allowed to act on all of them."""
    params = call.params
    if params.get("ResourceName"):
        return (params["ResourceName"],)
    only = _LISTED.get(call.operation)
    found = [
        _arn(call, account, kind, name)
        for member, kind in _NAMED
        for name in _names(params.get(member))
        if only in (None, kind)
    ]
    if call.operation == "CreateReplicationGroup" and not params.get("CacheParameterGroupName"):
        found.append(_arn(call, account, "parametergroup", _default_parameters(call)))
    # An export makes no snapshot: its target is an object.
    if call.operation == "CopySnapshot" and params.get("TargetBucket"):
        found = [_arn(call, account, "snapshot", params.get("SourceSnapshotName", ""))]
    if not found and only:
        return (_arn(call, account, only, "*"),)
    return tuple(found) or ANY


def dependents(call: Call, account: str) -> Sequence[Further]:
    """Further actions that the caller must be allowed.

    Tags are an action of their own; ElastiCache writes exports and reads dumps with the caller's rights on the bucket
    beside its own; a customer's key takes kms:CreateGrant and kms:DescribeKey ("At-Rest Encryption" in the ElastiCache
    user guide).
    """
    params = call.params
    found: list[Further] = []
    if params.get("Tags") and call.operation in _MADE_BY:
        member, kind = _MADE_BY[call.operation]
        made = _arn(call, account, kind, params.get(member, ""))
        found.append((replace(call, operation="AddTagsToResource"), (made,)))
    if call.operation == "CopySnapshot" and params.get("TargetBucket"):
        bucket = f"arn:aws:s3:::{params['TargetBucket']}"
        written = f"{bucket}/{params.get('TargetSnapshotName', '')}-0001.rdb"
        for action, resource in (("GetBucketAcl", bucket), ("PutObject", written), ("DeleteObject", written)):
            found.append((replace(call, prefix="s3", operation=action), (resource,)))
    if call.operation == "CreateReplicationGroup":
        found += [
            (replace(call, prefix="s3", operation="GetObject"), (arn,)) for arn in params.get("SnapshotArns") or ()
        ]
        if params.get("KmsKeyId"):
            for action in ("DescribeKey", "CreateGrant"):
                found.append((replace(call, prefix="kms", operation=action), (params["KmsKeyId"],)))
    return found


def conditions(call: Call, resource: str, tags: Mapping[str, str]) -> Mapping[str, Any]:
    """The condition keys: the `tags` that the resource has, and the call's, where they are keys of the resource.

    Where a call makes something, they are keys of that alone, and not of what it is made of.
    """
    if call.prefix != SERVICE:
        return via_service(call, SERVICE)
    context: dict[str, Any] = {f"aws:ResourceTag/{key}": value for key, value in tags.items()}
    made = _MADE_BY.get(call.operation)
    if made is None or f":{made[1]}:" in resource:
        asked = call.params.get("Tags") or ()
        keys = [tag["Key"] for tag in asked] + list(call.params.get("TagKeys") or ())
        context |= {f"aws:RequestTag/{tag['Key']}": tag.get("Value", "") for tag in asked}
        if keys:
            context["aws:TagKeys"] = keys
    return context


def _default_parameters(call: Call) -> str:
    params = call.params
    try:
        family = family_of(params.get("Engine") or "redis", params.get("EngineVersion") or "7.0")
    except AwsError:  # there is no such version, as the call will be told
        return "*"
    return f"default.{family}"


def _names(given: object) -> Sequence[str]:
    if isinstance(given, list | tuple):
        return [str(one) for one in given]
    return [str(given)] if given else []


def _arn(call: Call, account: str, kind: str, name: str) -> str:
    return f"arn:aws:elasticache:{call.region}:{account}:{kind}:{name.lower()}"
