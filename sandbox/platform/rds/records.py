"""What is known of an instance and of a snapshot, and how the API states it."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sandbox.platform.rds.endpoint import Endpoint
from sandbox.postgres.archive import Archive
from sandbox.postgres.backup import BaseBackup
from sandbox.postgres.server import Server

Tags = list[dict[str, str]]

AVAILABLE = "available"
READY = frozenset({AVAILABLE, "storage-optimization"})
TERMINAL = frozenset(
    {
        "failed",
        "incompatible-network",
        "incompatible-option-group",
        "incompatible-parameters",
        "incompatible-restore",
        "inaccessible-encryption-credentials",
        "insufficient-capacity",
        "restore-error",
        "storage-full",
    }
)
"""Statuses that do not pass ("Viewing Amazon RDS DB instance status" in the RDS user guide)."""

_NOT_SERVING = TERMINAL | {"creating", "deleting", "rebooting", "starting", "stopping", "stopped", "renaming"}


def serves(status: str) -> bool:
    """Whether an instance in `status` takes connections."""
    return status not in _NOT_SERVING


@dataclass(slots=True, eq=False)
class Instance:
    """One instance. `facts` are the members of the API's `DBInstance` that stand by themselves.

    `work` is held by the job that changes the engine, one at a time; `doomed` tells it to stop; everything
    else is guarded by the state's lock.
    """

    resource_id: str
    facts: dict[str, Any]
    server: Server
    archive: Archive
    port: int
    status: str = "creating"
    created_at: datetime | None = None
    endpoint: Endpoint | None = None
    source: "Instance | None" = None
    replicas: list["Instance"] = field(default_factory=list)
    tags: Tags = field(default_factory=list)
    work: threading.RLock = field(default_factory=threading.RLock)
    doomed: threading.Event = field(default_factory=threading.Event)

    @property
    def name(self) -> str:
        """Its identifier."""
        return str(self.facts["DBInstanceIdentifier"])

    @property
    def arn(self) -> str:
        """Its ARN."""
        return str(self.facts["DBInstanceArn"])

    @property
    def master(self) -> str:
        """The master user's name."""
        return str(self.facts["MasterUsername"])

    @property
    def retention(self) -> int:
        """Days that backups are kept; 0 means that none are taken."""
        return int(self.facts["BackupRetentionPeriod"])

    @property
    def iam(self) -> bool:
        """Whether authentication tokens are taken."""
        return bool(self.facts["IAMDatabaseAuthenticationEnabled"])

    def shape(self, status: str, subnet_group: Mapping[str, Any] | None) -> dict[str, Any]:
        """The API's `DBInstance`; `status` is the one to show."""
        shape: dict[str, Any] = {
            **self.facts,
            "DbiResourceId": self.resource_id,
            "DBInstanceStatus": status,
            "TagList": self.tags,
            "ReadReplicaDBInstanceIdentifiers": [replica.name for replica in self.replicas],
        }
        shape["DBSubnetGroup"] = subnet_group or {"DBSubnetGroupName": self.facts["DBSubnetGroup"]}
        if self.source is not None:
            shape["ReadReplicaSourceDBInstanceIdentifier"] = self.source.name
            shape["StatusInfos"] = [{"StatusType": "read replication", "Normal": True, "Status": "replicating"}]
        if self.created_at is not None:
            shape["InstanceCreateTime"] = self.created_at
        if self.endpoint is not None and self.created_at is not None:
            address = self.endpoint.address
            shape["Endpoint"] = {"Address": address.host, "Port": address.port, "HostedZoneId": "Z2R2ITUGPM61AM"}
        if self.retention and self.archive.latest is not None:
            shape["LatestRestorableTime"] = self.archive.latest
        return shape


# What a snapshot knows about the instance that it was taken of.
_OF_INSTANCE = (
    "AllocatedStorage",
    "AvailabilityZone",
    "DBInstanceIdentifier",
    "Engine",
    "EngineVersion",
    "IAMDatabaseAuthenticationEnabled",
    "Iops",
    "KmsKeyId",
    "LicenseModel",
    "MasterUsername",
    "StorageThroughput",
    "StorageType",
)


@dataclass(slots=True, eq=False)
class Snapshot:
    """One snapshot; `facts` are those of its instance when it was taken."""

    name: str
    arn: str
    kind: str
    resource_id: str
    facts: Mapping[str, Any]
    port: int
    vpc_id: str | None
    tags: Tags
    instance_tags: Tags
    instance_created_at: datetime | None
    status: str = "creating"
    started_at: datetime | None = None
    base: BaseBackup | None = None
    copied_from: str | None = None

    def shape(self) -> dict[str, Any]:
        """The API's `DBSnapshot`."""
        shape: dict[str, Any] = {
            **{name: self.facts[name] for name in _OF_INSTANCE if self.facts.get(name) is not None},
            "DBSnapshotIdentifier": self.name,
            "DBSnapshotArn": self.arn,
            "DbiResourceId": self.resource_id,
            "SnapshotType": self.kind,
            "Status": self.status,
            "PercentProgress": 100 if self.status == AVAILABLE else 0,
            "Port": self.port,
            "Encrypted": bool(self.facts.get("StorageEncrypted")),
            "OptionGroupName": self.facts["OptionGroupMemberships"][0]["OptionGroupName"],
            "SnapshotTarget": "region",
            "TagList": self.tags,
        }
        times = {
            "VpcId": self.vpc_id,
            "InstanceCreateTime": self.instance_created_at,
            "SnapshotCreateTime": self.base.ended_at if self.base else None,
            "OriginalSnapshotCreateTime": self.base.ended_at if self.base else None,
            "SourceDBSnapshotIdentifier": self.copied_from,
        }
        return {**shape, **{name: value for name, value in times.items() if value is not None}}


def tags_of(params: Mapping[str, Any]) -> Tags | None:
    """`Tags` of a call, or None if it has none."""
    given: Sequence[Mapping[str, str]] | None = params.get("Tags")
    return None if given is None else [{"Key": tag["Key"], "Value": tag.get("Value", "")} for tag in given]
