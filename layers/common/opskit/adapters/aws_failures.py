"""The refusals of RDS, ElastiCache and EKS, under the names that state machines know."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import ClientError

from opskit.errors import NotFoundError, NotReadyError, QuotaExceededError

# The query protocol drops the ending Fault from some codes and keeps it in others, so both forms are compared
# without it. https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/CommonErrors.html
_QUOTA = frozenset(
    {"SnapshotQuotaExceeded", "InstanceQuotaExceeded", "StorageQuotaExceeded", "NodeQuotaForCustomerExceeded"}
    | {"ClusterQuotaForCustomerExceeded", "NodeQuotaForClusterExceeded", "InsufficientDBInstanceCapacity"}
    | {"NodeGroupsPerReplicationGroupQuotaExceeded"}
    | {"InsufficientCacheClusterCapacity", "TagQuotaPerResourceExceeded"}
)
_NOT_READY = frozenset(
    {"InvalidDBInstanceState", "InvalidDBSnapshotState", "InvalidCacheClusterState", "InvalidReplicationGroupState"}
    | {"InvalidSnapshotState", "ResourceInUseException"}
)
_NOT_FOUND = frozenset(
    {"DBInstanceNotFound", "DBSnapshotNotFound", "DBInstanceAutomatedBackupNotFound", "CacheClusterNotFound"}
    | {"ReplicationGroupNotFound", "SnapshotNotFound", "DBSubnetGroupNotFound", "DBParameterGroupNotFound"}
    | {"CacheSubnetGroupNotFound", "CacheParameterGroupNotFound", "ResourceNotFoundException"}
)


def code_of(error: ClientError) -> str:
    """The error's code without the ending `Fault`."""
    return str(error.response["Error"]["Code"]).removesuffix("Fault")


@contextmanager
def named(what: str) -> Iterator[None]:
    """Turn what AWS refuses into NotFoundError, NotReadyError or QuotaExceededError, whose message begins with `what`.

    Everything else passes: throttling and server errors have their names from `opskit.failures`.
    """
    try:
        yield
    except ClientError as error:
        code, message = code_of(error), error.response["Error"].get("Message", "")
        for codes, kind in ((_QUOTA, QuotaExceededError), (_NOT_READY, NotReadyError), (_NOT_FOUND, NotFoundError)):
            if code in codes:
                raise kind(f"{what}: {code}: {message}") from error
        raise
