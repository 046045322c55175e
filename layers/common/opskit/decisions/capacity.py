"""How far capacity may be raised: one step, within bounds, never down."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

# https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/Scaling.RedisReplGrps.html
MOST_REPLICAS = 5


@dataclass(frozen=True, slots=True)
class NodeGroup:
    """An EKS node group: how many nodes it is to have, and between which bounds."""

    name: str
    minimum: int
    desired: int
    maximum: int
    status: str = "ACTIVE"


@dataclass(frozen=True, slots=True)
class CacheNodes:
    """A replication group: its node type, the replicas of each shard, and how ElastiCache calls its status."""

    node_type: str
    replicas: int
    status: str = "available"


@dataclass(frozen=True, slots=True)
class Pods:
    """A Deployment's replicas and its autoscaler's bounds; these are None where it has none."""

    replicas: int
    minimum: int | None = None
    maximum: int | None = None


@dataclass(frozen=True, slots=True)
class Raise:
    """From what to what (None: not at all), and why."""

    before: int | str
    after: int | str | None
    reason: str

    @property
    def possible(self) -> bool:
        """Whether there is a step to take."""
        return self.after is not None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def more_nodes(group: NodeGroup, step: int) -> Raise:
    """The node group's next desired size: `step` more, never beyond its own maximum."""
    if group.status != "ACTIVE":
        return Raise(group.desired, None, f"node group {group.name} is {group.status}")
    after = min(group.desired + max(step, 0), group.maximum)
    if after <= group.desired:
        return Raise(group.desired, None, f"node group {group.name} has {group.desired} nodes, its maximum")
    return Raise(group.desired, after, f"node group {group.name} from {group.desired} to {after} nodes")


def more_replicas(cache: CacheNodes, at_most: int) -> Raise:
    """One replica more, up to `at_most` and to what ElastiCache takes."""
    if cache.status != "available":
        return Raise(cache.replicas, None, f"the cache is {cache.status}")
    bound = min(at_most, MOST_REPLICAS)
    if cache.replicas >= bound:
        return Raise(cache.replicas, None, f"the cache has {cache.replicas} replicas; {bound} are the bound")
    return Raise(cache.replicas, cache.replicas + 1, f"from {cache.replicas} to {cache.replicas + 1} replicas")


def larger_nodes(cache: CacheNodes, sizes: Sequence[str]) -> Raise:
    """The node type after the one it has in `sizes`, which are in rising order; one that is not there stays."""
    if cache.status != "available":
        return Raise(cache.node_type, None, f"the cache is {cache.status}")
    if cache.node_type not in sizes:
        return Raise(cache.node_type, None, f"{cache.node_type} is not one of {', '.join(sizes)}")
    place = sizes.index(cache.node_type) + 1
    if place == len(sizes):
        return Raise(cache.node_type, None, f"{cache.node_type} is the largest of the sizes allowed")
    return Raise(cache.node_type, sizes[place], f"from {cache.node_type} to {sizes[place]}")


def more_pods(pods: Pods, step: int, at_most: int) -> Raise:
    """The Deployment's next number of replicas, within `at_most` and its autoscaler's maximum.

    The autoscaler's minimum is raised to the same, or it would take the pods away again.
    """
    bound = at_most if pods.maximum is None else min(at_most, pods.maximum)
    if pods.replicas < 1:
        return Raise(pods.replicas, None, "the service has no pod on this colour")
    after = min(pods.replicas + max(step, 0), bound)
    if after <= pods.replicas:
        return Raise(pods.replicas, None, f"the service has {pods.replicas} pods; {bound} are the bound")
    return Raise(pods.replicas, after, f"from {pods.replicas} to {after} pods")
