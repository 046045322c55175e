"""A DB instance and its snapshots as the RDS API describes them, reduced to what the workflows decide on."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Self

from opskit.clock import moment_of, timestamp


@dataclass(frozen=True, slots=True)
class DatabaseConfiguration:
    """Everything of a DB instance that a restore must be told, because AWS would choose a default instead.

    `security_groups` and `log_exports` are sorted. `iops` and `storage_throughput` (MiB/s) are None where the storage
    type has none of its own.
    """

    engine: str
    engine_version: str
    instance_class: str
    allocated_gib: int
    storage_type: str
    subnet_group: str | None
    security_groups: tuple[str, ...]
    parameter_group: str | None
    port: int | None
    option_group: str | None = None
    iops: int | None = None
    storage_throughput: int | None = None
    max_allocated_gib: int | None = None
    multi_az: bool = False
    publicly_accessible: bool = False
    iam_authentication: bool = False
    encrypted: bool = False
    kms_key: str | None = None
    deletion_protection: bool = False
    backup_retention_days: int = 0
    auto_minor_version_upgrade: bool = False
    copy_tags_to_snapshot: bool = False
    certificate_authority: str | None = None
    log_exports: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"security_groups": list(self.security_groups), "log_exports": list(self.log_exports)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        lists = {name: tuple(data[name]) for name in ("security_groups", "log_exports")}
        return cls(**{**data, **lists})


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """A DB instance now.

    `resource_id` (DbiResourceId) stays the same when it is renamed. `address` is None until it has an endpoint.
    `replica_of` names the source if it is a read replica. `latest_restorable` is None without automated backups.
    """

    identifier: str
    arn: str
    resource_id: str
    status: str
    configuration: DatabaseConfiguration
    address: str | None = None
    replica_of: str | None = None
    latest_restorable: datetime | None = None
    created_at: datetime | None = None
    tags: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "identifier": self.identifier,
            "arn": self.arn,
            "resource_id": self.resource_id,
            "status": self.status,
            "configuration": self.configuration.as_dict(),
            "address": self.address,
            "replica_of": self.replica_of,
            "latest_restorable": timestamp(self.latest_restorable) if self.latest_restorable else None,
            "created_at": timestamp(self.created_at) if self.created_at else None,
            "tags": self.tags,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        moments = {name: moment_of(data[name]) if data[name] else None for name in ("latest_restorable", "created_at")}
        return cls(**{**data, **moments, "configuration": DatabaseConfiguration.from_dict(data["configuration"])})

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> Self:
        """From a `DBInstance` of DescribeDBInstances."""
        endpoint = described.get("Endpoint", {})
        return cls(
            identifier=described["DBInstanceIdentifier"],
            arn=described["DBInstanceArn"],
            resource_id=described["DbiResourceId"],
            status=described.get("DBInstanceStatus", "unknown"),
            configuration=_configuration(described),
            address=endpoint.get("Address"),
            replica_of=described.get("ReadReplicaSourceDBInstanceIdentifier"),
            latest_restorable=described.get("LatestRestorableTime"),
            created_at=described.get("InstanceCreateTime"),
            tags=tags_of(described),
        )


@dataclass(frozen=True, slots=True)
class DatabaseSnapshot:
    """A DB snapshot. `percent` is 100 once all of it is stored; `taken_at` is None until RDS has begun with it."""

    name: str
    arn: str
    database: str
    status: str
    percent: int
    allocated_gib: int
    encrypted: bool
    engine_version: str
    taken_at: datetime | None = None
    tags: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"taken_at": timestamp(self.taken_at) if self.taken_at else None}

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> Self:
        """From a `DBSnapshot` of DescribeDBSnapshots."""
        return cls(
            name=described["DBSnapshotIdentifier"],
            arn=described["DBSnapshotArn"],
            database=described["DBInstanceIdentifier"],
            status=described.get("Status", "unknown"),
            percent=described.get("PercentProgress", 0),
            allocated_gib=described.get("AllocatedStorage", 0),
            encrypted=described.get("Encrypted", False),
            engine_version=described.get("EngineVersion", ""),
            taken_at=described.get("SnapshotCreateTime"),
            tags=tags_of(described),
        )


@dataclass(frozen=True, slots=True)
class RestoreWindow:
    """The moments (aware) between which a database can be restored to any point in time."""

    earliest: datetime
    latest: datetime

    def as_dict(self) -> dict[str, str]:
        """JSON-ready."""
        return {"earliest": timestamp(self.earliest), "latest": timestamp(self.latest)}


def tags_of(described: Mapping[str, Any], key: str = "TagList") -> dict[str, str]:
    """The tags that a description carries, as a dictionary."""
    return {tag["Key"]: tag.get("Value", "") for tag in described.get(key, [])}


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """The form in which AWS takes tags."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def _configuration(described: Mapping[str, Any]) -> DatabaseConfiguration:
    endpoint = described.get("Endpoint", {})
    groups = described.get("DBParameterGroups", [])
    options = described.get("OptionGroupMemberships", [])
    attached = [group["VpcSecurityGroupId"] for group in described.get("VpcSecurityGroups", [])]
    return DatabaseConfiguration(
        engine=described["Engine"],
        engine_version=described.get("EngineVersion", ""),
        instance_class=described.get("DBInstanceClass", ""),
        allocated_gib=described.get("AllocatedStorage", 0),
        storage_type=described.get("StorageType", ""),
        subnet_group=described.get("DBSubnetGroup", {}).get("DBSubnetGroupName"),
        security_groups=tuple(sorted(attached)),
        parameter_group=groups[0]["DBParameterGroupName"] if groups else None,
        port=endpoint.get("Port") or described.get("DbInstancePort") or None,
        option_group=options[0]["OptionGroupName"] if options else None,
        iops=described.get("Iops"),
        storage_throughput=described.get("StorageThroughput"),
        max_allocated_gib=described.get("MaxAllocatedStorage"),
        multi_az=described.get("MultiAZ", False),
        publicly_accessible=described.get("PubliclyAccessible", False),
        iam_authentication=described.get("IAMDatabaseAuthenticationEnabled", False),
        encrypted=described.get("StorageEncrypted", False),
        kms_key=described.get("KmsKeyId"),
        deletion_protection=described.get("DeletionProtection", False),
        backup_retention_days=described.get("BackupRetentionPeriod", 0),
        auto_minor_version_upgrade=described.get("AutoMinorVersionUpgrade", False),
        copy_tags_to_snapshot=described.get("CopyTagsToSnapshot", False),
        certificate_authority=described.get("CACertificateIdentifier"),
        log_exports=tuple(sorted(described.get("EnabledCloudwatchLogsExports", []))),
    )
