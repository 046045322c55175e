"""Which permissions a call of RDS needs: its resources, and further actions.

Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonrds.html, columns "Resource types"
and "Dependent actions". Resources of a required type that a call does not name are AWS's default ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from sandbox.platform.calls import Call
from sandbox.postgres import binaries

ANY = ("*",)
Further = tuple[Call, Sequence[str]]
"""A call as which a permission is checked, and the resources."""

# Parameter, kind of resource in the ARN.
_NAMED = (
    ("DBInstanceIdentifier", "db"),
    ("SourceDBInstanceIdentifier", "db"),
    ("TargetDBInstanceIdentifier", "db"),
    ("NewDBInstanceIdentifier", "db"),
    ("DBSnapshotIdentifier", "snapshot"),
    ("SourceDBSnapshotIdentifier", "snapshot"),
    ("TargetDBSnapshotIdentifier", "snapshot"),
    ("SourceDBInstanceAutomatedBackupsArn", "auto-backup"),
    ("DBParameterGroupName", "pg"),
    ("DBSubnetGroupName", "subgrp"),
    ("OptionGroupName", "og"),
)
_LISTED = {
    "DescribeDBInstanceAutomatedBackups": "auto-backup",
    "DescribeDBInstances": "db",
    "DescribeDBParameterGroups": "pg",
    "DescribeDBSnapshots": "snapshot",
    "DescribeDBSubnetGroups": "subgrp",
    "DescribeOptionGroups": "og",
}
# What an instance is made with, and checked for, whether the call names it or not.
_PLACED = frozenset(
    {
        "CreateDBInstance",
        "CreateDBInstanceReadReplica",
        "RestoreDBInstanceFromDBSnapshot",
        "RestoreDBInstanceToPointInTime",
    }
)
_MADE_BY = {
    "CopyDBSnapshot": ("TargetDBSnapshotIdentifier", "snapshot"),
    "CreateDBInstance": ("DBInstanceIdentifier", "db"),
    "CreateDBInstanceReadReplica": ("DBInstanceIdentifier", "db"),
    "CreateDBParameterGroup": ("DBParameterGroupName", "pg"),
    "CreateDBSnapshot": ("DBSnapshotIdentifier", "snapshot"),
    "CreateDBSubnetGroup": ("DBSubnetGroupName", "subgrp"),
    "RestoreDBInstanceFromDBSnapshot": ("DBInstanceIdentifier", "db"),
    "RestoreDBInstanceToPointInTime": ("TargetDBInstanceIdentifier", "db"),
}
KeyOf = Callable[[Call], str | None]
"""The customer's KMS key with which what a call makes will be encrypted."""


def resources(call: Call, account: str) -> Sequence[str]:
    """ARNs, or `*`; the caller must be allowed to act on all of them."""
    params = call.params
    if params.get("ResourceName"):
        return (params["ResourceName"],)
    found = [_arn(call, account, kind, params[name]) for name, kind in _NAMED if params.get(name)]
    if call.operation in _PLACED:
        major = binaries.version().partition(".")[0]
        for name, kind, default in (
            ("DBParameterGroupName", "pg", f"default.postgres{major}"),
            ("DBSubnetGroupName", "subgrp", "default"),
            ("OptionGroupName", "og", f"default:postgres-{major}"),
        ):
            if not params.get(name):
                found.append(_arn(call, account, kind, default))
    if not found and call.operation in _LISTED:
        return (_arn(call, account, _LISTED[call.operation], "*"),)
    return tuple(found) or ANY


def dependents(call: Call, account: str, key_of: KeyOf) -> Sequence[Further]:
    """Further actions that the caller must be allowed.

    Tags are an action of their own; a final snapshot is one; RDS uses the caller's rights for a managed password's
    secret ("Password management with RDS and Secrets Manager" in the RDS user guide) and for the customer's key of an
    encrypted instance ("Encrypting Amazon RDS resources" there: kms:CreateGrant and kms:DescribeKey).
    """
    params = call.params
    found: list[Further] = []
    if params.get("Tags") and call.operation in _MADE_BY:
        name, kind = _MADE_BY[call.operation]
        made = _arn(call, account, kind, params.get(name, ""))
        found.append((replace(call, operation="AddTagsToResource"), (made,)))
    if call.operation == "DeleteDBInstance" and params.get("FinalDBSnapshotIdentifier"):
        instance = _arn(call, account, "db", params.get("DBInstanceIdentifier", ""))
        snapshot = _arn(call, account, "snapshot", params["FinalDBSnapshotIdentifier"])
        found.append((replace(call, operation="CreateDBSnapshot"), (instance, snapshot)))
    secret = (f"arn:aws:secretsmanager:{call.region}:{account}:secret:rds!db-*",)
    if params.get("ManageMasterUserPassword"):
        found += [
            (replace(call, prefix="secretsmanager", operation=action), secret)
            for action in ("CreateSecret", "TagResource")
        ]
    if params.get("RotateMasterUserPassword"):
        found.append((replace(call, prefix="secretsmanager", operation="RotateSecret"), secret))
    key = key_of(call)
    if key is not None and call.operation in _PLACED:
        found += [(replace(call, prefix="kms", operation=action), (key,)) for action in ("DescribeKey", "CreateGrant")]
    return found


def _arn(call: Call, account: str, kind: str, name: str) -> str:
    return name if name.startswith("arn:") else f"arn:aws:rds:{call.region}:{account}:{kind}:{name.lower()}"
