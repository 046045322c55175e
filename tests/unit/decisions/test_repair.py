import pytest
from hypothesis import given
from hypothesis import strategies as st

from opskit.decisions.repair import choose_colour
from opskit.traffic import Colour, Weights

BLUE, GREEN = Colour.BLUE, Colour.GREEN


@pytest.mark.parametrize(
    ("weights", "recorded", "healthy", "colour"),
    [
        (Weights(90, 10), BLUE, (3, 3), BLUE),
        (Weights(0, 100), BLUE, (3, 3), BLUE),
        (Weights(100, 0), BLUE, (3, 0), BLUE),
        (Weights(0, 100), GREEN, (3, 3), GREEN),
        (Weights(50, 50), BLUE, (0, 3), GREEN),
        (Weights(30, 70), None, (3, 3), GREEN),
        (Weights(70, 30), None, (3, 3), BLUE),
        (Weights(50, 50), BLUE, (0, 0), None),
    ],
)
def test_traffic_goes_home_if_home_can_serve(weights, recorded, healthy, colour):
    assert choose_colour(weights, recorded, dict(zip((BLUE, GREEN), healthy, strict=True))).colour is colour


@given(
    blue=st.integers(0, 100),
    green=st.integers(0, 100),
    recorded=st.sampled_from([None, BLUE, GREEN]),
    healthy=st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_traffic_never_goes_to_a_colour_without_healthy_targets(blue, green, recorded, healthy):
    counts = dict(zip((BLUE, GREEN), healthy, strict=True))
    chosen = choose_colour(Weights(blue, green), recorded, counts).colour
    assert chosen is None or counts[chosen] > 0
    assert chosen is not None or not any(healthy)
