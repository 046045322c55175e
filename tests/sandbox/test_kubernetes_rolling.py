"""The arithmetic of rolling updates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.kubernetes.controllers.rolling import Counts, limits, new_size, old_sizes


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        (10, "25%", "25%", (3, 2)),
        (1, "25%", "25%", (1, 0)),
        (4, 0, "25%", (0, 1)),
        (3, 0, "25%", (0, 1)),
        (0, 1, 0, (1, 0)),
    ],
)
def test_limits(replicas: int, surge: int | str, unavailable: int | str, expected: tuple[int, int]) -> None:
    assert limits(replicas, surge, unavailable) == expected


def test_unhealthy_old_pods_go_first() -> None:
    # Three wanted, one may be missing; the old set has one broken pod.
    assert old_sizes(3, 1, Counts(1, 0), [Counts(3, 2)]) == [2]


def test_healthy_old_pods_stay_while_the_new_ones_are_not_available() -> None:
    assert old_sizes(2, 0, Counts(1, 0), [Counts(2, 2)]) == [2]
    assert old_sizes(2, 0, Counts(1, 1), [Counts(2, 2)]) == [1]


@given(
    replicas=st.integers(0, 12),
    surge=st.integers(0, 4),
    unavailable=st.integers(0, 4),
    ready=st.lists(st.booleans(), min_size=200, max_size=200),
)
def test_a_rollout_keeps_its_limits_and_ends(replicas: int, surge: int, unavailable: int, ready: list[bool]) -> None:
    surge, unavailable = (surge, unavailable) if surge or unavailable else (0, 1)
    new, old = Counts(0, 0), Counts(replicas, replicas)
    for becomes_ready in ready:
        size = new_size(replicas, surge, new, [old])
        new = Counts(size, min(size, new.available))
        kept = old_sizes(replicas, unavailable, new, [old])[0]
        old = Counts(kept, min(kept, old.available))
        assert new.wanted + old.wanted <= replicas + surge
        assert new.available + old.available >= min(replicas, replicas - unavailable)
        if becomes_ready and new.available < new.wanted:
            new = Counts(new.wanted, new.available + 1)
    if sum(ready) > 3 * replicas + 3:
        assert (new.wanted, old.wanted) == (replicas, 0)
