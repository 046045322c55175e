from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opskit.decisions.repair import choose_colour, home_of
from opskit.ledger import ReleaseRecord
from opskit.traffic import Colour, Weights
from tests.unit.decisions.facts import live

BLUE, GREEN = Colour.BLUE, Colour.GREEN


def record(operation="release", name="r1", **changes):
    given = {"from_colour": BLUE, "to_colour": GREEN} | changes
    return ReleaseRecord(
        execution_id="arn", execution_name=name, operation=operation, started_at=datetime.now(UTC), **given
    )


@pytest.mark.parametrize(
    ("made", "recorded", "weights", "home"),
    [
        (record(), live(BLUE), Weights(90, 10), BLUE),
        (record(), None, Weights(0, 100), BLUE),
        (record(), live(GREEN), Weights(0, 100), BLUE),
        (record(name="release-1"), live(GREEN), Weights(0, 100), GREEN),
        (record("rollback"), live(BLUE), Weights(0, 100), GREEN),
        (record("rollback"), live(BLUE), Weights(100, 0), BLUE),
        (record("rollback"), live(BLUE), Weights(70, 30), GREEN),
        (record(from_colour=None, to_colour=None), live(GREEN), Weights(70, 30), GREEN),
        (record(from_colour=None, to_colour=None), None, Weights(30, 70), GREEN),
    ],
)
def test_home_is_the_old_colour_unless_the_new_one_was_recorded_or_wanted_back(made, recorded, weights, home):
    assert home_of(made, recorded, weights) is home


@pytest.mark.parametrize(
    ("home", "healthy", "colour"),
    [(BLUE, (3, 3), BLUE), (BLUE, (0, 3), GREEN), (GREEN, (1, 1), GREEN), (BLUE, (0, 0), None)],
)
def test_traffic_goes_home_if_home_can_serve(home, healthy, colour):
    assert choose_colour(Weights(90, 10), home, dict(zip((BLUE, GREEN), healthy, strict=True))).colour is colour


@given(
    blue=st.integers(0, 100),
    green=st.integers(0, 100),
    home=st.sampled_from([BLUE, GREEN]),
    healthy=st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_traffic_never_goes_to_a_colour_without_healthy_targets(blue, green, home, healthy):
    counts = dict(zip((BLUE, GREEN), healthy, strict=True))
    chosen = choose_colour(Weights(blue, green), home, counts).colour
    assert chosen is None or counts[chosen] > 0
    assert chosen is not None or not any(healthy)
