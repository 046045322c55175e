"""The database: subnet and parameter groups, and the instance."""

import json
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pg8000 import native

from sandbox.provision.clients import Clients, tags
from sandbox.provision.network import Network

MASTER = "postgres"
DATABASE = "detections"
INSTANCE_CLASS = "db.t4g.medium"
READY_SECONDS = 30.0
PARAMETERS = {"max_connections": "200", "rds.force_ssl": "1"}
"""Of those that `terraform/rds.tf` sets, what the sandbox's servers have."""


@dataclass(frozen=True, slots=True)
class Database:
    """What was created; `host` and `port` are the instance's own endpoint."""

    identifier: str
    arn: str
    resource_id: str
    host: str
    port: int
    subnet_group: str
    parameter_group: str
    security_group_id: str
    secret_arn: str


def begin(clients: Clients, network: Network, *, kms_key: str | None = None, replica: bool = False) -> None:
    """Create the groups and the instance, or leave what is there; `finish` waits for it.

    `kms_key` is what its storage is encrypted with. `replica` adds a read replica, `<name>-replica`, once the
    instance is available.
    """
    rds, config = clients["rds"], clients.config
    name = config.name
    own = tags(config)
    if not _exists(rds.describe_db_subnet_groups, rds.exceptions.DBSubnetGroupNotFoundFault, DBSubnetGroupName=name):
        rds.create_db_subnet_group(
            DBSubnetGroupName=name,
            DBSubnetGroupDescription="Private subnets",
            SubnetIds=list(network.private_subnet_ids),
            Tags=own,
        )
    if not _exists(
        rds.describe_db_parameter_groups, rds.exceptions.DBParameterGroupNotFoundFault, DBParameterGroupName=name
    ):
        rds.create_db_parameter_group(
            DBParameterGroupName=name,
            DBParameterGroupFamily="postgres16",
            Description="PostgreSQL of the service",
            Tags=own,
        )
        rds.modify_db_parameter_group(
            DBParameterGroupName=name,
            Parameters=[
                {"ParameterName": name, "ParameterValue": value, "ApplyMethod": "pending-reboot"}
                for name, value in PARAMETERS.items()
            ],
        )
    if not _exists(rds.describe_db_instances, rds.exceptions.DBInstanceNotFoundFault, DBInstanceIdentifier=name):
        rds.create_db_instance(
            DBInstanceIdentifier=name,
            DBName=DATABASE,
            Engine="postgres",
            DBInstanceClass=INSTANCE_CLASS,
            AllocatedStorage=20,
            StorageType="gp3",
            StorageEncrypted=True,
            **({"KmsKeyId": kms_key} if kms_key else {}),
            MasterUsername=MASTER,
            ManageMasterUserPassword=True,
            Port=config.database_port,
            DBSubnetGroupName=name,
            DBParameterGroupName=name,
            VpcSecurityGroupIds=[network.database_security_group_id],
            PubliclyAccessible=False,
            MultiAZ=True,
            BackupRetentionPeriod=14,
            CopyTagsToSnapshot=True,
            DeletionProtection=True,
            EnableIAMDatabaseAuthentication=True,
            # What the snapshot workflow selects by.
            Tags=[*own, {"Key": "backup", "Value": "true"}],
        )
    if replica:
        identifier = f"{name}-replica"
        if not _exists(
            rds.describe_db_instances, rds.exceptions.DBInstanceNotFoundFault, DBInstanceIdentifier=identifier
        ):
            _available(clients, name)
            rds.create_db_instance_read_replica(
                DBInstanceIdentifier=identifier,
                SourceDBInstanceIdentifier=name,
                VpcSecurityGroupIds=[network.database_security_group_id],
                Tags=own,
            )


def finish(clients: Clients) -> Database:
    """Wait for the instance; raises `TimeoutError` or `RuntimeError` naming its status."""
    found = _available(clients, clients.config.name)
    return Database(
        identifier=found["DBInstanceIdentifier"],
        arn=found["DBInstanceArn"],
        resource_id=found["DbiResourceId"],
        host=found["Endpoint"]["Address"],
        port=found["Endpoint"]["Port"],
        subnet_group=found["DBSubnetGroup"]["DBSubnetGroupName"],
        parameter_group=found["DBParameterGroups"][0]["DBParameterGroupName"],
        security_group_id=found["VpcSecurityGroups"][0]["VpcSecurityGroupId"],
        secret_arn=found["MasterUserSecret"]["SecretArn"],
    )


@contextmanager
def administration(clients: Clients, database: Database) -> Iterator[Any]:
    """A connection as the master user (`pg8000.native`), each statement a transaction; closed at the end."""
    secret = json.loads(clients["secretsmanager"].get_secret_value(SecretId=database.secret_arn)["SecretString"])
    session = native.Connection(
        secret["username"],
        host=database.host,
        port=database.port,
        database=DATABASE,
        password=secret["password"],
        ssl_context=ssl.create_default_context(cafile=clients.config.tls_dir / "ca.pem"),
        timeout=30,
    )
    try:
        yield session
    finally:
        session.close()


def _available(clients: Clients, identifier: str) -> dict[str, Any]:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        found: dict[str, Any] = clients["rds"].describe_db_instances(DBInstanceIdentifier=identifier)["DBInstances"][0]
        status = found["DBInstanceStatus"]
        if status == "available":
            return found
        if status in ("failed", "incompatible-network"):
            raise RuntimeError(f"the database {identifier} is {status}: see logs/platform.log")
        if time.monotonic() > deadline:
            raise TimeoutError(f"the database {identifier} is {status} after {READY_SECONDS:.0f} s")
        time.sleep(0.05)


def _exists(describe: Any, missing: type[Exception], **identifier: str) -> bool:
    try:
        describe(**identifier)
    except missing:
        return False
    return True
