"""From the parameters of a call to the configuration of an instance."""

import re
from collections.abc import Mapping
from typing import Any

from sandbox.platform.errors import AwsError
from sandbox.platform.rds.placement import Placement
from sandbox.postgres import binaries

CERTIFICATE_AUTHORITY = "rds-ca-rsa2048-g1"
_IDENTIFIER = re.compile(r"[a-z](?:-?[a-z0-9])*")

# Parameters that are members of the same name, and those whose member has another.
DIRECT = (
    "AllocatedStorage",
    "AutoMinorVersionUpgrade",
    "BackupRetentionPeriod",
    "CACertificateIdentifier",
    "CopyTagsToSnapshot",
    "DBInstanceClass",
    "DedicatedLogVolume",
    "DeletionProtection",
    "Iops",
    "LicenseModel",
    "MaxAllocatedStorage",
    "MonitoringInterval",
    "MonitoringRoleArn",
    "MultiAZ",
    "NetworkType",
    "PerformanceInsightsKMSKeyId",
    "PerformanceInsightsRetentionPeriod",
    "PreferredBackupWindow",
    "PreferredMaintenanceWindow",
    "PubliclyAccessible",
    "StorageThroughput",
    "StorageType",
)
RENAMED = {
    "EnableCloudwatchLogsExports": "EnabledCloudwatchLogsExports",
    "EnableIAMDatabaseAuthentication": "IAMDatabaseAuthenticationEnabled",
    "EnablePerformanceInsights": "PerformanceInsightsEnabled",
}

_DEFAULTS: Mapping[str, Any] = {
    "AutoMinorVersionUpgrade": True,
    "BackupRetentionPeriod": 1,
    "BackupTarget": "region",
    "CACertificateIdentifier": CERTIFICATE_AUTHORITY,
    "CopyTagsToSnapshot": False,
    "DBSecurityGroups": [],
    "DatabaseInsightsMode": "standard",
    "DbInstancePort": 0,
    "DedicatedLogVolume": False,
    "DeletionProtection": False,
    "DomainMemberships": [],
    "EngineLifecycleSupport": "open-source-rds-extended-support",
    "IAMDatabaseAuthenticationEnabled": False,
    "LicenseModel": "postgresql-license",
    "MonitoringInterval": 0,
    "MultiAZ": False,
    "NetworkType": "IPV4",
    "PendingModifiedValues": {},
    "PerformanceInsightsEnabled": False,
    "PreferredBackupWindow": "03:00-03:30",
    "PreferredMaintenanceWindow": "sun:04:00-sun:04:30",
    "StorageEncrypted": False,
}

# What a restored instance has from its source unless told otherwise; for everything else the defaults hold
# (RestoreDBInstanceFromDBSnapshot and RestoreDBInstanceToPointInTime in the API reference).
INHERITED = (
    "AllocatedStorage",
    "BackupRetentionPeriod",
    "DBInstanceClass",
    "DBName",
    "Engine",
    "EngineVersion",
    "KmsKeyId",
    "LicenseModel",
    "MasterUsername",
    "StorageEncrypted",
)
# A replica in the same region also has its source's parameter group (CreateDBInstanceReadReplica).
INHERITED_BY_REPLICA = (*INHERITED, "AutoMinorVersionUpgrade", "CACertificateIdentifier", "StorageType")


def identifier(value: str | None, what: str = "DBInstanceIdentifier") -> str:
    """An identifier as AWS keeps it, in lower case; raises `AwsError` if it is not one."""
    name = (value or "").lower()
    if not _IDENTIFIER.fullmatch(name) or len(name) > (63 if what == "DBInstanceIdentifier" else 255):
        raise AwsError(
            "InvalidParameterValue",
            f"The parameter {what} is not a valid identifier. Identifiers must begin with a letter; must contain only "
            "ASCII letters, digits, and hyphens; and must not end with a hyphen or contain two consecutive hyphens.",
        )
    return name


def engine_version(wanted: str | None) -> str:
    """The version that runs; raises `AwsError` if another is wanted."""
    runs = binaries.version()
    if wanted not in (None, runs, runs.partition(".")[0]):
        raise AwsError("InvalidParameterCombination", f"Cannot find version {wanted} for postgres")
    return runs


def given(params: Mapping[str, Any]) -> dict[str, Any]:
    """The members that a call sets by itself, without those that refer to groups."""
    direct = {name: params[name] for name in DIRECT if params.get(name) is not None}
    renamed = {member: params[name] for name, member in RENAMED.items() if params.get(name) is not None}
    facts = {**direct, **renamed}
    retention = facts.get("BackupRetentionPeriod")
    if retention is not None and not 0 <= retention <= 35:
        raise AwsError("InvalidParameterValue", f"Invalid backup retention period: {retention}. Must be 0 to 35.")
    return facts


def new(
    params: Mapping[str, Any], inherited: Mapping[str, Any], placement: Placement, *, name: str, arn: str
) -> dict[str, Any]:
    """The facts of a new instance: what the call says, then what it inherits, then AWS's defaults."""
    group = placement.check_subnet_group(params.get("DBSubnetGroupName"))
    own = given(params)
    facts = {
        **_DEFAULTS,
        "StorageType": "io1" if own.get("Iops") else "gp3",
        # Without a subnet group the instance is in the default VPC, and public.
        "PubliclyAccessible": not params.get("DBSubnetGroupName"),
        **inherited,
        **own,
        "DBInstanceIdentifier": name,
        "DBInstanceArn": arn,
        "DBSubnetGroup": group["DBSubnetGroupName"],
        "VpcSecurityGroups": placement.security_groups(params.get("VpcSecurityGroupIds"), group["VpcId"]),
        "DBParameterGroups": placement.parameter_group(params.get("DBParameterGroupName")),
        "OptionGroupMemberships": placement.option_group(params.get("OptionGroupName")),
    }
    zones = [subnet["SubnetAvailabilityZone"]["Name"] for subnet in group["Subnets"]]
    if not params.get("AvailabilityZone") and zones:
        facts["AvailabilityZone"] = zones[0]
    elif params.get("AvailabilityZone"):
        facts["AvailabilityZone"] = params["AvailabilityZone"]
    if facts["MultiAZ"] and len(set(zones)) > 1:
        facts["SecondaryAvailabilityZone"] = next(zone for zone in zones if zone != facts["AvailabilityZone"])
    facts["CertificateDetails"] = {"CAIdentifier": facts["CACertificateIdentifier"]}
    return facts
