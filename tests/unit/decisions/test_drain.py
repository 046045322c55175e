import pytest

from opskit.decisions.drain import judge_drain
from opskit.traffic import Colour, Weights
from opskit.verdict import Outcome
from tests.unit.decisions.facts import sample

SILENT = sample(0, 0, None, 0)


def judge(recent=SILENT, *, weights=None, seconds=40.0, late=False):
    return judge_drain(
        Colour.BLUE,
        weights or Weights.all_to(Colour.GREEN),
        recent,
        seconds_at_zero=seconds,
        drain_seconds=30,
        out_of_time=late,
    ).outcome


def test_a_silent_colour_at_zero_for_long_enough_passes():
    assert judge() is Outcome.PASS


@pytest.mark.parametrize("lacking", [{"seconds": 29}, {"recent": sample(1)}, {"recent": None}])
def test_otherwise_it_waits_and_is_left_running_when_time_is_out(lacking):
    assert judge(**lacking) is Outcome.WAIT
    assert judge(**lacking, late=True) is Outcome.INCONCLUSIVE


def test_a_colour_with_weight_is_never_drained():
    assert judge(weights=Weights(1, 99)) is Outcome.INCONCLUSIVE
