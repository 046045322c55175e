"""How a restored database or cache is set up: told in full, never left to AWS; and how the result differs.

Left out, RDS takes the default parameter group, the VPC's default security group, one zone, no IAM authentication, no
deletion protection, and the tags of the source, by which a drill's copy would be backed up every hour:
https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RestoreDBInstanceFromDBSnapshot.html
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from opskit.adapters.cache_state import CacheConfiguration
from opskit.adapters.database_state import DatabaseConfiguration, tag_list
from opskit.errors import InvalidInputError

# RDS refuses IOPS and throughput of their own for gp3 storage of PostgreSQL below this.
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Storage.html#gp3-storage
GP3_OWN_IOPS_GIB = 400

_STATED = ("subnet_group", "security_groups", "parameter_group", "port")


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting that is not as it should be. `fatal`: the copy is not to be used, for the reason; else to be known."""

    setting: str
    wanted: Any
    found: Any
    fatal: bool
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


# What makes a copy unfit for service, or unsafe; every other difference is reported.
_FATAL_DATABASE: Mapping[str, str] = {
    "engine": "it is another engine",
    "engine_version": "another version was never tested with the service",
    "subnet_group": "it is in another network",
    "security_groups": "others may reach it, or the service may not",
    "parameter_group": "its settings are not those of the source",
    "option_group": "its options are not those of the source",
    "port": "clients would not find it",
    "publicly_accessible": "it may be reached from the Internet",
    "iam_authentication": "the service signs in with IAM tokens",
    "encrypted": "its storage is not encrypted as it should be",
    "kms_key": "its storage is encrypted with another key",
    "instance_class": "it has other memory and processors than were asked for",
}
_FATAL_CACHE: Mapping[str, str] = {
    "engine": "it is another engine",
    "engine_version": "another version was never tested with the service",
    "subnet_group": "it is in another network",
    "security_groups": "others may reach it, or the service may not",
    "parameter_group": "its settings are not those of the source",
    "port": "clients would not find it",
    "cluster_mode": "clients speak another protocol to it",
    "node_groups": "its keys are spread in another way",
    "node_type": "it has other memory than was asked for",
    "transit_encryption": "clients could not speak to it, or in the clear",
    "transit_encryption_mode": "clients could not speak to it, or in the clear",
    "at_rest_encryption": "its storage is not encrypted as it should be",
    "kms_key": "its storage is encrypted with another key",
    "auth_token": "clients could not sign in, or would not have to",
    "user_groups": "clients could not sign in, or others could",
}


def database_arguments(
    configuration: DatabaseConfiguration, tags: Mapping[str, str], *, to_moment: bool
) -> dict[str, Any]:
    """The arguments of RestoreDBInstanceFromDBSnapshot, or with `to_moment` RestoreDBInstanceToPointInTime.

    Version and encryption are those of the backup and cannot be chosen. The limit of storage growth exists only for a
    point in time. Raises InvalidInputError for a setting without which AWS would choose, and without tags.
    """
    _refuse_unset(configuration, (*_STATED, "instance_class", "storage_type"), tags)
    arguments: dict[str, Any] = {
        "DBInstanceClass": configuration.instance_class,
        "Port": configuration.port,
        "DBSubnetGroupName": configuration.subnet_group,
        "VpcSecurityGroupIds": list(configuration.security_groups),
        "DBParameterGroupName": configuration.parameter_group,
        "MultiAZ": configuration.multi_az,
        "PubliclyAccessible": configuration.publicly_accessible,
        "EnableIAMDatabaseAuthentication": configuration.iam_authentication,
        "DeletionProtection": configuration.deletion_protection,
        "AutoMinorVersionUpgrade": configuration.auto_minor_version_upgrade,
        "CopyTagsToSnapshot": configuration.copy_tags_to_snapshot,
        "EnableCloudwatchLogsExports": list(configuration.log_exports),
        "BackupRetentionPeriod": configuration.backup_retention_days,
        "StorageType": configuration.storage_type,
        "Tags": tag_list(tags),
    }
    optional = {
        # A default one belongs to the engine's version, which the backup decides.
        "OptionGroupName": None
        if (configuration.option_group or "").startswith("default:")
        else configuration.option_group,
        "CACertificateIdentifier": configuration.certificate_authority,
        "MaxAllocatedStorage": configuration.max_allocated_gib if to_moment else None,
    }
    provisioned = configuration.storage_type in {"io1", "io2"}
    if provisioned or (configuration.storage_type == "gp3" and configuration.allocated_gib >= GP3_OWN_IOPS_GIB):
        optional["Iops"] = configuration.iops
        optional["StorageThroughput"] = None if provisioned else configuration.storage_throughput
    return arguments | {name: value for name, value in optional.items() if value is not None}


def cache_arguments(configuration: CacheConfiguration, tags: Mapping[str, str]) -> dict[str, Any]:
    """The arguments of CreateReplicationGroup that restores a snapshot.

    Raises InvalidInputError for a setting without which AWS would choose, without tags, and for a cache that signs in
    with a password (AUTH): that cannot be read back, so it would have to be passed around; use user groups.
    """
    _refuse_unset(configuration, (*_STATED, "node_type", "engine_version"), tags)
    if configuration.auth_token:
        raise InvalidInputError("the cache has an AUTH token, which cannot be read back: move it to user groups (RBAC)")
    arguments: dict[str, Any] = {
        "Engine": configuration.engine,
        "EngineVersion": configuration.engine_version,
        "CacheNodeType": configuration.node_type,
        "CacheSubnetGroupName": configuration.subnet_group,
        "SecurityGroupIds": list(configuration.security_groups),
        "CacheParameterGroupName": configuration.parameter_group,
        "Port": configuration.port,
        "AutomaticFailoverEnabled": configuration.automatic_failover,
        "MultiAZEnabled": configuration.multi_az,
        "TransitEncryptionEnabled": configuration.transit_encryption,
        "AtRestEncryptionEnabled": configuration.at_rest_encryption,
        "AutoMinorVersionUpgrade": configuration.auto_minor_version_upgrade,
        "SnapshotRetentionLimit": configuration.snapshot_retention_days,
        "Tags": tag_list(tags),
    }
    if configuration.cluster_mode:
        arguments["NumNodeGroups"] = configuration.node_groups
        arguments["ReplicasPerNodeGroup"] = configuration.replicas_per_group
    else:
        arguments["NumCacheClusters"] = 1 + configuration.replicas_per_group
    optional = {
        # Left out, a group with encryption in transit requires it of every client.
        "TransitEncryptionMode": "preferred" if configuration.transit_encryption_mode == "preferred" else None,
        "KmsKeyId": configuration.kms_key,
        "UserGroupIds": list(configuration.user_groups) or None,
    }
    return arguments | {name: value for name, value in optional.items() if value is not None}


def differences(
    wanted: DatabaseConfiguration | CacheConfiguration, found: DatabaseConfiguration | CacheConfiguration
) -> tuple[Difference, ...]:
    """Every setting of `found` that is not as `wanted`, the fatal ones first.

    `wanted` is the source's configuration, or what an isolated restore was told instead. Default parameter groups and
    security groups show as any other difference.
    """
    if type(wanted) is not type(found):
        raise TypeError(f"a {type(found).__name__} cannot be compared with a {type(wanted).__name__}")
    fatal = _FATAL_DATABASE if isinstance(wanted, DatabaseConfiguration) else _FATAL_CACHE
    before, after = wanted.as_dict(), found.as_dict()
    all_of_them = [
        Difference(name, before[name], after[name], name in fatal, fatal.get(name, "to be known, or to be set right"))
        for name in before
        if before[name] != after[name]
    ]
    return tuple(sorted(all_of_them, key=lambda difference: (not difference.fatal, difference.setting)))


def _refuse_unset(
    configuration: DatabaseConfiguration | CacheConfiguration, names: Sequence[str], tags: Mapping[str, str]
) -> None:
    unset = [name for name in names if not getattr(configuration, name)] + ([] if tags else ["tags"])
    if unset:
        raise InvalidInputError(f"AWS would choose {', '.join(unset)}: state them")
