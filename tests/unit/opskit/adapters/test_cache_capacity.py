from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from opskit.adapters.cache_capacity import CacheCapacity
from opskit.errors import InvalidInputError, NotFoundError, NotReadyError, QuotaExceededError

from .conftest import session

REPLICAS = {"ReplicationGroupId": "sessions", "NewReplicaCount": 2, "ApplyImmediately": True}
SIZE = {"ReplicationGroupId": "sessions", "CacheNodeType": "cache.t4g.small", "ApplyImmediately": True}
REFUSALS = [
    ("ReplicationGroupNotFoundFault", NotFoundError),
    ("InvalidReplicationGroupState", NotReadyError),
    ("NodeQuotaForCustomerExceeded", QuotaExceededError),
    ("NodeGroupsPerReplicationGroupQuotaExceeded", QuotaExceededError),
    ("InsufficientCacheClusterCapacity", QuotaExceededError),
    ("InvalidParameterValue", InvalidInputError),
    ("InvalidParameterCombination", InvalidInputError),
    ("Other", ClientError),
]


def test_a_replica_and_a_size_are_asked_for_at_once() -> None:
    client = session().client("elasticache")
    with Stubber(client) as stub:
        stub.add_response("increase_replica_count", {}, REPLICAS)
        stub.add_response("modify_replication_group", {}, SIZE)
        CacheCapacity(client).have_replicas("sessions", 2)
        CacheCapacity(client).resize("sessions", "cache.t4g.small")
        stub.assert_no_pending_responses()


@pytest.mark.parametrize(("code", "kind"), REFUSALS)
def test_refusals_have_their_names(code: str, kind: type[Exception]) -> None:
    client = session().client("elasticache")

    def asked(operation: str, call: Any, *given: Any) -> None:
        with Stubber(client) as stub:
            stub.add_client_error(operation, code, "no")
            with pytest.raises(kind, match="no"):
                call(*given)

    asked("increase_replica_count", CacheCapacity(client).have_replicas, "sessions", 2)
    asked("modify_replication_group", CacheCapacity(client).resize, "sessions", "cache.t4g.small")


def test_replicas_that_are_there_need_no_change() -> None:
    client = session().client("elasticache")
    with Stubber(client) as stub:
        stub.add_client_error("increase_replica_count", "NoOperationFault", "nothing to do")
        CacheCapacity(client).have_replicas("sessions", 2)
