"""More for a replication group: another replica, or larger nodes. What there is, is `Caches`' to say."""

from typing import Any

from botocore.exceptions import ClientError

from opskit import clients
from opskit.adapters.aws_failures import code_of, named
from opskit.errors import InvalidInputError

_INVALID = ("InvalidParameterValue", "InvalidParameterCombination")
_NOTHING_TO_DO = "NoOperation"


class CacheCapacity:
    """Methods raise NotFoundError, NotReadyError and QuotaExceededError for those refusals; InvalidInputError for what
    ElastiCache does not take, a size that this engine version cannot have for one."""

    def __init__(self, client: Any = None) -> None:
        self._client = client or clients.client("elasticache")

    def have_replicas(self, identifier: str, count: int) -> None:
        """Begin to give each shard of `identifier` `count` replicas, more than it has. Nothing happens if it has them.

        ElastiCache takes no other moment than at once, and five at most:
        https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_IncreaseReplicaCount.html
        """
        self._change(
            f"add a replica to {identifier}",
            self._client.increase_replica_count,
            ReplicationGroupId=identifier,
            NewReplicaCount=count,
            ApplyImmediately=True,
        )

    def resize(self, identifier: str, node_type: str) -> None:
        """Begin to move `identifier` to nodes of `node_type`, at once and not in the maintenance window.

        ElastiCache fills new nodes and then switches to them; clients lose their connections at that moment:
        https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/redis-cluster-vertical-scaling.html
        """
        self._change(
            f"resize {identifier}",
            self._client.modify_replication_group,
            ReplicationGroupId=identifier,
            CacheNodeType=node_type,
            ApplyImmediately=True,
        )

    def _change(self, what: str, call: Any, **arguments: Any) -> None:
        try:
            with named(what):
                call(**arguments)
        except ClientError as error:
            code, message = code_of(error), error.response["Error"].get("Message", "")
            if code == _NOTHING_TO_DO:
                return
            if code in _INVALID:
                raise InvalidInputError(f"{what}: {code}: {message}") from error
            raise
