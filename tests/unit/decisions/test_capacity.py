import pytest
from hypothesis import given
from hypothesis import strategies as st

from opskit.decisions.capacity import CacheNodes, NodeGroup, Pods, larger_nodes, more_nodes, more_pods, more_replicas

SIZES = ("cache.t4g.micro", "cache.t4g.small", "cache.t4g.medium")
COUNT = st.integers(0, 200)


@pytest.mark.parametrize(("desired", "step", "after"), [(3, 1, 4), (3, 2, 5), (9, 5, 10), (10, 1, None), (11, 1, None)])
def test_a_node_group_grows_within_its_own_maximum(desired: int, step: int, after: int | None) -> None:
    found = more_nodes(NodeGroup("on-demand", 3, desired, 10), step)
    assert (found.before, found.after, found.possible) == (desired, after, after is not None)
    assert "on-demand" in found.reason


def test_a_node_group_that_is_being_changed_is_left_alone() -> None:
    found = more_nodes(NodeGroup("on-demand", 3, 3, 10, "UPDATING"), 1)
    assert (found.possible, found.reason) == (False, "node group on-demand is UPDATING")


@given(COUNT, COUNT, st.integers(-5, 20))
def test_no_number_of_nodes_leads_down_or_beyond(desired: int, maximum: int, step: int) -> None:
    after = more_nodes(NodeGroup("g", 0, desired, maximum), step).after
    assert after is None or (isinstance(after, int) and desired < after <= maximum)


@pytest.mark.parametrize(("replicas", "at_most", "after"), [(0, 1, 1), (2, 4, 3), (4, 4, None), (5, 9, None)])
def test_a_cache_gets_one_replica_at_a_time(replicas: int, at_most: int, after: int | None) -> None:
    assert more_replicas(CacheNodes("cache.t4g.small", replicas), at_most).after == after


@pytest.mark.parametrize(
    ("node_type", "after"),
    [
        ("cache.t4g.micro", "cache.t4g.small"),
        ("cache.t4g.small", "cache.t4g.medium"),
        ("cache.t4g.medium", None),
        ("cache.r7g.large", None),
    ],
)
def test_a_cache_gets_the_next_size_of_those_allowed(node_type: str, after: str | None) -> None:
    found = larger_nodes(CacheNodes(node_type, 1), SIZES)
    assert found.after == after
    assert node_type in found.reason


def test_a_cache_that_is_being_changed_is_left_alone() -> None:
    busy = CacheNodes("cache.t4g.micro", 0, "modifying")
    assert not more_replicas(busy, 5).possible
    assert not larger_nodes(busy, SIZES).possible
    assert larger_nodes(busy, SIZES).as_dict() == {
        "before": "cache.t4g.micro",
        "after": None,
        "reason": "the cache is modifying",
    }


@pytest.mark.parametrize(
    ("pods", "after"),
    [
        (Pods(2, 2, 4), 3),
        (Pods(4, 2, 4), None),
        (Pods(2), 3),
        (Pods(2, 2, 2), None),
        (Pods(8, 2, 99), None),
        (Pods(0, 2, 4), None),
    ],
)
def test_the_service_gets_more_pods_within_both_bounds(pods: Pods, after: int | None) -> None:
    assert more_pods(pods, 1, 8).after == after


@given(COUNT, st.none() | COUNT, st.integers(-5, 20), COUNT)
def test_no_number_of_pods_leads_down_or_beyond(replicas: int, maximum: int | None, step: int, at_most: int) -> None:
    after = more_pods(Pods(replicas, None, maximum), step, at_most).after
    assert after is None or (isinstance(after, int) and replicas < after <= min(at_most, maximum or at_most))
